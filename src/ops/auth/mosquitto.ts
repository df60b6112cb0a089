// mosquitto's password_file and acl_file, read as mosquitto reads them, so that what somebody has keeps working.

import { ProtocolError } from '../../base/errors.ts'
import type { GrantedRule, Who } from '../../broker/accountfile.ts'
import { parseTopicFilter } from '../../topic/filter.ts'

/** How a password stands in a password_file. Bytes as base64. */
export type FileVerifier =
  /** `$6$salt$hash` of mosquitto_passwd before 2.0: SHA-512 of password and salt. */
  | { readonly kind: 'sha512'; readonly salt: string; readonly hash: string }
  /** `$7$iterations$salt$hash`: PBKDF2 with SHA-512. */
  | { readonly kind: 'pbkdf2'; readonly iterations: number; readonly salt: string; readonly hash: string }

export interface FileProblem {
  readonly line: number
  readonly what: string
}

/** More would hold up every client that connects for longer than anybody waits. */
const ITERATIONS_MAX = 10_000_000
const LEVELS_MAX = 1000

export function parsePasswordFile(text: string): {
  readonly passwords: ReadonlyMap<string, FileVerifier>
  readonly problems: readonly FileProblem[]
} {
  const passwords = new Map<string, FileVerifier>()
  const problems: FileProblem[] = []
  for (const [index, line] of linesOf(text)) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0))
    const verifier = colon < 1 ? 'found no NAME:HASH' : parseHash(line.slice(colon + 1))
    if (typeof verifier === 'string') problems.push({ line: index, what: verifier })
    else if (passwords.has(name)) problems.push({ line: index, what: `${name} stands here for the second time` })
    else passwords.set(name, verifier)
  }
  return { passwords, problems }
}

/** Never quotes what it found: it may be a password in the clear. */
function parseHash(text: string): FileVerifier | string {
  const [empty, kind, ...rest] = text.trim().split('$')
  if (empty !== '' || kind === undefined) {
    return 'the password is not hashed; right would be what "mosquitto_passwd -U FILE" makes of it'
  }
  if (kind === '6' && rest.length === 2 && isBase64(rest[0]!, 8) && isBase64(rest[1]!, 64, 64)) {
    return { kind: 'sha512', salt: rest[0]!, hash: rest[1]! }
  }
  const iterations = Number(rest[0])
  if (kind === '7' && rest.length === 3 && isBase64(rest[1]!, 8) && isBase64(rest[2]!, 64, 64)) {
    if (Number.isInteger(iterations) && iterations > 0 && iterations <= ITERATIONS_MAX) {
      return { kind: 'pbkdf2', iterations, salt: rest[1]!, hash: rest[2]! }
    }
  }
  return kind === '6' || kind === '7'
    ? `a damaged $${kind}$ hash`
    : 'a hash of an unknown kind; right would be $6$ or $7$ ("mosquitto_passwd -H sha512-pbkdf2")'
}

function isBase64(text: string, leastBytes: number, mostBytes = 1024): boolean {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return false
  const { length } = Buffer.from(text, 'base64')
  return length >= leastBytes && length <= mostBytes
}

const ACTIONS = { read: 'subscribe', write: 'publish', readwrite: 'both', deny: 'both' } as const

/** `user NAME`, `topic [read|write|readwrite|deny] FILTER` and `pattern ...`; before the first `user`, for anonymous. */
export function parseAclFile(text: string): {
  readonly rules: readonly GrantedRule[]
  readonly problems: readonly FileProblem[]
} {
  const rules: GrantedRule[] = []
  const problems: FileProblem[] = []
  let who: Who = 'anonymous'
  for (const [index, line] of linesOf(text)) {
    const wrong = (what: string) => void problems.push({ line: index, what })
    const [word, rest] = split(line)
    if (word === 'user') {
      if (rest === '') wrong('found no name after "user"')
      else who = `user:${rest}`
    } else if (word === 'topic' || word === 'pattern') {
      const [first, others] = split(rest)
      const named = Object.hasOwn(ACTIONS, first) && others !== '' ? (first as keyof typeof ACTIONS) : null
      const filter = named === null ? rest : others
      const access = named ?? 'readwrite'
      const parsed = parseTopicFilter(filter, LEVELS_MAX)
      if (parsed instanceof ProtocolError) wrong(`found no topic filter: ${parsed.message}`)
      else {
        const effect = access === 'deny' ? 'deny' : 'allow'
        const action = ACTIONS[access]
        if (word === 'pattern') rules.push({ is: 'rule', who: 'all', effect, action, filter })
        else rules.push({ is: 'rule', who, effect, action, filter, plain: true })
      }
    } else {
      wrong(`found ${JSON.stringify(word)}; right would be user, topic or pattern`)
    }
  }
  return { rules, problems }
}

function split(text: string): readonly [word: string, rest: string] {
  const match = /^(\S+)\s*(.*)$/s.exec(text)
  return match === null ? ['', ''] : [match[1]!, match[2]!]
}

/** The lines that say something, with their numbers. */
const linesOf = (text: string): (readonly [number, string])[] =>
  text
    .split('\n')
    .map((line, index) => [index + 1, line.trim()] as const)
    .filter(([, line]) => line !== '' && !line.startsWith('#'))
