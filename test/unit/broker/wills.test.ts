// Wills that are published for clients whose box is gone, as the broker sees them: published by another, and taken back by
// the box itself when it was only cut off.

import { describe, expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import type { Stamp } from '../../../src/base/stamps.ts'
import { type Claims, NoClaims, NoPeers } from '../../../src/broker/ports.ts'
import { isMistaken, willId } from '../../../src/broker/will.ts'
import {
  BATCH_HEADER_BYTES,
  BatchReader,
  encodeText,
  itemBytes,
  writeBatchHeader,
  writeItem,
} from '../../../src/wire/link/forward.ts'
import { EMPTY, type Message } from '../../../src/wire/message.ts'
import { readRetainedValue, retainedValue } from '../../../src/wire/record/retained.ts'
import { Lab } from '../../conformance/lab.ts'

const epoch: Stamp = { wallMs: 5000, counter: 3, node: '00000000000000aa' as NodeId }
const another: Stamp = { ...epoch, wallMs: 4000 }
const claims: Claims = Object.assign(new NoClaims(), {
  claim: (_claim: unknown, done: (claimed: Stamp) => void) => done(epoch),
})
const later = (wallMs: number): Stamp => ({ wallMs, counter: 0, node: '00000000000000bb' as NodeId })

const published = (willOf: Stamp, rest: Partial<Message> = {}): Message => ({
  ...{ origin: { node: '00000000000000bb' as NodeId, incarnation: 1 }, counter: 1, topic: 'status/c', qos: 1 },
  ...{ retain: true, payload: Buffer.from('offline'), properties: EMPTY, expiresAt: Number.POSITIVE_INFINITY },
  ...{ publisher: 'c' as ClientId, stamp: later(1_000_000), willOf },
  ...rest,
})

/** A client that has said that it is online, and somebody who watches; this box is cut off from another. */
function cutOff(said = 'online') {
  const lab = new Lab({ claims })
  const client = lab.connected({ id: 'c' })
  if (said !== '') client.publish('status/c', said, { retain: true })
  const watcher = lab.connected({ id: 'watcher' }).subscribe('status/#', { qos: 1 })
  watcher.take()
  const now = () => lab.broker.retained.payload('status/c')?.toString() ?? null
  return { lab, client, watcher, now }
}

describe('the will of a client that was here all the time', () => {
  test('what stood before is written again, and all subscribers get it', () => {
    const { lab, watcher, now } = cutOff()
    lab.broker.deliverFromPeer(published(epoch))
    lab.clock.settle()
    expect(now()).toBe('online')
    expect(watcher.got()).toEqual(['status/c=offline', 'status/c=online'])
    expect(lab.meter.get('wills.written-back')).toBe(1)
  })

  test('nothing stood there: nothing stands there again', () => {
    const { lab, now } = cutOff('')
    lab.broker.deliverFromPeer(published(epoch))
    lab.clock.settle()
    expect(now()).toBe(null)
  })

  test('also when it has connected again before the will of its connection before that was published', () => {
    const { lab, now } = cutOff()
    lab.broker.deliverFromPeer(published(another))
    lab.clock.settle()
    expect(now()).toBe('online')
  })

  test('of two that come at once, from two sides, neither stays', () => {
    const { lab, now } = cutOff()
    lab.broker.deliverFromPeer(published(epoch))
    lab.broker.deliverFromPeer(published(epoch, { payload: Buffer.from('away'), stamp: later(1_000_001) }))
    lab.clock.settle()
    expect([now(), lab.meter.get('wills.written-back')]).toEqual(['online', 1])
  })

  test.each([
    ['its own, whenever that was published', epoch, epoch, later(1), true],
    ['of an earlier one, published since', later(6000), epoch, later(6001), true],
    ['of an earlier one, published before', later(6000), epoch, later(5999), false],
    ['of an earlier one, published nobody knows when', later(6000), epoch, null, false],
    ['of a later one', another, epoch, later(9000), false],
  ])('a will %s', (_what, connected, willOf, publishedAt, mistaken) => {
    expect(isMistaken(connected, willOf, publishedAt)).toBe(mistaken)
  })

  test('not when the client has connected since it was published, is gone, or has written something else', () => {
    const gone = cutOff()
    gone.client.disconnect()
    gone.lab.broker.deliverFromPeer(published(epoch))
    gone.lab.clock.settle()
    expect(gone.now()).toBe('offline')
    const stale = cutOff()
    stale.lab.broker.deliverFromPeer(published(another, { stamp: { ...another, wallMs: 4500 } }))
    stale.lab.clock.settle()
    expect(stale.lab.meter.get('wills.written-back')).toBe(0)
    const writes = cutOff()
    writes.lab.broker.deliverFromPeer(published(epoch))
    writes.lab.broker.deliverFromPeer(published(epoch, { payload: Buffer.from('new'), stamp: later(2_000_000) }))
    writes.client.publish('status/c', 'mine', { retain: true })
    writes.lab.clock.settle()
    expect([writes.now(), writes.lab.meter.get('wills.written-back')]).toEqual(['mine', 0])
  })
})

describe('the will of a client whose box is gone', () => {
  const will = { topic: 'status/c', qos: 1, retain: true, payload: Buffer.from('offline') } as const
  const orphaned = {
    epoch,
    account: null,
    listener: null,
    will: { ...will, properties: EMPTY, delaySec: 0, expirySec: null },
  }

  test('is published with an id and a mark that are the same whoever does it', () => {
    const forwarded: Message[] = []
    const peers = Object.assign(new NoPeers(), { forward: (message: Message) => forwarded.push(message) })
    for (const node of ['00000000000000b1', '00000000000000b2'] as NodeId[]) {
      const lab = new Lab({ peers, node })
      lab.broker.transfer.publishWill('c' as ClientId, orphaned)
      expect(lab.broker.retained.payload('status/c')?.toString()).toBe('offline')
    }
    const [one, other] = forwarded
    expect([one!.origin, one!.counter, one!.willOf]).toEqual([other!.origin, other!.counter, epoch])
    expect(willId('c' as ClientId, epoch)).toEqual({ origin: one!.origin, counter: 4 })
    expect(willId('d' as ClientId, epoch).origin.node).not.toBe(one!.origin.node)
    expect(one!.origin).toMatchObject({ node: expect.stringMatching(/^[0-9a-f]{16}$/), incarnation: 5000 })
  })

  test('is not published where its client may not publish any more', () => {
    const deny = { effect: 'deny', action: 'publish', filter: 'status/#' } as const
    const lab = new Lab({
      rules: { generation: 1, of: (account) => ({ rules: account === 'bad' ? [deny] : [], strict: false }) },
    })
    lab.broker.transfer.publishWill('c' as ClientId, { ...orphaned, account: 'bad' })
    expect(lab.broker.retained.payload('status/c')).toBe(null)
    lab.broker.transfer.publishWill('c' as ClientId, { ...orphaned, account: 'good' })
    expect(lab.broker.retained.payload('status/c')?.toString()).toBe('offline')
  })

  test('the mark goes along, on the way and where it is kept', () => {
    const message = published(epoch)
    const [topic, publisher] = [encodeText(message.topic), encodeText(message.publisher)]
    const bytes = Buffer.alloc(BATCH_HEADER_BYTES + itemBytes(message, topic, publisher))
    writeBatchHeader(bytes, 1)
    writeItem(bytes, BATCH_HEADER_BYTES, message, topic, publisher, 0)
    const mark = '030010' + '000000001388' + '0003' + '00000000000000aa'
    expect(bytes.toString('hex')).toContain(mark)
    const reader = new BatchReader()
    reader.open(bytes)
    expect(reader.next(0)).toEqual(message)
    const value = retainedValue(message, 0)
    expect(value.toString('hex').endsWith(mark.slice(6))).toBe(true)
    expect(readRetainedValue(message.topic, message.stamp!, value, 0)).toEqual(message)
    expect(readRetainedValue(message.topic, message.stamp!, value.subarray(0, -1), 0)).toBe(null)
  })
})
