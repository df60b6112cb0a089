// `edge-mqtt invite`, `cluster join` and `cluster approve`: how another box comes in.

import type { Command } from 'commander'
import type { ListedInvite, MadeInvite } from '../../cluster/enrolment/invites.ts'
import type { WaitingStatus } from '../../cluster/status.ts'
import type { ShownInvite } from '../enrolment.ts'
import { Ending, Exit } from '../exit.ts'
import { places } from '../places.ts'
import { print, printJson } from './output.ts'
import type { JoinOptions } from './queries.ts'

interface Reach {
  readonly dataDir?: string
  readonly socket?: string
  readonly json?: true
}

/** `edge-mqtt invite --list`. */
export function invitesText(rows: readonly ShownInvite[]): string {
  if (rows.length === 0) return 'there are no invites: edge-mqtt invite makes one'
  const lines = rows.map(({ id, state, endMs, uses, used, issuer, by }) => {
    const whom = used.length === 0 ? '' : `: ${used.join(', ')}`
    const end = `${state === 'expired' ? 'ended' : 'until'} ${new Date(endMs).toLocaleString()}`
    return `${id}  ${state.padEnd(7)}  ${end}  used ${used.length} of ${uses}${whom}  made on ${by}${issuer ? ', --issuer' : ''}`
  })
  return lines.join('\n')
}

interface InviteOptions extends Reach {
  readonly ttl: string
  readonly uses: string
  readonly issuer?: true
  readonly list?: true
  readonly revoke?: string
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
    .option('--list', 'show the invites there are, wherever they were made; their codes are kept nowhere')
    .option('--revoke <id>', 'end the invite with this id: its code lets nobody in any more')
    .addHelpText(
      'after',
      example(
        'edge-mqtt invite',
        'edge-mqtt invite --ttl 7d --uses 20',
        'edge-mqtt invite --list',
        'edge-mqtt invite --revoke 2AZZ',
      ),
    )
    .action(async (options: InviteOptions) => {
      const { ttl, uses, issuer, list, revoke } = options
      if (list === true) {
        const rows = (await asked(options, 'invite list', {})) as ShownInvite[]
        return options.json === true ? printJson(rows) : print(invitesText(rows))
      }
      if (revoke !== undefined) {
        const row = (await asked(options, 'invite revoke', { id: revoke })) as ListedInvite
        return options.json === true ? printJson(row) : print(`${row.id} lets nobody in any more`)
      }
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
