// The CA that people put into certs/ (`ca.crt`, `ca.key`): read and proven before anything is started, so that a half
// copied or mixed up folder is named by its file and not found out by a peer.

import { join } from 'node:path'
import { HostError } from '../base/errors.ts'
import type { Trust } from '../base/ports/trust.ts'
import type { Bundle } from '../cluster/settings.ts'
import { readText } from './directories.ts'
import { Ending, Exit } from './exit.ts'

/** Bytes; a CA with a chain and comments is a few thousand. */
const PEM_BYTES_MAX = 256 * 1024

/** The bundle, or null when there is none. `trust` is asked for only when there is something to judge. */
export async function readBundle(certsDir: string, trust: () => Promise<Trust>): Promise<Bundle | null> {
  const [certificateFile, keyFile] = [join(certsDir, 'ca.crt'), join(certsDir, 'ca.key')]
  const certificate = readText(certificateFile, PEM_BYTES_MAX)
  const privateKey = readText(keyFile, PEM_BYTES_MAX)
  if (certificate === null && privateKey === null) return null
  if (certificate === null) {
    throw wrong(`${keyFile} is there, but ${certificateFile} is not: copy both from the box that has them, or neither`)
  }
  const judge = await trust()
  const facts = judge.read(certificate)
  if (facts instanceof HostError) throw wrong(`${certificateFile}: ${facts.message}`)
  if (facts.kind !== 'ca') throw wrong(`${certificateFile}: not a CA certificate but the one of node ${facts.nodeId}`)
  if (privateKey !== null) {
    const matches = judge.matches(certificate, privateKey)
    if (matches instanceof HostError) throw wrong(`${keyFile}: ${matches.message}`)
    if (!matches) throw wrong(`${keyFile}: not the key of ${certificateFile}: copy both from the same box`)
  }
  return { certificate, privateKey }
}

const wrong = (message: string): Ending => new Ending(Exit.configuration, message)
