// The certificates that people give their listeners, read and proven before anything is started or reloaded.

import { HostError } from '../base/errors.ts'
import type { Trust } from '../base/ports/trust.ts'
import { type ListenerTls, NO_TLS } from '../broker/listeners.ts'
import type { Configuration } from './config/schema.ts'
import { readText } from './directories.ts'
import { Ending, Exit } from './exit.ts'

export type ListenerFiles = ReadonlyMap<string, ListenerTls>

const PEM_BYTES_MAX = 256 * 1024
/** Revocations of a large CA. */
const CRL_BYTES_MAX = 4 * 1024 * 1024

/** `trust` is asked for only when there is something to judge. */
export async function readListenerFiles(
  listeners: Configuration['listeners'],
  trust: () => Promise<Pick<Trust, 'matches'>>,
): Promise<ListenerFiles> {
  const files = new Map<string, ListenerTls>()
  for (const [name, { enabled, tls }] of Object.entries(listeners)) {
    const { cert, key, ca, crl } = tls
    if (!enabled || (cert === null && ca === null && crl === null)) continue
    const read = (what: string, file: string | null, bytesMax: number): string | null => {
      if (file === null) return null
      const text = readText(file, bytesMax)
      if (text === null) throw wrong(`listeners.${name}.tls.${what}: ${file}: no such file`)
      return text
    }
    const certificate = read('cert', cert, PEM_BYTES_MAX)
    const privateKey = read('key', key, PEM_BYTES_MAX)
    const own = certificate === null || privateKey === null ? null : { certificate, privateKey }
    if (own !== null) {
      const matches = (await trust()).matches(own.certificate, own.privateKey)
      if (matches instanceof HostError) throw wrong(`listeners.${name}.tls: ${cert}, ${key}: ${matches.message}`)
      if (!matches) throw wrong(`listeners.${name}.tls: ${key} is not the key of ${cert}`)
    }
    files.set(name, {
      ...NO_TLS,
      own,
      anchors: read('ca', ca, PEM_BYTES_MAX),
      revocations: read('crl', crl, CRL_BYTES_MAX),
    })
  }
  return files
}

const wrong = (message: string): Ending => new Ending(Exit.configuration, message)
