import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { decodeRelay, encodeRelay, RELAY_PIECE_BYTES, type RelayMessage } from '../../../../src/wire/link/relay.ts'

const node = '0123456789abcdef' as NodeId

test.each<[RelayMessage, string]>([
  [{ kind: 'open', circuit: 1, node }, '01 00000001 0123456789abcdef'],
  [{ kind: 'opened', circuit: 0x8000_0002, node }, '02 80000002 0123456789abcdef'],
  [{ kind: 'bytes', circuit: 3, bytes: Buffer.from('sealed') }, '03 00000003 7365616c6564'],
  [{ kind: 'credit', circuit: 4, consumed: 65_536 }, '04 00000004 00010000'],
  [{ kind: 'end', circuit: 5 }, '05 00000005'],
])('%j', (message, golden) => {
  const bytes = Buffer.from(golden.replaceAll(' ', ''), 'hex')
  expect(encodeRelay(message).toString('hex')).toBe(bytes.toString('hex'))
  expect(decodeRelay(bytes)).toEqual(message)
  for (let cut = 0; cut < Math.min(bytes.length, 6); cut++)
    expect(() => decodeRelay(bytes.subarray(0, cut))).toThrow(PeerError)
})

test('more than a piece is refused, and nothing at all; a later version`s kind is passed over', () => {
  const piece = (length: number) => Buffer.concat([Buffer.from('0300000001', 'hex'), Buffer.alloc(length)])
  expect(decodeRelay(piece(RELAY_PIECE_BYTES))).toMatchObject({ kind: 'bytes' })
  expect(() => decodeRelay(piece(RELAY_PIECE_BYTES + 1))).toThrow(PeerError)
  expect(() => decodeRelay(piece(0))).toThrow(PeerError)
  expect(decodeRelay(Buffer.from('0900000001ff', 'hex'))).toBeNull()
  expect(decodeRelay(Buffer.from('0500000001ff', 'hex'))).toEqual({ kind: 'end', circuit: 1 })
})
