// Which share groups a forwarded message is for: field 2 of an item (forward.ts).
//
//   flags u8 | group u16+utf8 ...        group: `name/filter`, as it stands behind `$share/`
//
// flags: bit 0 only these groups: whoever else wants the message there has it; bit 1 withdrawn: the groups have got it
// another way since; bits 2-4 how often it was handed on; bits 5-7 zero, ignored when read. Of each group one consumer
// gets the message. Without the field no group does.

import { PeerError } from '../../base/errors.ts'
import { parseTopicFilter } from '../../topic/filter.ts'
import { isMqttString } from '../mqtt/utf8.ts'
import { ROUTE_LEVELS_MAX } from './routes.ts'
import { TextCache } from './textcache.ts'

export const FIELD_TARGETS = 2

const ONLY = 0x01
const WITHDRAWN = 0x02
const HOPS_SHIFT = 2
export const HOPS_MAX = 7

/** Bytes of groups in one item; those that do not fit go in another. */
export const TARGETS_BYTES_MAX = 60_000

export interface ShareTargets {
  readonly groups: readonly string[]
  /** The message is for these groups and nobody else there. */
  readonly only: boolean
  /** How often it was handed on, because the consumer it was meant for had gone. */
  readonly hops: number
}

export const NO_TARGETS: ShareTargets = { groups: [], only: false, hops: 0 }

/** `groups`: as `encodeText` gives them (forward.ts). */
export function encodeTargets(groups: readonly Buffer[], only: boolean, hops: number): Buffer {
  return Buffer.concat([Buffer.from([(only ? ONLY : 0) | (hops << HOPS_SHIFT)]), ...groups])
}

const groupTexts = new TextCache(4096, decodeGroup)

/** Reads bytes [start, end); throws PeerError. */
export function decodeTargets(bytes: Buffer, start: number, end: number): ShareTargets {
  if (start === end) throw new PeerError('forwarded share groups without flags')
  const flags = bytes[start]!
  const groups: string[] = []
  for (let at = start + 1; at < end; ) {
    const from = at + 2
    const to = from <= end ? from + bytes.readUInt16BE(at) : from
    if (to > end) throw new PeerError('forwarded share groups cut short')
    groups.push(groupTexts.get(bytes, from, to))
    at = to
  }
  const withdrawn = (flags & WITHDRAWN) !== 0
  return { groups: withdrawn ? [] : groups, only: (flags & ONLY) !== 0, hops: (flags >> HOPS_SHIFT) & HOPS_MAX }
}

/** The groups named in a field whose flags stand at `at` are served another way from now on. */
export function withdrawTargets(bytes: Buffer, at: number): void {
  bytes[at] = bytes[at]! | WITHDRAWN
}

/** Whether this can be a share group between boxes: `name/filter`. */
export function isGroup(text: string): boolean {
  const parsed = parseTopicFilter(`$share/${text}`, ROUTE_LEVELS_MAX)
  return !(parsed instanceof Error) && parsed.share !== null
}

function decodeGroup(bytes: Buffer, start: number, end: number): string {
  const text = isMqttString(bytes, start, end) ? bytes.toString('utf8', start, end) : ''
  if (!isGroup(text)) throw new PeerError('forwarded share group that is none')
  return text
}
