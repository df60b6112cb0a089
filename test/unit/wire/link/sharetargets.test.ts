import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import {
  BATCH_HEADER_BYTES,
  BatchReader,
  encodeText,
  itemBytes,
  writeBatchHeader,
  writeItem,
} from '../../../../src/wire/link/forward.ts'
import { checkShare, decodeShare, encodeShare } from '../../../../src/wire/link/shares.ts'
import { decodeTargets, encodeTargets, NO_TARGETS, withdrawTargets } from '../../../../src/wire/link/sharetargets.ts'
import { EMPTY, type Message } from '../../../../src/wire/message.ts'

const read = (bytes: Buffer) => decodeTargets(bytes, 0, bytes.length)

test('share groups of a message, byte for byte', () => {
  const groups = ['g/x', 'h/+/y'].map(encodeText)
  const bytes = encodeTargets(groups, true, 3)
  expect(bytes.toString('hex')).toBe('0d0003672f780005682f2b2f79')
  expect(read(bytes)).toEqual({ groups: ['g/x', 'h/+/y'], only: true, hops: 3 })
  // What a later version adds to the flags is passed over.
  bytes[0] = bytes[0]! | 0xe0
  expect(read(bytes)).toEqual({ groups: ['g/x', 'h/+/y'], only: true, hops: 3 })
  withdrawTargets(bytes, 0)
  expect(read(bytes)).toEqual({ groups: [], only: true, hops: 3 })
})

test('share groups that make no sense are refused', () => {
  for (const hex of ['', '000003672f', '000001', '00000167', '00 0002 672f', '00 0003 2b2f78', '00 0003 672fff']) {
    expect(() => read(Buffer.from(hex.replaceAll(' ', ''), 'hex')), hex).toThrow(PeerError)
  }
})

test('what a node has of a share group, byte for byte', () => {
  const count = { consumers: 3, connected: 2, durable: true }
  expect(encodeShare(count).toString('hex')).toBe('0100030002')
  expect(decodeShare(Buffer.from('ff00030002ffff', 'hex'))).toEqual(count)
  expect(decodeShare(encodeShare({ ...count, consumers: 100_000 })).consumers).toBe(65_535)
  expect(() => decodeShare(Buffer.from('01000300', 'hex'))).toThrow(PeerError)
  checkShare('g/x/#', encodeShare(count))
  for (const group of ['g', '/x', 'g/', 'g+/x', 'g/#/x', 'g/$SYS/#']) {
    expect(() => checkShare(group, encodeShare(count)), group).toThrow(PeerError)
  }
})

test('an item carries its groups beside its stamp, or neither', () => {
  const node = '00000000000000aa' as NodeId
  const stamp = { wallMs: 5, counter: 1, node }
  const message: Message = {
    ...{ origin: { node, incarnation: 7 }, counter: 9, topic: 'x', qos: 1, retain: true, stamp },
    ...{
      payload: Buffer.from('p'),
      properties: EMPTY,
      expiresAt: Number.POSITIVE_INFINITY,
      publisher: 'c' as ClientId,
    },
  }
  const [topic, publisher, targets] = [encodeText('x'), encodeText('c'), encodeTargets([encodeText('g/x')], false, 0)]
  const reader = new BatchReader()
  for (const [one, groups] of [
    [message, targets],
    [{ ...message, stamp: null }, targets],
    [message, EMPTY],
    [{ ...message, stamp: null }, EMPTY],
  ] as const) {
    const length = itemBytes(one, topic, publisher, groups)
    const bytes = Buffer.alloc(BATCH_HEADER_BYTES + length)
    writeBatchHeader(bytes, 1)
    expect(writeItem(bytes, BATCH_HEADER_BYTES, one, topic, publisher, 0, groups)).toBe(bytes.length)
    reader.open(bytes)
    expect(reader.next(0)).toEqual(one)
    expect(reader.targets).toEqual(groups === EMPTY ? NO_TARGETS : { groups: ['g/x'], only: false, hops: 0 })
    if (groups !== EMPTY) expect(bytes.subarray(reader.targetsAt, reader.targetsAt + 6)).toEqual(targets)
    expect(reader.next(0)).toBe(null)
  }
})
