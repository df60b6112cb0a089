// `edge-mqtt user ...` and `edge-mqtt acl ...`: what they take, what they ask of the daemon, what they print.

import type { Command } from 'commander'
import type { AccountRow, RuleRow } from '../auth/commands.ts'
import { places } from '../places.ts'
import { print, printJson } from './output.ts'

interface Reach {
  readonly dataDir?: string
  readonly socket?: string
  readonly json?: true
}

interface PasswordOptions extends Reach {
  readonly random?: true
  readonly scram?: true
}

/** Long enough for a slow hash behind a queue of others. */
const ANSWER_MS = 30_000

async function asked(options: Reach, command: string, args: Record<string, unknown> = {}): Promise<unknown> {
  const { ask } = await import('../control/client.ts')
  return ask(places(options, process.env), { command, args }, { everybody: false, timeoutMs: ANSWER_MS })
}

const show = (options: Reach, value: unknown, text: string): void =>
  options.json === true ? printJson(value) : print(text)

export function addAccountCommands(
  program: Command,
  reach: (command: Command) => Command,
  example: (...lines: readonly string[]) => string,
): void {
  const user = program
    .command('user')
    .description('accounts: who may connect')
    .addHelpText('after', example('edge-mqtt user add kitchen', 'edge-mqtt user list'))
  withPassword(reach(user.command('add')))
    .description('make an account; the password is asked for, or read from standard input')
    .argument('<name>', 'its name')
    .option('--group <name>', 'a group it is in, for access rules; may be given again', collect, [])
    .addHelpText('after', example('edge-mqtt user add kitchen --random', 'edge-mqtt user add anna --group family'))
    .action(async (name: string, options: PasswordOptions & { readonly group: readonly string[] }) => {
      const made = await setPassword('user add', name, options, { groups: options.group })
      show(options, made, `${made.name} may connect${passwordText(made.password)}`)
    })
  withPassword(reach(user.command('passwd')))
    .description('give an account another password; its clients are disconnected')
    .argument('<name>', 'its name')
    .addHelpText('after', example('edge-mqtt user passwd kitchen', 'edge-mqtt user passwd devices --random'))
    .action(async (name: string, options: PasswordOptions) => {
      const made = await setPassword('user passwd', name, options, {})
      show(options, made, `${made.name} has another password${passwordText(made.password)}`)
    })
  reach(user.command('remove'))
    .description('remove an account; its clients are disconnected')
    .argument('<name>', 'its name')
    .addHelpText('after', example('edge-mqtt user remove kitchen'))
    .action(async (name: string, options: Reach) => {
      const removed = await asked(options, 'user remove', { name })
      show(options, removed, `${name} is removed`)
    })
  reach(user.command('show'))
    .description('an account; of "devices" the URL to paste into a device')
    .argument('<name>', 'its name')
    .addHelpText('after', example('edge-mqtt user show devices'))
    .action(async (name: string, options: Reach) => {
      const shown = (await asked(options, 'user show', { name })) as AccountRow & { readonly url: string | null }
      show(options, shown, shown.url ?? rowText(shown))
    })
  reach(user.command('list'))
    .description('all accounts, without those of a password_file')
    .addHelpText('after', example('edge-mqtt user list', 'edge-mqtt user list --json'))
    .action(async (options: Reach) => {
      const rows = (await asked(options, 'user list')) as readonly AccountRow[]
      const lines = rows.map(rowText)
      show(options, rows, lines.length === 0 ? 'no accounts: edge-mqtt user add NAME makes one' : lines.join('\n'))
    })

  const acl = program
    .command('acl')
    .description('access rules: who may publish and subscribe to what')
    .addHelpText('after', example('edge-mqtt acl add user:kitchen allow both "home/kitchen/#"', 'edge-mqtt acl list'))
  reach(acl.command('add'))
    .description('allow or deny something; to deny beats to allow')
    .argument('<who>', 'all, anonymous, user:NAME or group:NAME')
    .argument('<effect>', 'allow or deny')
    .argument('<action>', 'publish, subscribe or both')
    .argument('<filter>', 'topic filter; %c is the client id, %u the account')
    .addHelpText(
      'after',
      example(
        'edge-mqtt acl add all deny publish "config/#"',
        'edge-mqtt acl add group:sensors allow publish "sensors/%u/#"',
      ),
    )
    .action(async (who: string, effect: string, action: string, filter: string, options: Reach) => {
      const row = (await asked(options, 'acl add', { who, effect, action, filter })) as RuleRow
      show(options, row, ruleText(row))
    })
  reach(acl.command('remove'))
    .description('take a rule back')
    .argument('<who>', 'as it was added')
    .argument('<action>', 'publish, subscribe or both')
    .argument('<filter>', 'as it was added')
    .addHelpText('after', example('edge-mqtt acl remove all publish "config/#"'))
    .action(async (who: string, action: string, filter: string, options: Reach) => {
      const removed = await asked(options, 'acl remove', { who, action, filter })
      show(options, removed, `removed: ${who} ${action} ${filter}`)
    })
  reach(acl.command('list'))
    .description('all rules, without those of an acl_file')
    .addHelpText('after', example('edge-mqtt acl list'))
    .action(async (options: Reach) => {
      const rows = (await asked(options, 'acl list')) as readonly RuleRow[]
      const text = rows.length === 0 ? 'no rules: whoever may connect may do everything' : rows.map(ruleText).join('\n')
      show(options, rows, text)
    })
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

const withPassword = (command: Command): Command =>
  command
    .option('--random', 'make a random password and print it, once')
    .option('--scram', 'also for enhanced authentication (SCRAM-SHA-256)')

async function setPassword(
  command: string,
  name: string,
  { random, scram, ...options }: PasswordOptions,
  args: Record<string, unknown>,
): Promise<{ readonly name: string; readonly password: string | null }> {
  const password = random === true ? null : await (await import('./passwordinput.ts')).readPassword(name)
  const wish = { name, password, scram: scram === true, ...args }
  return (await asked(options, command, wish)) as { readonly name: string; readonly password: string | null }
}

const passwordText = (password: string | null): string =>
  password === null ? '' : `\n  password: ${password}   (it is not shown again)`

const ruleText = ({ who, effect, action, filter }: RuleRow): string => `${who} ${effect} ${action} ${filter}`

const rowText = ({ name, groups, scram }: AccountRow): string =>
  [name, groups.length === 0 ? '' : `groups ${groups.join(', ')}`, scram ? 'SCRAM' : ''].filter(Boolean).join('  ')
