// The command line: what there is, what it takes, an example for each. The work is imported when a command is chosen, so
// that `status` and `version` answer at once.

import { Command, CommanderError, Option } from 'commander'
import { Ending, Exit, type ExitStatus } from '../exit.ts'
import type { SetupJoinOptions } from '../setup.ts'
import type { StartOptions } from '../start.ts'
import { version } from '../version.ts'
import type { World } from '../world.ts'
import { addAccountCommands } from './accounts.ts'
import { addCertificateCommands } from './certificates.ts'
import { addTimeCommand } from './clustertime.ts'
import { addEnrolmentCommands } from './enrolment.ts'
import { addHealsCommand } from './heals.ts'
import { complain, print, printJson } from './output.ts'
import { addRetainedCommands } from './retained.ts'
import { addMembershipCommands } from './trust.ts'

interface ReachOptions {
  readonly dataDir?: string
  readonly socket?: string
  readonly json?: true
}

interface DaemonOptions {
  readonly config?: string
  readonly dataDir?: string
  readonly set: readonly string[]
  readonly newCluster?: true
  readonly check?: true
  readonly ports?: true
}

/** Runs one command line; resolves with the exit status. */
export async function run(args: readonly string[], world: World): Promise<ExitStatus> {
  let status: ExitStatus = Exit.asAsked
  const program = build(world, (ended) => {
    status = ended
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    return status
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? Exit.asAsked : Exit.usage
    if (!(error instanceof Ending)) throw error
    complain(error.message)
    return error.status
  }
}

const example = (...lines: readonly string[]): string => `\nExample:\n${lines.map((line) => `  ${line}`).join('\n')}`

function build(world: World, ended: (status: ExitStatus) => void): Command {
  const program = new Command('edge-mqtt')
  program
    .description('A clustered MQTT broker for small gateway boxes.')
    .version(`edge-mqtt ${version}`, '--version', 'print the version')
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)')
    .helpCommand('help [command]', 'explain a command')
    .configureHelp({ showGlobalOptions: false })
    .addHelpText('after', example('edge-mqtt start --data-dir ./data', 'edge-mqtt status'))

  daemonOptions(program.command('start'))
    .description('run the broker in the foreground')
    .addOption(new Option('--check', 'only say whether configuration and certificates are good'))
    .addOption(new Option('--ports', 'with --check: and whether the ports are free').implies({ check: true }))
    .addHelpText('after', example('edge-mqtt start --data-dir ./data --set listeners.mqtt.port=1884'))
    .action(async (options: DaemonOptions) => {
      if (options.check === true) {
        const { check } = await import('./check.ts')
        return check(startOptions(options), world, options.ports === true)
      }
      const { runDaemon } = await import('../daemon.ts')
      ended(await runDaemon(startOptions(options), world))
    })

  daemonOptions(program.command('setup'))
    .description('first setup alone: make or find this node its identity, then end')
    .option('--join <code>', 'become a member with a code from "edge-mqtt invite"')
    .option('--at <address>', 'with --join: host or host:port of a member, where none is heard')
    .option('--replace <name>', 'with --join: take the place of this member, which must be dead: it is removed')
    .addHelpText('after', example('edge-mqtt setup --new-cluster --data-dir ./data', 'edge-mqtt setup --join CODE'))
    .action(async (options: DaemonOptions & SetupJoinOptions) => {
      const { joinRequest, setup } = await import('../setup.ts')
      print(await setup({ ...startOptions(options), join: joinRequest(options) }, world))
    })

  reachOptions(program.command('status'))
    .description('this node, its clients and every member of its cluster')
    .addHelpText('after', example('edge-mqtt status', 'edge-mqtt status --json | jq .cluster.members'))
    .action(async (options: ReachOptions) => {
      const { status } = await import('./queries.ts')
      await status(options, options.json === true)
    })

  const cluster = program
    .command('cluster')
    .description('the boxes that are one broker')
    .addHelpText('after', example('edge-mqtt cluster status'))
  reachOptions(cluster.command('status'))
    .description('members, links, refused and waiting boxes')
    .addHelpText('after', example('edge-mqtt cluster status', 'edge-mqtt cluster status --json'))
    .action(async (options: ReachOptions) => {
      const { clusterStatus } = await import('./queries.ts')
      await clusterStatus(options, options.json === true)
    })
  addEnrolmentCommands(program, cluster, reachOptions, example)
  addTimeCommand(cluster, reachOptions, example)
  addHealsCommand(cluster, reachOptions, example)
  addMembershipCommands(cluster, reachOptions, example)

  addAccountCommands(program, reachOptions, example)
  addCertificateCommands(program, reachOptions, example)
  addRetainedCommands(program, reachOptions, example)

  program
    .command('version')
    .description('print the version')
    .addOption(new Option('--json', 'as JSON'))
    .addHelpText('after', example('edge-mqtt version'))
    .action((options: { readonly json?: true }) =>
      options.json === true ? printJson({ version }) : print(`edge-mqtt ${version}`),
    )
  return program
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

const daemonOptions = (command: Command): Command =>
  command
    .option('--config <file>', 'the configuration file')
    .option('--data-dir <dir>', 'keep everything in one directory: edge-mqtt.yaml, certs/, state/, run/')
    .option('--set <key.path=value>', 'set one configuration key; may be given again', collect, [])
    .option('--new-cluster', 'at first setup make a new cluster at once, without listening for one')

const reachOptions = (command: Command): Command =>
  command
    .option('--data-dir <dir>', 'the daemon that was started with this --data-dir')
    .option('--socket <path>', 'the daemon with this control socket')
    .option('--json', 'as JSON')

const startOptions = (options: DaemonOptions): StartOptions => ({
  config: options.config,
  dataDir: options.dataDir,
  set: options.set,
  newCluster: options.newCluster === true,
})
