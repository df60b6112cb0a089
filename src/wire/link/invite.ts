// An invite as the cluster's settings keep it: everything a member needs to let a box in by its code, but not the code.
//
//    0  format, 1                1     1  flags (1: whoever is let in gets the key of the CA)  1
//    2  boxes that may be let in 2     4  end, in milliseconds of cluster time since 1970      6
//   10  the key of the code     32    42  the node that made it                                8
//   50  boxes that were let in   1    51  their ids                                       8 each
//       anything behind is of a later version and ignored

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { KEY_BYTES } from '../../base/ports/keyed.ts'

const FORMAT = 1
const ISSUER = 1
/** Boxes that one invite lets in at most. */
export const USES_MAX = 100

export interface Invite {
  readonly issuer: boolean
  readonly uses: number
  readonly endMs: number
  readonly key: Buffer
  readonly by: NodeId
  readonly used: readonly NodeId[]
}

export const INVITE_BYTES_MAX = 51 + 8 * USES_MAX

export function encodeInvite(invite: Invite): Buffer {
  const writer = new ByteWriter()
    .u8(FORMAT)
    .u8(invite.issuer ? ISSUER : 0)
    .u16(invite.uses)
    .u48(invite.endMs)
    .raw(invite.key)
    .id(invite.by)
    .u8(invite.used.length)
  for (const node of invite.used) writer.id(node)
  return writer.done()
}

/** Copies what it keeps; throws PeerError. */
export function decodeInvite(bytes: Buffer): Invite {
  const reader = new ByteReader(bytes)
  if (reader.u8() !== FORMAT) throw new PeerError('an invite of another format')
  const flags = reader.u8()
  const uses = reader.u16()
  const endMs = reader.u48()
  const key = Buffer.from(reader.view(KEY_BYTES))
  const by = reader.id<NodeId>()
  const count = reader.u8()
  const used = count > USES_MAX ? [] : Array.from({ length: count }, () => reader.id<NodeId>())
  if (reader.broken || count > USES_MAX) throw new PeerError('a broken invite')
  return { issuer: (flags & ISSUER) !== 0, uses, endMs, key, by, used }
}
