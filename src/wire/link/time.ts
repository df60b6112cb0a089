// What members tell each other of time, on the channel `time`: on a new link, every few seconds, and when it was changed.
//
//   0  kind 1                  1
//   1  flags                   1   bit 0: the teller's own clock is synchronised
//                                  bit 1: it knows the cluster's time, from a member or as who made the cluster
//   2  cluster time            6   milliseconds since 1970
//   8  the teller's own clock  6   the same, for people
//  14  seconds since a synchronised clock was last followed  4   (all ones: never)
//  18  how often people have set the time                    4
//  22  members that agree with this time, the teller too     2
//
// What stands behind is of a later version and ignored; other kinds are skipped.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'

/** No time that anybody means; counting on from it still fits 6 bytes. */
export const TIME_MS_MAX = 2 ** 47
const KIND_TIME = 1
const SYNCHRONISED = 1
const ESTABLISHED = 2
const NEVER = 0xffff_ffff

export interface ToldTime {
  readonly synchronised: boolean
  readonly established: boolean
  readonly timeMs: number
  readonly ownMs: number
  /** Since a synchronised clock was last followed, here or by whoever this time came from; null: never. */
  readonly followedMs: number | null
  readonly sets: number
  readonly agreeing: number
}

export function encodeTime(told: ToldTime): Buffer {
  const { followedMs } = told
  return new ByteWriter(32)
    .u8(KIND_TIME)
    .u8((told.synchronised ? SYNCHRONISED : 0) | (told.established ? ESTABLISHED : 0))
    .u48(told.timeMs)
    .u48(told.ownMs)
    .u32(followedMs === null ? NEVER : Math.min(NEVER - 1, Math.ceil(followedMs / 1000)))
    .u32(Math.min(NEVER, told.sets))
    .u16(Math.min(0xffff, told.agreeing))
    .done()
}

/** Null: of a later version, to be skipped. Throws PeerError. */
export function decodeTime(bytes: Buffer): ToldTime | null {
  const reader = new ByteReader(bytes)
  const kind = reader.u8()
  if (!reader.broken && kind !== KIND_TIME) return null
  const flags = reader.u8()
  const timeMs = reader.u48()
  const ownMs = reader.u48()
  const seconds = reader.u32()
  const sets = reader.u32()
  const agreeing = reader.u16()
  if (reader.broken) throw new PeerError('truncated message')
  if (timeMs > TIME_MS_MAX || ownMs > TIME_MS_MAX) throw new PeerError('a time that nobody can mean')
  return {
    synchronised: (flags & SYNCHRONISED) !== 0,
    established: (flags & ESTABLISHED) !== 0,
    timeMs,
    ownMs,
    followedMs: seconds === NEVER ? null : seconds * 1000,
    sets,
    agreeing,
  }
}
