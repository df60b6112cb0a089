// What is kept of accounts and rules, and how it stands in `accounts.json`:
//
//   {"version":1,"entries":[ {"key":"account:NAME","stamp":{wallMs,counter,node},"value":{...} | null}, ... ]}

import { isId } from '../base/ids.ts'
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

/** The entries of the file's text; null when it is not what we write. */
export function readEntries(text: string): readonly Stamped<Kept>[] | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return null
  }
  if (!isObject(parsed) || parsed['version'] !== 1 || !Array.isArray(parsed['entries'])) return null
  const entries: unknown[] = parsed['entries']
  return entries.every(isEntry) ? entries : null
}

type Found = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Found =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function isEntry(value: unknown): value is Stamped<Kept> {
  if (!isObject(value) || !isText(value['key']) || !isObject(value['stamp'])) return false
  const { wallMs, counter, node } = value['stamp']
  if (!isCount(wallMs) || !isCount(counter) || !isText(node) || !isId(node)) return false
  const kept = value['value']
  if (kept === null) return true
  if (!isObject(kept)) return false
  if (kept['is'] === 'rule') return isRule(kept) && value['key'] === ruleKey(kept)
  return isAccount(kept) && value['key'] === accountKey(kept.name)
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

function isVerifier(found: unknown): found is Verifier {
  if (!isObject(found) || !isText(found['hash'])) return false
  if (found['kind'] === 'sha256') return true
  const { kind, cost, blockSize, parallel, salt } = found
  return kind === 'scrypt' && isCount(cost) && isCount(blockSize) && isCount(parallel) && isText(salt)
}

function isScram(found: unknown): found is ScramCredentials {
  if (!isObject(found)) return false
  const { iterations, salt, storedKey, serverKey } = found
  return isCount(iterations) && isText(salt) && isText(storedKey) && isText(serverKey)
}
