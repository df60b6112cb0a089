// What members tell each other of the members they know, on the channel `members`.
//
//   0  number of entries  2   (at most 64; a longer list is several messages)
//      each:  flags 1 (bit 0: the teller has a link to it; bit 1: it left)
//             node id 8, instance 8
//             number of endpoints 1, then each: address as text, port 2
//             name, software version   texts
//             length of what later versions add 2, and that

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { InstanceId, NodeId } from '../../base/ids.ts'
import type { Endpoint } from '../../base/ports/streams.ts'
import { readEndpoints, readText, writeEndpoints } from './confirm.ts'

export const ENTRIES_MAX = 64
const LINKED = 1
const LEFT = 2

export interface MemberEntry {
  readonly id: NodeId
  readonly instance: InstanceId
  readonly endpoints: readonly Endpoint[]
  readonly name: string
  readonly version: string
  readonly linked: boolean
  readonly left: boolean
}

export function encodeMembers(entries: readonly MemberEntry[]): Buffer {
  const writer = new ByteWriter(64 + entries.length * 128)
  writer.u16(entries.length)
  for (const entry of entries) {
    writer.u8((entry.linked ? LINKED : 0) | (entry.left ? LEFT : 0))
    writer.id(entry.id).id(entry.instance)
    writeEndpoints(writer, entry.endpoints)
    writer.text(entry.name.slice(0, 255)).text(entry.version.slice(0, 64)).u16(0)
  }
  return writer.done()
}

/** Throws PeerError. */
export function decodeMembers(bytes: Buffer): MemberEntry[] {
  const reader = new ByteReader(bytes)
  const count = reader.u16()
  if (count > ENTRIES_MAX) throw new PeerError('too many members in one message')
  const entries: MemberEntry[] = []
  for (let index = 0; index < count; index++) {
    const flags = reader.u8()
    const id = reader.id<NodeId>()
    const instance = reader.id<InstanceId>()
    const endpoints = readEndpoints(reader)
    const name = readText(reader, 255)
    const version = readText(reader, 64)
    reader.view(reader.u16())
    if (reader.broken) throw new PeerError('truncated message')
    entries.push({
      id,
      instance,
      endpoints,
      name,
      version,
      linked: (flags & LINKED) !== 0,
      left: (flags & LEFT) !== 0,
    })
  }
  if (reader.broken) throw new PeerError('truncated message')
  return entries
}
