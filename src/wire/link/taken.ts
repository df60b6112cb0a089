// What two members say of the batches between them, on the channel `forward`, each for its own direction.
//
//   here    2 | own run 8 . known run 8 . received u48 . safe u48     receiver, when linked: what I have of you
//   begin   3 | run 8 . sequence u48                                  sender: this run of mine goes on with this number
//   taken   4 | received u48 . safe u48                               receiver: how far I have come
//
// A run is one life of a sender's numbers, zeros: none. `known run` is the sender's that `received` and `safe` count in.
// received: everything up to there is here. safe: what had to be kept of it outlives the receiver's death. Numbers
// between the last that came and a `begin` are not missing: they were received, and safe, before the receiver began anew.
// Batches are 1 and 5, in forward.ts.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'

const HERE = 2
const BEGIN = 3
const TAKEN = 4

/** 8 bytes in hexadecimal. */
export type RunId = string
export const NO_RUN: RunId = '0000000000000000'
export const RUN_BYTES = 8

export type TakenMessage =
  | {
      readonly kind: 'here'
      readonly own: RunId
      readonly known: RunId
      readonly received: number
      readonly safe: number
    }
  | { readonly kind: 'begin'; readonly run: RunId; readonly sequence: number }
  | { readonly kind: 'taken'; readonly received: number; readonly safe: number }

export function encodeTaken(message: TakenMessage): Buffer {
  switch (message.kind) {
    case 'here':
      return new ByteWriter(32)
        .u8(HERE)
        .id(message.own)
        .id(message.known)
        .u48(message.received)
        .u48(message.safe)
        .done()
    case 'begin':
      return new ByteWriter(16).u8(BEGIN).id(message.run).u48(message.sequence).done()
    case 'taken':
      return new ByteWriter(16).u8(TAKEN).u48(message.received).u48(message.safe).done()
  }
}

/** Null: none of these. Throws PeerError for what breaks the layout. */
export function decodeTaken(bytes: Buffer): TakenMessage | null {
  const reader = new ByteReader(bytes)
  const message = read(reader)
  if (message === null) return null
  if (reader.broken) throw new PeerError(`forwarding: ${message.kind} cut short`)
  if (message.kind === 'begin' ? message.sequence === 0 : message.safe > message.received) {
    throw new PeerError(`forwarding: ${message.kind} with an impossible number`)
  }
  return message
}

function read(reader: ByteReader): TakenMessage | null {
  switch (reader.u8()) {
    case HERE:
      return { kind: 'here', own: reader.id(), known: reader.id(), received: reader.u48(), safe: reader.u48() }
    case BEGIN:
      return { kind: 'begin', run: reader.id(), sequence: reader.u48() }
    case TAKEN:
      return { kind: 'taken', received: reader.u48(), safe: reader.u48() }
    default:
      return null
  }
}
