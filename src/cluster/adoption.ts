// What a box was given becomes what it is: written to disk in an order in which every prefix reads well at the next start
// (identity.ts). Its own certificate, which everything stands on, goes first and comes last.

import type { HostError } from '../base/errors.ts'
import type { ClusterId } from '../base/ids.ts'
import type { StateFiles } from '../base/ports/files.ts'
import type { Admitted } from './enrolattempt.ts'
import { FILES, GAVE_UP_MAX, nodeFile } from './identity.ts'

/** What the box was before. */
export interface Before {
  /** The cluster that it leaves; null: it belonged to none. */
  readonly gaveUp: ClusterId | null
  readonly gaveUpBefore: readonly ClusterId[]
}

interface Write {
  readonly name: string
  readonly text: string
  readonly secret?: true
}

/** The files, in order. */
export function adoptionFiles({ cluster, node, grant, keys }: Admitted, before: Before): readonly Write[] {
  const left = before.gaveUpBefore.filter((each) => each !== cluster && each !== before.gaveUp)
  const gaveUp = [...left, ...(before.gaveUp === null ? [] : [before.gaveUp])].slice(-GAVE_UP_MAX)
  return [
    { name: FILES.certificate, text: '' },
    { ...nodeFile({ id: node, waitingFor: cluster, founded: false, gaveUp }) },
    { name: FILES.caKey, text: grant.caKey ?? '', secret: true },
    { name: FILES.caCertificate, text: grant.anchors[0]! },
    { name: FILES.key, text: keys.privateKey, secret: true },
    { name: FILES.certificate, text: grant.certificate },
  ]
}

/** Writes one after the other; `done` gets null when all are on disk. */
export function adopt(
  files: StateFiles,
  admitted: Admitted,
  before: Before,
  done: (error: HostError | null) => void,
): void {
  const write = ([first, ...rest]: readonly Write[]): void => {
    if (first === undefined) return done(null)
    files.write(first.name, Buffer.from(first.text), first.secret === true, (error) =>
      error === null ? write(rest) : done(error),
    )
  }
  write(adoptionFiles(admitted, before))
}
