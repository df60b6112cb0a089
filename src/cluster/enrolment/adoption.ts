// What a box was given, as the files that make it what it is. They count only all together: a power cut leaves the box
// what it was before, or makes it a member.

import type { ClusterId } from '../../base/ids.ts'
import { FILES, GAVE_UP_MAX, lineFile, nodeFile } from '../trust/identity.ts'
import type { Write } from '../trust/together.ts'
import type { Admitted } from './enrolattempt.ts'

/** What the box was before. */
export interface Before {
  /** The cluster that it leaves; null: it belonged to none. */
  readonly gaveUp: ClusterId | null
  readonly gaveUpBefore: readonly ClusterId[]
}

export function adoptionFiles({ cluster, node, grant, fingerprint, keys }: Admitted, before: Before): readonly Write[] {
  const left = before.gaveUpBefore.filter((each) => each !== cluster && each !== before.gaveUp)
  const gaveUp = [...left, ...(before.gaveUp === null ? [] : [before.gaveUp])].slice(-GAVE_UP_MAX)
  return [
    { ...nodeFile({ id: node, waitingFor: null, founded: false, gaveUp }), secret: false },
    { name: FILES.caKey, text: grant.caKey ?? '', secret: true },
    { name: FILES.caCertificate, text: grant.anchors[0]!, secret: false },
    // The CAs before it are not believed here: they stand in nothing that people have compared.
    {
      ...lineFile(fingerprint, { generation: grant.generation, earlier: [], sealed: false, holders: [] }),
      secret: false,
    },
    { name: FILES.key, text: keys.privateKey, secret: true },
    { name: FILES.certificate, text: grant.certificate, secret: false },
  ]
}
