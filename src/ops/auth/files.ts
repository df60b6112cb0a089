// The files that `auth.password_file` and `auth.acl_file` name: read at start and at each reload, all that is wrong said
// at once, with file and line.

import type { GrantedRule } from '../../broker/accountfile.ts'
import { readText } from '../directories.ts'
import { Ending, Exit } from '../exit.ts'
import { type FileProblem, type FileVerifier, parseAclFile, parsePasswordFile } from './mosquitto.ts'

/** Bytes; a line is some hundred. */
const FILE_BYTES_MAX = 16 * 1024 * 1024
const PROBLEMS_SHOWN = 20

export interface AuthFiles {
  readonly passwords: ReadonlyMap<string, FileVerifier>
  /** Null: no acl_file. */
  readonly rules: readonly GrantedRule[] | null
  /** By listener, where it names a file of its own: that counts there, instead of the one for all. */
  readonly passwordsAt: ReadonlyMap<string, ReadonlyMap<string, FileVerifier>>
  readonly rulesAt: ReadonlyMap<string, readonly GrantedRule[]>
}

interface Named {
  readonly password_file: string | null
  readonly acl_file: string | null
}

export function readAuthFiles(
  auth: Named,
  listeners: Readonly<Record<string, { readonly enabled: boolean; readonly auth: Named }>> = {},
): AuthFiles {
  const problems: string[] = []
  const read = <T extends { readonly problems: readonly FileProblem[] }>(
    key: string,
    file: string | null,
    parse: (text: string) => T,
  ): T | null => {
    if (file === null) return null
    const text = readText(file, FILE_BYTES_MAX)
    if (text === null) {
      problems.push(`${file}: no such file (${key})`)
      return null
    }
    const parsed = parse(text)
    problems.push(...parsed.problems.map(({ line, what }) => `${file}:${line}: ${what}`))
    return parsed
  }
  const passwords = read('auth.password_file', auth.password_file, parsePasswordFile)
  const acl = read('auth.acl_file', auth.acl_file, parseAclFile)
  const passwordsAt = new Map<string, ReadonlyMap<string, FileVerifier>>()
  const rulesAt = new Map<string, readonly GrantedRule[]>()
  for (const [name, { enabled, auth: own }] of Object.entries(listeners)) {
    if (!enabled) continue
    const ownPasswords = read(`listeners.${name}.auth.password_file`, own.password_file, parsePasswordFile)
    const ownAcl = read(`listeners.${name}.auth.acl_file`, own.acl_file, parseAclFile)
    if (ownPasswords !== null) passwordsAt.set(name, ownPasswords.passwords)
    if (ownAcl !== null) rulesAt.set(name, ownAcl.rules)
  }
  if (problems.length > 0) {
    const more = problems.length - PROBLEMS_SHOWN
    const shown = [...problems.slice(0, PROBLEMS_SHOWN), ...(more > 0 ? [`and ${more} more`] : [])]
    throw new Ending(Exit.configuration, ['accounts and access rules are wrong:', ...shown].join('\n  '))
  }
  return { passwords: passwords?.passwords ?? new Map(), rules: acl?.rules ?? null, passwordsAt, rulesAt }
}
