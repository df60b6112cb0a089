// Wills of connected clients, for when their box dies, and which of them were published: entries of a node's part.
//
//   standing, under `w/` client id    epoch 16 | flags u8 | account u16+utf8 | listener u16+utf8 | will
//   published, under `f/` client id   epoch 16
//
// epoch: the stamp of the CONNECT that brought the will. flags: bit 0 there is an account, bit 1 a listener whose rules
// hold. will: as in wire/record/session.ts. A value may be longer than its reader knows.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { ClientId } from '../../base/ids.ts'
import { KiB } from '../../base/limits.ts'
import { readStamp, STAMP_BYTES, type Stamp, writeStamp } from '../../base/stamps.ts'
import { parseTopicName } from '../../topic/name.ts'
import type { WillPacket } from '../mqtt/packets.ts'
import { readWill, writeWill } from '../record/session.ts'

/** Bytes of the longest value that is accepted: longer wills are not shared. */
export const WILL_BYTES_MAX = 64 * KiB

const ACCOUNT = 1
const LISTENER = 2

/** The will of a connected client, as other boxes may have to publish it. */
export interface StandingWill {
  readonly epoch: Stamp
  /** Whom the client has proven to be, and where it came in: its rights are looked up when the will is published. */
  readonly account: string | null
  readonly listener: string | null
  readonly will: WillPacket
}

export const standingKey = (clientId: ClientId): string => `w/${clientId}`
export const publishedKey = (clientId: ClientId): string => `f/${clientId}`

/** What a key speaks of; null: something that a later version keeps there. */
export function readKey(key: string): { readonly kind: 'standing' | 'published'; readonly clientId: ClientId } | null {
  const clientId = key.slice(2) as ClientId
  if (key.startsWith('w/')) return { kind: 'standing', clientId }
  return key.startsWith('f/') ? { kind: 'published', clientId } : null
}

export function encodeStanding({ epoch, account, listener, will }: StandingWill): Buffer {
  const writer = new ByteWriter(128 + will.payload.length)
    .raw(encodePublished(epoch))
    .u8((account === null ? 0 : ACCOUNT) | (listener === null ? 0 : LISTENER))
    .text(account ?? '')
    .text(listener ?? '')
  writeWill(writer, will)
  return writer.done()
}

/** Throws PeerError. */
export function decodeStanding(value: Buffer): StandingWill {
  const epoch = decodePublished(value)
  const reader = new ByteReader(value, STAMP_BYTES)
  const flags = reader.u8()
  const [account, listener] = [reader.text(), reader.text()]
  const will = readWill(reader)
  if (reader.broken) throw new PeerError('will cut short')
  if (parseTopicName(will.topic, Number.POSITIVE_INFINITY) instanceof Error) throw new PeerError('will without a topic')
  return {
    epoch,
    account: (flags & ACCOUNT) === 0 ? null : account,
    listener: (flags & LISTENER) === 0 ? null : listener,
    will,
  }
}

export function encodePublished(epoch: Stamp): Buffer {
  const bytes = Buffer.allocUnsafe(STAMP_BYTES)
  writeStamp(epoch, bytes, 0)
  return bytes
}

/** Throws PeerError. */
export function decodePublished(value: Buffer): Stamp {
  if (value.length < STAMP_BYTES) throw new PeerError('will without an epoch')
  return readStamp(value, 0)
}

/** Throws PeerError unless a member may have this entry. */
export function checkWill(key: string, value: Buffer): void {
  const kind = readKey(key)?.kind
  if (kind === 'standing') decodeStanding(value)
  else if (kind === 'published') decodePublished(value)
}
