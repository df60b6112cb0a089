// Copies of sessions on their way from owner to backup, on the channel `copies`; of what is parked, on the channel `park`.
//
//   have    1 | feed u48 . sequence u48          backup: this is what I hold of yours; zeros: nothing
//   begin   2 | feed u48                         owner: a new feed; what you hold of an older one is none of it
//   batch   3 | sequence u48 | item ...          owner: records that are so now (items as in records.ts)
//   took    4 | feed u48 . sequence u48          backup: has everything up to here
//   whole   5 |                                  owner: by now you have every session that is yours to hold
//   stood   7 | owner 8                          to all: sessions of that box are kept going here now; to that box: or
//                                                were given to who asked for them
//   done    8 | count u16 | record u48 ...       holder, of `park`: these were passed on while you were gone
//   full    6 |                                  backup: has no room, and holds nothing of yours any more
//
// feed: a number for each time that the owner starts afresh (`begin` with 0, of `park`: nothing is to be held any more); sequences count within it, without gaps. A message is sent
// before the first record that refers to it, and is forgotten on both sides with the last one. Unknown kinds are skipped.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { type ReadItem, readItems } from './records.ts'

const HAVE = 1
const BEGIN = 2
const BATCH = 3
const TOOK = 4
const WHOLE = 5
const FULL = 6
const STOOD = 7
const DONE = 8

export type CopyMessage =
  | { readonly kind: 'have' | 'took'; readonly feed: number; readonly sequence: number }
  | { readonly kind: 'begin'; readonly feed: number }
  | { readonly kind: 'batch'; readonly sequence: number; readonly items: readonly ReadItem[] }
  | { readonly kind: 'whole' }
  | { readonly kind: 'full' }
  | { readonly kind: 'stood'; readonly owner: NodeId }
  | { readonly kind: 'done'; readonly ids: readonly number[] }

export function encodeCopies(message: Exclude<CopyMessage, { kind: 'batch' }>): Buffer {
  switch (message.kind) {
    case 'have':
    case 'took':
      return new ByteWriter(16)
        .u8(message.kind === 'have' ? HAVE : TOOK)
        .u48(message.feed)
        .u48(message.sequence)
        .done()
    case 'begin':
      return new ByteWriter(8).u8(BEGIN).u48(message.feed).done()
    case 'whole':
      return new ByteWriter(1).u8(WHOLE).done()
    case 'stood':
      return new ByteWriter(16).u8(STOOD).id(message.owner).done()
    case 'full':
      return new ByteWriter(1).u8(FULL).done()
    case 'done': {
      const writer = new ByteWriter(3 + 6 * message.ids.length).u8(DONE).u16(message.ids.length)
      for (const id of message.ids) writer.u48(id)
      return writer.done()
    }
  }
}

/** The head of a batch; the items follow in the same writer. */
export const beginBatch = (sequence: number): ByteWriter => new ByteWriter(1024).u8(BATCH).u48(sequence)
export const BATCH_HEADER_BYTES = 7

/** Null: of a kind that a newer version speaks. Throws PeerError. */
export function decodeCopies(bytes: Buffer): CopyMessage | null {
  const reader = new ByteReader(bytes)
  const message = read(reader)
  if (message !== null && reader.broken) throw new PeerError(`copies: ${message.kind} cut short`)
  return message
}

function read(reader: ByteReader): CopyMessage | null {
  switch (reader.u8()) {
    case HAVE:
      return { kind: 'have', feed: reader.u48(), sequence: reader.u48() }
    case BEGIN:
      return { kind: 'begin', feed: reader.u48() }
    case BATCH:
      return { kind: 'batch', sequence: reader.u48(), items: readItems(reader) }
    case TOOK:
      return { kind: 'took', feed: reader.u48(), sequence: reader.u48() }
    case WHOLE:
      return { kind: 'whole' }
    case STOOD:
      return { kind: 'stood', owner: reader.id<NodeId>() }
    case FULL:
      return { kind: 'full' }
    case DONE: {
      const ids: number[] = []
      for (let left = reader.u16(); left > 0 && !reader.broken; left--) ids.push(reader.u48())
      return { kind: 'done', ids }
    }
    default:
      reader.rest()
      return null
  }
}
