// A session that goes from one broker to another as records is there what it was here.

import { describe, expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import type { Kept, SessionImport, SessionView } from '../../../src/broker/ports.ts'
import { readItems, writeItem } from '../../../src/wire/link/records.ts'
import type { Message } from '../../../src/wire/message.ts'
import { Lab } from '../../conformance/lab.ts'
import { DurableLab, Platter } from './durable-lab.ts'

const TO = '00000000000000cc' as NodeId
const FROM = '00000000000000bb' as NodeId
const away = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const

/** The records as they arrive at another box: messages before what refers to them. */
function shipped(lab: DurableLab, records: readonly Kept[], sent = new Set<number>()) {
  const writer = new ByteWriter()
  const nowMs = lab.clock.now()
  for (const kept of records) {
    const about = kept.value!.messageRecord
    if (about !== undefined && !sent.has(about.id)) {
      sent.add(about.id)
      writeItem(writer, about.id, about.value!, nowMs)
    }
    writeItem(writer, kept.id, kept.value!, nowMs)
  }
  return readItems(new ByteReader(writer.done()))
}

const session = (lab: DurableLab, id: string): SessionView => lab.broker.transfer.get(id as ClientId)!

/** A subscriber with everything a session can have, its client gone. */
function full(): DurableLab {
  const lab = new DurableLab()
  const client = lab.connected({
    id: 'mover',
    ...away,
    properties: { sessionExpiryInterval: 3600, receiveMaximum: 3 },
    will: { topic: 'will', payload: 'w', qos: 1, retain: false, properties: { willDelayInterval: 100 } },
  })
  client.subscribe('a/#', { qos: 2 }).subscribe('b/+', { qos: 1, nl: true })
  lab.commit()
  client.take()
  client.publish('c/1', 'begun', { qos: 2, messageId: 77 })
  lab.commit()
  client.take()
  const publisher = lab.connected({ id: 'p' })
  for (let number = 1; number <= 6; number++) {
    publisher.publish('a/1', `m${number}`, { qos: number % 2 === 0 ? 2 : 1, messageId: number })
    if (number % 2 === 0) publisher.pubrel(number)
  }
  lab.commit()
  lab.commit()
  const ids = client.take().map(({ messageId }) => messageId)
  expect(ids).toEqual([1, 2, 3])
  client.pubrec(2)
  lab.commit()
  client.take()
  client.drop()
  lab.advance(1000)
  return lab
}

function move(from: DurableLab, to: DurableLab, id = 'mover'): SessionImport {
  const view = session(from, id)
  const sent = new Set<number>()
  const taking = to.broker.transfer.take(FROM, 'arriving')
  taking.add(shipped(from, from.broker.transfer.head(view), sent))
  taking.add(shipped(from, from.broker.transfer.queued(view, 0), sent))
  return taking
}

describe('a session that moves', () => {
  test('has its subscriptions, what is under way with packet ids, what it has begun, and its queue in order', () => {
    const from = full()
    const to = new DurableLab(new Platter(), undefined, TO)
    move(from, to).end()
    to.commit()
    const client = to.client().connect({ id: 'mover', ...away })
    to.commit()
    const [connack, ...packets] = client.take()
    expect(connack).toMatchObject({ cmd: 'connack', sessionPresent: true })
    expect(packets.map(({ cmd, messageId, payload, dup }) => [cmd, messageId, String(payload ?? ''), dup])).toEqual([
      ['publish', 1, 'm1', true],
      ['pubrel', 2, '', false],
      ['publish', 3, 'm3', true],
      ...['m4', 'm5', 'm6'].map((payload) => ['publish', expect.any(Number), payload, false]),
    ])
    // Ids of its own, behind none of those that the other box may go on to give.
    const given = packets.slice(3).map(({ messageId }) => messageId!)
    expect(new Set([...given, 1, 2, 3, 4, 5, 6]).size).toBe(9)
    // The QoS 2 message that it has begun at the other box is released here, once.
    const watcher = to.subscribed('c/#', { id: 'watcher', qos: 0 })
    client.publish('c/1', 'begun', { qos: 2, messageId: 77, dup: true }).pubrel(77)
    to.commit()
    expect(watcher.got()).toEqual(['c/1=begun'])
    const publisher = to.connected({ id: 'p' })
    client.puback(1)
    publisher.publish('b/1', 'late', { qos: 1, messageId: 1 })
    expect(client.got()).toContain('b/1=late')
  })

  test('has as long to live as it had, and its will as long to wait', () => {
    const from = full()
    const to = new DurableLab(new Platter(), undefined, TO)
    move(from, to).end()
    const watcher = to.subscribed('will', { id: 'watcher', qos: 0 })
    to.advance(98_000)
    expect(watcher.got()).toEqual([])
    to.advance(2000)
    expect(watcher.got()).toEqual(['will=w'])
    to.advance(3_498_000)
    expect(session(to, 'mover')).toBeDefined()
    to.advance(2000)
    expect(session(to, 'mover')).toBeUndefined()
  })

  test('leaves QoS 0 that waits behind, counted', () => {
    const lab = new Lab({ sessions: { queue: { qos0: true } } })
    lab
      .connected({ id: 's', ...away })
      .subscribe('t', { qos: 1 })
      .drop()
    lab.connected({ id: 'p' }).publish('t', 'a').publish('t', 'b').publish('t', 'c', { qos: 1, messageId: 1 })
    lab.broker.transfer.drop(lab.broker.transfer.get('s' as ClientId)!)
    expect(lab.meter.get('mqtt.dropped.moved')).toBe(2)
  })

  test('is not there any more where it was dropped, and nothing of it is said', () => {
    const from = full()
    const watcher = from.subscribed('will', { id: 'watcher', qos: 0 })
    const { subscriptions } = from.broker.counts()
    from.broker.transfer.drop(session(from, 'mover'))
    expect(from.broker.counts().subscriptions).toBe(subscriptions - 2)
    from.advance(4_000_000)
    expect(watcher.got()).toEqual([])
  })

  test('is on disk where it came to', () => {
    const from = full()
    const to = new DurableLab(new Platter(), undefined, TO)
    move(from, to).end()
    to.commit()
    to.commit()
    const next = new DurableLab(to.platter)
    const client = next.client().connect({ id: 'mover', ...away })
    next.commit()
    expect(client.take().map(({ cmd }) => cmd)).toEqual([
      'connack',
      ...['publish', 'pubrel', 'publish', 'publish', 'publish', 'publish'],
    ])
  })

  test('what comes directly while it arrives waits behind what comes through the former owner, and counts once', () => {
    const from = full()
    const to = new DurableLab(new Platter(), undefined, TO)
    const view = session(from, 'mover')
    const sent = new Set<number>()
    const taking = to.broker.transfer.take(FROM, 'arriving')
    taking.add(shipped(from, from.broker.transfer.head(view), sent))
    const client = to.client().connect({ id: 'mover', ...away })
    expect(client.take().length).toBe(4)
    // The same message round both ways, and one that came directly alone.
    const { queue } = view as unknown as { queue: { at?: unknown; above(after: number): { message: object }[] } }
    const both = queue.above(0).at(-1)!.message as Parameters<typeof to.broker.deliverFromPeer>[0]
    to.broker.deliverFromPeer(both)
    to.broker.deliverFromPeer({ ...both, counter: 1000, payload: Buffer.from('direct') })
    to.commit()
    expect(client.take()).toEqual([])
    taking.add(shipped(from, from.broker.transfer.queued(view, 0), sent))
    taking.end()
    to.commit()
    to.commit()
    expect(client.got()).toEqual(['a/1=m4', 'a/1=m5', 'a/1=m6', 'a/1=direct'])
  })

  test('records that make no sense are passed over', () => {
    const from = full()
    const to = new DurableLab(new Platter(), undefined, TO)
    const view = session(from, 'mover')
    const items = shipped(from, from.broker.transfer.head(view))
    const taking = to.broker.transfer.take(FROM, 'arriving')
    for (const { id, kind } of items) taking.add([{ id: id + 1000, kind, body: Buffer.from([1, 2]) }])
    expect(taking.session).toBeNull()
    taking.add(items.slice().reverse())
    taking.add(items)
    taking.end()
    expect(to.broker.counts()).toMatchObject({ sessions: 1, subscriptions: 2 })
  })
})

describe('a session that is joined', () => {
  test('takes what it has not, in order, and nothing for filters that it has no more', () => {
    const from = full()
    const to = new DurableLab(new Platter(), undefined, TO)
    move(from, to).end()
    const view = session(from, 'mover')
    const { after } = { after: Math.max(...from.broker.transfer.queued(view, 0).map(({ id }) => id)) }
    const publisher = from.connected({ id: 'p2' })
    publisher.publish('a/2', 'new', { qos: 1, messageId: 1 }).publish('b/2', 'unwanted', { qos: 1, messageId: 2 })
    const client = to.client().connect({ id: 'mover', ...away })
    to.commit()
    client.take()
    client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['b/+'] })
    const joining = to.broker.transfer.join(session(to, 'mover'), false)
    joining.add(shipped(from, from.broker.transfer.queued(view, 0)))
    joining.end()
    to.commit()
    expect(client.got()).toEqual(['a/2=new'])
    expect(from.broker.transfer.queued(view, after).length).toBe(2)
  })

  test.each([1, 0] as const)('takes what it has not as its own subscriptions of QoS %i say, and once', (qos) => {
    const from = full()
    const to = new DurableLab(new Platter(), undefined, TO)
    move(from, to).end()
    const view = session(from, 'mover')
    const after = Math.max(...from.broker.transfer.queued(view, 0).map(({ id }) => id))
    from.connected({ id: 'p2' }).publish('a/2', 'new', { qos: 1, messageId: 1 })
    const client = to.client().connect({ id: 'mover', ...away })
    const properties = { subscriptionIdentifier: 7 }
    client.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'a/#', qos }], properties })
    to.commit()
    client.take()
    const joining = to.broker.transfer.join(session(to, 'mover'), false)
    const late = from.broker.transfer.queued(view, after)
    joining.add(shipped(from, late))
    joining.end()
    to.commit()
    const joined = client.take()
    expect(joined.map((packet) => [packet.qos, packet.properties])).toEqual(qos === 0 ? [] : [[1, properties]])
    // Its own sender brings it, as one that was cut off meanwhile.
    const message = late[0]!.value!.messageRecord!.value as unknown as { message: Message }
    to.broker.deliverFromPeer(message.message, false)
    to.commit()
    expect(client.take().length + joined.length).toBe(1)
  })

  test.each([1, 0] as const)('takes what keeps its retain flag as its own subscriptions of QoS %i say, too', (qos) => {
    const from = full()
    const wish = { topic: 'r/#', rap: true }
    from
      .client()
      .connect({ id: 'mover', ...away })
      .send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ ...wish, qos: 1 }] })
      .send({ cmd: 'disconnect' })
    const to = new DurableLab(new Platter(), undefined, TO)
    move(from, to).end()
    const view = session(from, 'mover')
    const after = Math.max(...from.broker.transfer.queued(view, 0).map(({ id }) => id))
    from.connected({ id: 'p2' }).publish('r/1', 'kept', { qos: 1, retain: true, messageId: 1 })
    const client = to.client().connect({ id: 'mover', ...away })
    client.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ ...wish, qos }] })
    to.commit()
    client.take()
    const joining = to.broker.transfer.join(session(to, 'mover'), false)
    joining.add(shipped(from, from.broker.transfer.queued(view, after)))
    joining.end()
    to.commit()
    expect(client.take().map((packet) => [packet.qos, packet.retain])).toEqual(qos === 0 ? [] : [[1, true]])
  })

  test('which its client has ended meanwhile takes nothing more, nor does the one that it has begun instead', () => {
    const from = full()
    const to = new DurableLab(new Platter(), undefined, TO)
    move(from, to).end()
    const view = session(from, 'mover')
    from
      .client()
      .connect({ id: 'mover', ...away })
      .subscribe('later', { qos: 1 })
    from.connected({ id: 'p2' }).publish('later', 'new', { qos: 1, messageId: 1 })
    const joining = to.broker.transfer.join(session(to, 'mover'), true)
    const client = to.client().connect({ id: 'mover', clean: true, properties: { sessionExpiryInterval: 3600 } })
    to.commit()
    const before = to.broker.counts()
    joining.add(shipped(from, from.broker.transfer.head(view)))
    joining.add(shipped(from, from.broker.transfer.queued(view, 0)))
    joining.end()
    expect(to.broker.counts()).toEqual(before)
    expect(before.subscriptions).toBe(0)
    client.take()
    to.connected({ id: 'p' }).publish('later', 'x', { qos: 1, messageId: 1 })
    to.commit()
    expect(client.got()).toEqual([])
  })

  test('what was published where it has been all along is not joined again', () => {
    const lab = full()
    const view = session(lab, 'mover')
    const queued = shipped(lab, lab.broker.transfer.queued(view, 0))
    const client = lab.client().connect({ id: 'mover', ...away })
    for (let round = 0; round < 20; round++) {
      lab.commit()
      for (const { cmd, qos, messageId } of client.take()) {
        if (cmd === 'publish' && qos === 1) client.puback(messageId)
        else if (cmd === 'publish') client.pubrec(messageId)
        else if (cmd === 'pubrel') client.pubcomp(messageId)
      }
    }
    const joining = lab.broker.transfer.join(view, false)
    joining.add(queued)
    joining.end()
    lab.commit()
    expect(client.take()).toEqual([])
  })

  test('what came while it stood in here follows what its owner has', () => {
    const from = full()
    const to = new DurableLab(new Platter(), undefined, TO)
    const view = session(from, 'mover')
    const copy = to.broker.transfer.take(FROM, 'standing-in')
    copy.add(shipped(from, [...from.broker.transfer.head(view), ...from.broker.transfer.queued(view, 0)]))
    copy.end()
    expect(session(to, 'mover').place).toMatchObject({ at: 'standing-in', owner: FROM })
    const later = to.connected({ id: 'p' })
    later.publish('a/9', 'stood in', { qos: 1, messageId: 1 })
    from.connected({ id: 'p2' }).publish('a/3', 'at the owner', { qos: 1, messageId: 1 })
    move(from, to).end()
    to.commit()
    expect(session(to, 'mover').place.at).toBe('here')
    const client = to.client().connect({ id: 'mover', ...away })
    to.commit()
    to.commit()
    const got = client.take().flatMap(({ payload }) => (payload ? [String(payload)] : []))
    expect(got).toEqual(['m1', 'm3', 'm4', 'm5', 'm6', 'at the owner', 'stood in'])
  })
})
