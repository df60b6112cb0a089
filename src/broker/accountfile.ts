// What is kept of accounts and rules, and how it stands in `accounts.json`:
//
//   {"version":1,"cluster":ID | null,"horizon":{wallMs,counter,node} | null,"entries":[
//     {"key":"account:NAME","stamp":{wallMs,counter,node},"value":{...} | null}, ... ]}

import { type ClusterId, isId } from '../base/ids.ts'
import type { Stamp } from '../base/stamps.ts'
import type { Rule } from './ports.ts'
import type { Stamped } from './stampedmap.ts'

/** How a password is known. Bytes stand as base64. */
export type Verifier =
  | {
      readonly kind: 'scrypt'
      readonly cost: number
      readonly blockSize: number
      readonly parallel: number
      readonly salt: string
      readonly hash: string
    }
  /** For random passwords that we made: there is nothing to guess, so nothing has to be slow. */
  | { readonly kind: 'sha256'; readonly hash: string }

/** SCRAM-SHA-256 (RFC 5802); bytes as base64. */
export interface ScramCredentials {
  readonly iterations: number
  readonly salt: string
  readonly storedKey: string
  readonly serverKey: string
}

export interface Account {
  readonly is: 'account'
  readonly name: string
  readonly verifier: Verifier
  /** Null: this account cannot use enhanced authentication. */
  readonly scram: ScramCredentials | null
  readonly groups: readonly string[]
}

export type Who = 'all' | 'anonymous' | `user:${string}` | `group:${string}`

export interface GrantedRule extends Rule {
  readonly is: 'rule'
  readonly who: Who
}

export type Kept = Account | GrantedRule

export const accountKey = (name: string): string => `account:${name}`

/** One rule for each of these: to allow what was denied replaces it. */
export const ruleKey = ({ who, action, filter }: Pick<GrantedRule, 'who' | 'action' | 'filter'>): string =>
  `rule:${JSON.stringify([who, action, filter])}`

export function isWho(text: string): text is Who {
  return text === 'all' || text === 'anonymous' || /^(?:user|group):./s.test(text)
}

/** What the file holds. */
export interface AccountFile {
  readonly entries: readonly Stamped<Kept>[]
  /** The cluster that the box was in; null: none yet. */
  readonly cluster: ClusterId | null
  /** How far back removed entries were forgotten; null: none was. */
  readonly horizon: Stamp | null
}

export function fileText({ entries, cluster, horizon }: AccountFile): string {
  const lines = entries.map(({ key, stamp, value }) => JSON.stringify({ key, stamp, value }))
  const head = JSON.stringify({ version: 1, cluster, horizon })
  return `${head.slice(0, -1)},"entries":[\n${lines.join(',\n')}\n]}\n`
}

/** Null: it is not what we write. */
export function readFileText(text: string): AccountFile | null {
  const parsed = parse(text)
  if (!isObject(parsed) || parsed['version'] !== 1 || !Array.isArray(parsed['entries'])) return null
  const { entries, cluster = null, horizon = null }: Found = parsed
  if (!Array.isArray(entries) || !entries.every(isEntry)) return null
  if (cluster !== null && !(isText(cluster) && isId(cluster))) return null
  if (horizon !== null && !isStamp(horizon)) return null
  return { entries, cluster: cluster as ClusterId | null, horizon }
}

/** An entry's value as it travels between boxes. */
export const keptBytes = (value: Kept): Buffer => Buffer.from(JSON.stringify(value))

/** Null: it makes no sense under this key. */
export function readKept(key: string, bytes: Buffer): Kept | null {
  const value = parse(bytes.toString('utf8'))
  return isKept(key, value) ? value : null
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return null
  }
}

type Found = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Found =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function isEntry(value: unknown): value is Stamped<Kept> {
  if (!isObject(value) || !isText(value['key']) || !isStamp(value['stamp'])) return false
  return value['value'] === null || isKept(value['key'], value['value'])
}

function isStamp(value: unknown): value is Stamp {
  if (!isObject(value)) return false
  const { wallMs, counter, node } = value
  return isCount(wallMs) && isCount(counter) && isText(node) && isId(node)
}

function isKept(key: string, value: unknown): value is Kept {
  if (!isObject(value)) return false
  if (value['is'] === 'rule') return isRule(value) && key === ruleKey(value)
  return isAccount(value) && key === accountKey(value.name)
}

function isRule(found: Found): found is Found & GrantedRule {
  const { who, effect, action, filter } = found
  return (
    isText(who) &&
    isWho(who) &&
    isText(filter) &&
    (effect === 'allow' || effect === 'deny') &&
    (action === 'publish' || action === 'subscribe' || action === 'both')
  )
}

function isAccount(found: Found): found is Found & Account {
  const { is, name, verifier, scram, groups } = found
  return (
    is === 'account' &&
    isText(name) &&
    isVerifier(verifier) &&
    (scram === null || isScram(scram)) &&
    Array.isArray(groups) &&
    groups.every(isText)
  )
}

/** A member must not keep our thread for hashes busy for ever: 64 MiB and some seconds on a small box. */
const SCRYPT_WORK_MAX = 2 ** 19
const SCRYPT_PARALLEL_MAX = 8

function isVerifier(found: unknown): found is Verifier {
  if (!isObject(found) || !isText(found['hash'])) return false
  if (found['kind'] === 'sha256') return true
  const { kind, cost, blockSize, parallel, salt } = found
  if (kind !== 'scrypt' || !isCount(cost) || !isCount(blockSize) || !isCount(parallel) || !isText(salt)) return false
  return cost * blockSize <= SCRYPT_WORK_MAX && parallel <= SCRYPT_PARALLEL_MAX
}

function isScram(found: unknown): found is ScramCredentials {
  if (!isObject(found)) return false
  const { iterations, salt, storedKey, serverKey } = found
  return isCount(iterations) && isText(salt) && isText(storedKey) && isText(serverKey)
}
