// What boxes say of sessions, byte by byte.

import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import { writeItem, writeRemoved } from '../../../../src/wire/link/records.ts'
import {
  beginRecords,
  decodeConnected,
  decodeEntry,
  decodeSession,
  encodeConnected,
  encodeEntry,
  encodeSession,
  endRecords,
  type SessionMessage,
} from '../../../../src/wire/link/sessions.ts'

const golden = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex')
const node = '0102030405060708' as NodeId
const other = '1112131415161718' as NodeId
const epoch = { wallMs: 9, counter: 3, node }
const EPOCH = '000000000009 0003 0102030405060708'
const clientId = 'c' as ClientId

const goldens: readonly [Exclude<SessionMessage, { kind: 'records' }>, string][] = [
  [{ kind: 'claim', number: 7, epoch, clientId, account: 'anna' }, `01 00000007 ${EPOCH} 01 000163 0004616e6e61`],
  [{ kind: 'claim', number: 7, epoch, clientId, account: null }, `01 00000007 ${EPOCH} 00 000163 0000`],
  [{ kind: 'none', number: 7, elsewhere: null }, '02 00000007 0000000000000000'],
  [{ kind: 'none', number: 7, elsewhere: other }, '02 00000007 1112131415161718'],
  [{ kind: 'more', side: 'offer', number: 7 }, '04 01 00000007'],
  [{ kind: 'routed', number: 7 }, '05 00000007'],
  [{ kind: 'waits', number: 7 }, '0b 00000007'],
  [{ kind: 'hurry', number: 7 }, '0c 00000007'],
  [{ kind: 'passed', number: 7, member: other }, '0a 00000007 1112131415161718'],
  [{ kind: 'whole', side: 'claim', number: 7 }, '06 00 00000007'],
  [{ kind: 'offer', number: 7, epoch, clientId }, `07 00000007 ${EPOCH} 000163`],
  [{ kind: 'wanted', number: 7, what: 'all' }, '08 00000007 02'],
  [{ kind: 'stop', side: 'claim', number: 7 }, '09 00 00000007'],
]

describe('messages of the channel', () => {
  for (const [message, bytes] of goldens) {
    test(`${message.kind}: ${bytes}`, () => {
      expect(encodeSession(message)).toEqual(golden(bytes))
      expect(decodeSession(golden(bytes))).toEqual(message)
      for (let end = 1; end < golden(bytes).length; end++) {
        expect(() => decodeSession(golden(bytes).subarray(0, end))).toThrow(PeerError)
      }
      // Fields that a later version adds behind.
      expect(decodeSession(golden(`${bytes} 00`))).toEqual(message)
    })
  }

  test('records', () => {
    const writer = beginRecords('offer', 7)
    writeItem(writer, 5, { kind: 6, write: (into) => into.u16(0x0102) }, 0)
    writeRemoved(writer, 6)
    const bytes = endRecords(writer, 'head-end')
    expect(bytes).toEqual(golden('03 01 00000007 01  06 000000000005 00000002 0102  00 000000000006'))
    expect(decodeSession(bytes)).toEqual({
      kind: 'records',
      side: 'offer',
      number: 7,
      part: 'head-end',
      items: [
        { id: 5, kind: 6, body: golden('0102') },
        { id: 6, kind: 0, body: golden('') },
      ],
    })
    expect(() => decodeSession(bytes.subarray(0, bytes.length - 1))).toThrow(PeerError)
    expect(() => decodeSession(bytes.subarray(0, 15))).toThrow(PeerError)
  })

  test('numbers that nobody knows end the link; kinds of later versions do not', () => {
    expect(() => decodeSession(golden('04 02 00000007'))).toThrow(PeerError)
    expect(() => decodeSession(golden('08 00000007 09'))).toThrow(PeerError)
    expect(decodeSession(golden('63 0102'))).toBeNull()
  })
})

test('a directory entry', () => {
  const entry = { over: false, fresh: true, epoch, base: { ...epoch, wallMs: 8 }, owner: node, backup: other }
  const bytes = golden(`02 ${EPOCH} 000000000008 0003 0102030405060708 0102030405060708 1112131415161718`)
  expect(encodeEntry(entry)).toEqual(bytes)
  expect(decodeEntry(bytes)).toEqual(entry)
  expect(decodeEntry(encodeEntry({ ...entry, over: true, backup: null }))).toEqual({
    ...entry,
    over: true,
    backup: null,
  })
  // A later version may have more to say.
  expect(decodeEntry(Buffer.concat([bytes, golden('99')]))).toEqual(entry)
  expect(() => decodeEntry(bytes.subarray(0, 30))).toThrow(PeerError)
})

test('a connected client', () => {
  expect(encodeConnected(epoch)).toEqual(golden(EPOCH))
  expect(decodeConnected(golden(EPOCH))).toEqual(epoch)
  expect(() => decodeConnected(golden(EPOCH).subarray(1))).toThrow(PeerError)
})
