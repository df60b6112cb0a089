// Whether a CA that a member offers in the place of ours is to be believed. Pure.

import { HostError, PeerError } from '../../base/errors.ts'
import type { ClusterId } from '../../base/ids.ts'
import type { Trust } from '../../base/ports/trust.ts'
import type { Offer, OfferedEarlier } from '../../wire/link/authority.ts'

/** Where one stands in the line of CAs. */
export interface Place {
  readonly generation: number
  /** Fingerprint of the CA's certificate. */
  readonly authority: string
}

/** The one replaced more often goes before; of two that were made on two sides of a cut, the lower fingerprint. */
export const isLater = (a: Place, b: Place): boolean =>
  a.generation > b.generation || (a.generation === b.generation && a.authority < b.authority)

export interface Believer {
  readonly clusterId: ClusterId
  readonly generation: number
  /** Certificates of the CA in use and of those before it. */
  readonly anchors: readonly string[]
}

/** Rotations that a box can have missed; more is nobody's cluster, and numbers are not to run out. */
const MISSED_MAX = 1000

export interface Believed {
  readonly fingerprint: string
  /** Those before it of which it is proven that they are ours. */
  readonly earlier: readonly OfferedEarlier[]
}

/**
 * The offered CA is believed when certificates, each signed by the CA before, lead to it from one that we believe: so only
 * who had the key of our CA can replace it, and nobody can slip in another one as an earlier. Throws PeerError.
 */
export function judgeOffer(trust: Pick<Trust, 'read' | 'signedBy'>, offer: Offer, believer: Believer): Believed {
  const { clusterId, generation, anchors } = believer
  const facts = trust.read(offer.certificate)
  if (facts instanceof HostError || facts.kind !== 'ca') throw new PeerError('offered what is not a CA')
  if (facts.clusterId !== clusterId) throw new PeerError('offered the CA of another cluster')
  if (offer.generation > generation + MISSED_MAX) throw new PeerError('offered a CA of the far future')
  let later = offer.certificate
  let proven = 0
  for (const [index, { certificate, cross }] of offer.earlier.entries()) {
    // The same key: what `later` has signed itself is signed by the key in `cross`.
    if (!trust.signedBy(cross, certificate) || !trust.signedBy(later, cross)) break
    if (anchors.includes(certificate)) proven = index + 1
    later = certificate
  }
  if (proven === 0 && !anchors.includes(offer.certificate)) {
    throw new PeerError('offered a CA that ours has not signed')
  }
  return { fingerprint: facts.fingerprint, earlier: offer.earlier.slice(0, proven) }
}
