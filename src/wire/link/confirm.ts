// The first frame inside TLS, each way: both hellos again, so that a change made to them in the clear is found, and what
// a member tells of itself.
//
//     0  the accepting side's hello  64
//    64  the dialling side's hello   64
//   128  cluster port                 2   (where this node takes links)
//   130  number of endpoints          1   (at most 8), then each: address as text, port 2
//        node name, software version      texts
//        anything behind is of a later version and ignored
//
// A text is 2 bytes of length and UTF-8.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { Endpoint } from '../../base/ports/streams.ts'
import { printable } from './frame.ts'
import { HELLO_BYTES } from './hello.ts'

export const ENDPOINTS_MAX = 8
const NAME_CHARACTERS_MAX = 255
const VERSION_CHARACTERS_MAX = 64

export interface Confirm {
  readonly acceptorHello: Buffer
  readonly diallerHello: Buffer
  readonly clusterPort: number
  /** Where others reach this node, in its own opinion. */
  readonly endpoints: readonly Endpoint[]
  readonly name: string
  readonly version: string
}

export function encodeConfirm(confirm: Confirm): Buffer {
  const writer = new ByteWriter()
  writer.raw(confirm.acceptorHello).raw(confirm.diallerHello).u16(confirm.clusterPort)
  writeEndpoints(writer, confirm.endpoints)
  writer.text(confirm.name.slice(0, NAME_CHARACTERS_MAX)).text(confirm.version.slice(0, VERSION_CHARACTERS_MAX))
  return writer.done()
}

/** The hellos are copies; throws PeerError. */
export function decodeConfirm(bytes: Buffer, start: number, end: number): Confirm {
  const reader = new ByteReader(bytes, start, end)
  const acceptorHello = Buffer.from(reader.view(HELLO_BYTES))
  const diallerHello = Buffer.from(reader.view(HELLO_BYTES))
  const clusterPort = reader.u16()
  const endpoints = readEndpoints(reader)
  const name = readText(reader, NAME_CHARACTERS_MAX)
  const version = readText(reader, VERSION_CHARACTERS_MAX)
  if (reader.broken) throw new PeerError('truncated frame')
  return { acceptorHello, diallerHello, clusterPort, endpoints, name, version }
}

export function writeEndpoints(writer: ByteWriter, endpoints: readonly Endpoint[]): void {
  const listed = endpoints.slice(0, ENDPOINTS_MAX)
  writer.u8(listed.length)
  for (const endpoint of listed) writer.text(endpoint.address).u16(endpoint.port)
}

/** Throws PeerError for what cannot be an address; a broken reader is for the caller to notice. */
export function readEndpoints(reader: ByteReader): Endpoint[] {
  const count = reader.u8()
  if (count > ENDPOINTS_MAX) throw new PeerError('too many endpoints')
  const endpoints: Endpoint[] = []
  for (let index = 0; index < count; index++) {
    const address = reader.text()
    const port = reader.u16()
    if (reader.broken) break
    if (port === 0 || !ADDRESS.test(address)) throw new PeerError('bad endpoint')
    endpoints.push({ address, port })
  }
  return endpoints
}

/** An IPv4 or IPv6 address or a host name: nothing else is ever given to the network. */
const ADDRESS = /^[0-9A-Za-z.:_%-]{1,253}$/

export function readText(reader: ByteReader, charactersMax: number): string {
  const text = reader.text()
  if (text.length > charactersMax) throw new PeerError('text too long')
  return printable(text)
}
