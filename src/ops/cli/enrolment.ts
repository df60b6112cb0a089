// `edge-mqtt invite`, `cluster join` and `cluster approve`: how another box comes in.

import type { Command } from 'commander'
import type { MadeInvite } from '../../cluster/invites.ts'
import type { WaitingStatus } from '../../cluster/status.ts'
import { Ending, Exit } from '../exit.ts'
import { places } from '../places.ts'
import { print, printJson } from './output.ts'
import type { JoinOptions } from './queries.ts'

interface Reach {
  readonly dataDir?: string
  readonly socket?: string
  readonly json?: true
}

interface InviteOptions extends Reach {
  readonly ttl: string
  readonly uses: string
  readonly issuer?: true
}

/** A box that is let in writes what it is given to its card before it says so. */
const ANSWER_MS = 60_000

async function asked(options: Reach, command: string, args: Record<string, unknown>): Promise<unknown> {
  const { ask } = await import('../control/client.ts')
  return ask(places(options, process.env), { command, args }, { everybody: false, timeoutMs: ANSWER_MS })
}

export function addEnrolmentCommands(
  program: Command,
  cluster: Command,
  reach: (command: Command) => Command,
  example: (...lines: readonly string[]) => string,
): void {
  reach(cluster.command('join'))
    .description('become a member: with a code, or by showing words to people; or look for a member at an address')
    .argument('[address]', 'host or host:port of the cluster port of a member; without it, whoever is heard')
    .option('--code <code>', 'a code from "edge-mqtt invite" on a member')
    .option('--replace <name>', 'take the place of this member, which must be dead: it is removed')
    .addHelpText(
      'after',
      example(
        'edge-mqtt cluster join --code 26K2-AZZ2-2AL6-EU6C-PM9H-46TA',
        'edge-mqtt cluster join 192.168.7.10',
        'edge-mqtt cluster join gw-4.lan:4883 --code 26K2-AZZ2-2AL6-EU6C-PM9H-46TA',
      ),
    )
    .action(async (address: string | undefined, options: Reach & JoinOptions) => {
      if (address === undefined && options.code === undefined) {
        throw new Ending(Exit.usage, 'an address or a code is needed: edge-mqtt cluster join ADDR, or --code CODE')
      }
      const { join } = await import('./queries.ts')
      await join(address, options, options, options.json === true)
    })
  reach(cluster.command('approve'))
    .description('let a waiting box in, when its own status shows the same words')
    .argument('<box>', 'its id (the first digits will do) or its name, as "edge-mqtt cluster status" shows it')
    .addHelpText('after', example('edge-mqtt cluster status', 'edge-mqtt cluster approve 8332c452746a5762'))
    .action(async (box: string, options: Reach) => {
      const row = (await asked(options, 'cluster approve', { box })) as WaitingStatus
      if (options.json === true) return printJson(row)
      const gone = row.replaces === null ? '' : `, in place of ${row.replaces}, which is removed`
      print(`${row.name} (${row.id}) at ${row.address} is let in${gone}`)
    })
  reach(program.command('invite'))
    .description('make a code that lets another box in')
    .option('--ttl <duration>', 'how long it is good', '1h')
    .option('--uses <count>', 'for how many boxes', '1')
    .option('--issuer', "whoever joins with it gets the key of the cluster's CA as well")
    .addHelpText('after', example('edge-mqtt invite', 'edge-mqtt invite --ttl 7d --uses 20'))
    .action(async (options: InviteOptions) => {
      const { ttl, uses, issuer } = options
      if (!/^\d{1,3}$/.test(uses)) throw new Ending(Exit.usage, `--uses ${uses}: right would be a number of boxes`)
      const made = (await asked(options, 'invite', { ttl, uses: Number(uses), issuer })) as MadeInvite
      if (options.json === true) return printJson(made)
      print(
        `${made.code}\n  good until ${new Date(made.endMs).toLocaleString()}, for ${uses === '1' ? 'one box' : `${uses} boxes`}\n` +
          `  on a new box:  sudo ./install.sh --join ${made.code}\n` +
          `  on one that has edge-mqtt:  edge-mqtt cluster join --code ${made.code}`,
      )
    })
}
