// The words that people compare on two boxes, and what keeps anybody between them from choosing these: each side commits
// to its number before it sees the other's (as Bluetooth's numeric comparison does). Whoever sits in between and shows
// each box another key has one guess in 2^32 for each time that somebody compares.

import type { KeyedTrust } from '../../base/ports/keyed.ts'
import { wordsOf } from './words.ts'

export type Hasher = Pick<KeyedTrust, 'digest'>

/** What a side brings: a box its public key, a member the CA's certificates. */
export interface Part {
  readonly who: 'box' | 'member'
  /** Its hello, with its id. */
  readonly hello: Buffer
  readonly shown: string
}

/** What a side says before it has seen anything of the other's number. */
export const commitmentOf = (hasher: Hasher, part: Part, nonce: Buffer): Buffer =>
  hasher.digest(Buffer.concat([Buffer.from(`edge-mqtt commitment ${part.who}\n`), ...pieces(part), nonce]))

/** The same on both sides when both have seen the same. */
export const comparedWords = (hasher: Hasher, box: Part, boxNonce: Buffer, member: Part, memberNonce: Buffer): string =>
  wordsOf(
    hasher.digest(
      Buffer.concat([Buffer.from('edge-mqtt words\n'), ...pieces(box), boxNonce, ...pieces(member), memberNonce]),
    ),
  )

/** With the length, so that no two parts run into the same bytes; a hello always has 64. */
const pieces = ({ hello, shown }: Part): Buffer[] => {
  const bytes = Buffer.from(shown)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return [hello, length, bytes]
}
