// What `edge-mqtt user ...` and `edge-mqtt acl ...` ask of a running daemon. Every change counts at once and is on disk
// when the command ends.

import { HostError, ProtocolError } from '../../base/errors.ts'
import { type Account, type GrantedRule, isWho } from '../../broker/accountfile.ts'
import type { Accounts } from '../../broker/accounts.ts'
import type { Node } from '../../compose.ts'
import { parseTopicFilter } from '../../topic/filter.ts'
import type { Command, Commands } from '../control/server.ts'
import type { Deriver } from './deriver.ts'
import { DEVICES, devicesUrl } from './devices.ts'
import { isRandomOne, makeScram, makeVerifier, randomPassword, randomVerifier } from './passwords.ts'

type Args = Readonly<Record<string, unknown>>

/** One line of `user list`: nothing that a password could be guessed from. */
export interface AccountRow {
  readonly name: string
  readonly groups: readonly string[]
  readonly scram: boolean
}

export type RuleRow = Omit<GrantedRule, 'is' | 'plain'>

const LEVELS_MAX = 1000
const PASSWORD_BYTES_MAX = 1024

export function accountCommands(
  node: () => Promise<Pick<Node, 'accounts' | 'status'>>,
  deriver: Deriver,
  /** What the account `devices` was made with, where that is known. */
  made: () => string | null,
): Commands {
  const command = (run: (accounts: Accounts, args: Args) => unknown): Command => ({
    everybody: false,
    run: async (args) => run((await node()).accounts, args),
  })
  return {
    'user add': command(async (accounts, args) => {
      const name = nameOf(args['name'])
      if (accounts.account(name) !== undefined) {
        throw invalid(`there is an account ${name}: "edge-mqtt user passwd ${name}" gives it another password`)
      }
      return setPassword(accounts, deriver, { name, groups: groupsOf(args['groups']), ...wish(args) })
    }),
    'user passwd': command(async (accounts, args) => {
      const before = existing(accounts, args['name'])
      const { scram, ...rest } = wish(args)
      // What it could do, it still can.
      return setPassword(accounts, deriver, {
        name: before.name,
        groups: before.groups,
        scram: scram || before.scram !== null,
        ...rest,
      })
    }),
    'user remove': command(async (accounts, args) => {
      const { name } = existing(accounts, args['name'])
      await written((done) => accounts.removeAccount(name, done))
      return { name }
    }),
    'user show': {
      everybody: false,
      run: async (args) => shown(await node(), nameOf(args['name']), made()),
    },
    'user list': command((accounts) =>
      accounts.accounts().map(({ name, groups, scram }): AccountRow => ({ name, groups, scram: scram !== null })),
    ),
    'acl add': command(async (accounts, args) => {
      const rule = ruleOf(args)
      await written((done) => accounts.setRule(rule, done))
      return rowOf(rule)
    }),
    'acl remove': command(async (accounts, args) => {
      const rule = ruleOf({ ...args, effect: 'allow' })
      let found = false
      await written((done) => {
        found = accounts.removeRule(rule, done)
      })
      if (!found) throw invalid('there is no such rule: "edge-mqtt acl list" shows those there are')
      const { who, action, filter } = rule
      return { who, action, filter }
    }),
    'acl list': command((accounts) => accounts.rules().map(rowOf)),
  }
}

/** An account, and for `devices` its URL while its password is the one that it was made with. */
function shown(node: Pick<Node, 'accounts' | 'status'>, name: string, password: string | null) {
  const { groups, scram, verifier } = existing(node.accounts, name)
  const row = { name, groups, scram: scram !== null }
  if (name !== DEVICES || password === null) return { ...row, url: null }
  const port = node.status().listeners.find(({ type }) => type === 'mqtt')?.port
  const derived = port !== undefined && isRandomOne(verifier, Buffer.from(password))
  return { ...row, url: derived ? devicesUrl(password, port) : null }
}

interface Wish {
  /** Null: a random one, which is told once. */
  readonly password: string | null
  readonly scram: boolean
}

async function setPassword(
  accounts: Accounts,
  deriver: Deriver,
  { name, groups, password, scram }: Wish & { readonly name: string; readonly groups: readonly string[] },
): Promise<{ readonly name: string; readonly password: string | null }> {
  const made = password ?? randomPassword()
  const bytes = Buffer.from(made)
  const account: Account = {
    is: 'account',
    name,
    groups,
    verifier: password === null ? randomVerifier(made) : await answered((done) => makeVerifier(deriver, bytes, done)),
    scram: scram ? await answered((done) => makeScram(deriver, bytes, done)) : null,
  }
  await written((done) => accounts.setAccount(account, done))
  return { name, password: password === null ? made : null }
}

const answered = <T>(ask: (done: (result: T | HostError) => void) => void): Promise<T> =>
  new Promise((resolve, reject) => ask((result) => (result instanceof HostError ? reject(result) : resolve(result))))

const written = (write: (done: (error: HostError | null) => void) => void): Promise<null> =>
  answered((done) => write((error) => done(error ?? null)))

function existing(accounts: Accounts, found: unknown): Account {
  const account = accounts.account(nameOf(found))
  if (account === undefined) throw invalid('there is no such account: "edge-mqtt user list" shows those there are')
  return account
}

function nameOf(found: unknown): string {
  if (typeof found === 'string' && /^[^\p{C}\s](?:[^\p{C}]{0,126}[^\p{C}\s])?$/u.test(found)) return found
  throw invalid(`not a name for an account: ${JSON.stringify(found)}; right would be 1 to 128 printable characters`)
}

const groupsOf = (found: unknown): readonly string[] => {
  if (!Array.isArray(found)) throw invalid('not a list of groups')
  return [...new Set(found.map(nameOf))]
}

/** Never says what it found. */
function wish(args: Args): Wish {
  const { password, scram } = args
  if (password === null) return { password, scram: scram === true }
  if (typeof password !== 'string' || password === '') throw invalid('an empty password is none')
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX)
    throw invalid(`a password has ${PASSWORD_BYTES_MAX} bytes at most`)
  return { password, scram: scram === true }
}

function ruleOf({ who, effect, action, filter }: Args): GrantedRule {
  if (typeof who !== 'string' || !isWho(who)) {
    throw invalid(`${JSON.stringify(who)} is nobody; right would be all, anonymous, user:NAME or group:NAME`)
  }
  if (effect !== 'allow' && effect !== 'deny') throw invalid(`${JSON.stringify(effect)}; right would be allow or deny`)
  if (action !== 'publish' && action !== 'subscribe' && action !== 'both') {
    throw invalid(`${JSON.stringify(action)}; right would be publish, subscribe or both`)
  }
  const parsed = parseTopicFilter(String(filter), LEVELS_MAX)
  if (typeof filter !== 'string' || parsed instanceof ProtocolError || parsed.share !== null) {
    throw invalid(`${JSON.stringify(filter)} is not a topic filter, such as 'sensors/%u/#'`)
  }
  return { is: 'rule', who, effect, action, filter }
}

const rowOf = ({ who, effect, action, filter }: GrantedRule): RuleRow => ({ who, effect, action, filter })

const invalid = (message: string): HostError => new HostError('invalid', message)
