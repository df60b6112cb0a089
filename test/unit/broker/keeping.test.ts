// What the broker promises only when it is on disk, and what a broker finds again after its own death.

import { describe, expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { DurableLab, Platter } from './durable-lab.ts'

const away = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const

/** A persistent session with one subscription, its client gone, all of it on disk. */
function sleeper(lab: DurableLab, qos: 1 | 2, id = 'sleeper'): void {
  const client = lab.connected({ id, ...away }).subscribe('t/#', { qos })
  expect(client.take()).toEqual([])
  lab.commit()
  client.one('suback')
  client.drop()
  lab.commit()
}

const reasons = (packets: { cmd: string; reasonCode?: number }[]) =>
  packets.map(({ cmd, reasonCode = 0 }) => [cmd, reasonCode])

/** The client is back; what it gets behind its CONNACK. */
function resumed(lab: DurableLab, id: string) {
  const client = lab.client().connect({ id, ...away })
  const [connack, ...packets] = client.take()
  expect([connack.cmd, connack.sessionPresent]).toEqual(['connack', true])
  return { client, packets }
}

describe('acknowledgements', () => {
  test('a PUBACK waits for the commit when a kept session waits for the message, in order with all others', () => {
    const lab = new DurableLab()
    sleeper(lab, 1)
    const publisher = lab.connected({ id: 'p' })
    publisher.publish('t/1', 'kept', { qos: 1, messageId: 1 }).publish('nobody', 'x', { qos: 1, messageId: 2 })
    expect(publisher.take()).toEqual([])
    lab.commit()
    expect(publisher.take().map(({ messageId }) => messageId)).toEqual([1, 2])
  })

  test('what only clean sessions get is acknowledged at once and costs the store nothing', () => {
    const lab = new DurableLab()
    const subscriber = lab.subscribed('t/#', { qos: 1 })
    lab.connected({ id: 'p' }).publish('t/1', 'x', { qos: 1, messageId: 1 }).one('puback')
    expect(subscriber.got()).toEqual(['t/1=x'])
    expect(lab.store.position).toBe(0)
  })

  test('what its receiver acknowledges before the commit is acknowledged at once and never written', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    const subscriber = lab.connected({ id: 's', ...away }).subscribe('t/#', { qos: 1 })
    lab.commit()
    subscriber.one('suback')
    const batches = platter.batches.size
    const publisher = lab.connected({ id: 'p' }).publish('t/1', 'x', { qos: 1, messageId: 9 })
    expect(publisher.take()).toEqual([])
    subscriber.puback(subscriber.one('publish').messageId)
    expect(publisher.one('puback').messageId).toBe(9)
    lab.commit()
    expect(platter.batches.size).toBe(batches)
  })

  test('the packet id of a QoS 2 message is on disk before the client hears of it, and PUBREC before PUBREL', () => {
    const lab = new DurableLab()
    const subscriber = lab.connected({ id: 's', ...away }).subscribe('t/#', { qos: 2 })
    lab.commit()
    subscriber.one('suback')
    lab.connected({ id: 'p' }).publish('t/1', 'x', { qos: 2, messageId: 1 }).pubrel(1)
    expect(subscriber.take()).toEqual([])
    lab.commit()
    const { messageId } = subscriber.one('publish')
    subscriber.pubrec(messageId)
    expect(subscriber.take()).toEqual([])
    lab.commit()
    subscriber.one('pubrel')
  })

  test('a retained message that is replaced at once is not acknowledged before its successor is on disk', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    const publisher = lab.connected({ id: 'p' })
    for (const messageId of [1, 2]) publisher.publish('r', `v${messageId}`, { qos: 1, retain: true, messageId })
    expect(publisher.take()).toEqual([])
    lab.commit()
    expect(publisher.take().length).toBe(2)
    expect(retainedOf(new DurableLab(platter))).toEqual(['r=v2'])
  })
})

describe('the CONNACK of a clean start', () => {
  const begin = () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    sleeper(lab, 1)
    return { platter, lab, client: lab.client().connect({ id: 'sleeper' }) }
  }

  test('waits until the session that it ends cannot come back, and what follows the CONNECT waits behind it', () => {
    const { platter, lab, client } = begin()
    client.subscribe('u', { qos: 1 })
    lab.connected({ id: 'p' }).publish('u', 'too early')
    expect(client.take()).toEqual([])
    lab.commit()
    expect(client.take().map(({ cmd }) => cmd)).toEqual(['connack', 'suback'])
    lab.connected({ id: 'q' }).publish('u', 'heard')
    expect(client.got()).toEqual(['u=heard'])
    expect(new DurableLab(platter).broker.counts().sessions).toBe(0)
  })

  test('waits for nothing where nothing that is kept ends', () => {
    const { lab } = begin()
    lab.connected({ id: 'nobody before' })
    const again = lab.connected({ id: 'here', ...away })
    again.drop()
    lab.connected({ id: 'here', ...away })
  })

  test('is not sent to who goes meanwhile, nor to who is replaced by a later connection, which is told then', () => {
    const { lab, client } = begin()
    const later = lab.client().connect({ id: 'sleeper' })
    expect([client.take(), client.closed]).toEqual([[], true])
    const gone = lab.client().connect({ id: 'sleeper' })
    gone.drop()
    lab.commit()
    expect([client.take(), later.take(), gone.take()]).toEqual([[], [], []])
    const last = lab.connected({ id: 'sleeper', ...away })
    expect(last.connack.sessionPresent).toBe(false)
    expect(lab.broker.counts()).toMatchObject({ clients: 1, sessions: 1 })
  })

  test('and of whoever comes after a session has ended otherwise waits likewise', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    sleeper(lab, 1)
    const { client } = resumed(lab, 'sleeper')
    client.disconnect({ sessionExpiryInterval: 0 })
    const next = lab.client().connect({ id: 'sleeper', ...away })
    expect(next.take()).toEqual([])
    lab.commit()
    expect(next.one('connack').sessionPresent).toBe(false)
  })

  test('waits 2.5 s at most for a disk that hangs, and is counted then', () => {
    const { lab, client } = begin()
    lab.advance(2499)
    expect(client.take()).toEqual([])
    lab.advance(1)
    client.one('connack')
    expect(lab.meter.get('mqtt.connack.overdue')).toBe(1)
    lab.commit()
    expect(client.subscribe('u').one('suback').granted).toEqual([0])
  })

  test('does not wait for a disk that is full', () => {
    const { platter, lab, client } = begin()
    lab.engine.full = true
    lab.commit()
    client.one('connack')
    client.drop()
    expect(new DurableLab(platter).broker.counts().sessions).toBe(1)
    lab.engine.full = false
    lab.advance(1000)
    lab.commit()
    lab.commit()
    expect(new DurableLab(platter).broker.counts().sessions).toBe(0)
  })
})

function retainedOf(lab: DurableLab): string[] {
  return lab.connected({ id: 'looks' }).subscribe('#', { qos: 1 }).got()
}

describe('a full disk', () => {
  test('QoS 1 and 2 are refused, QoS 0 goes on, and all is well when there is room', () => {
    const lab = new DurableLab()
    sleeper(lab, 1)
    const watcher = lab.subscribed('t/#', { id: 'watcher' })
    const publisher = lab.connected({ id: 'p' })
    lab.engine.full = true
    publisher.publish('t/1', 'first', { qos: 1, messageId: 1 })
    lab.commit()
    const other = lab.connected({ id: 'q' })
    other.publish('t/1', 'one', { qos: 1, messageId: 2 }).publish('t/1', 'two', { qos: 2, messageId: 3 })
    other.publish('t/1', 'zero')
    expect(reasons(other.take())).toEqual([
      ['puback', 0x97],
      ['pubrec', 0x97],
    ])
    expect(watcher.got()).toEqual(['t/1=first', 't/1=zero'])
    const old = lab.connected({ id: 'old', version: 4 }).publish('t/1', 'x', { qos: 1, messageId: 1 })
    expect([old.take(), old.closed]).toEqual([[], true])
    lab.engine.full = false
    lab.advance(1000)
    lab.commit()
    publisher.publish('t/1', 'later', { qos: 1, messageId: 4 })
    lab.commit()
    expect(publisher.take().map(({ messageId }) => messageId)).toEqual([1, 4])
  })
})

describe('the next run', () => {
  test('has the session with its subscriptions, queue, windows both ways, and the retained messages', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    const subscriber = lab.connected({ id: 's', ...away }).subscribe(['t/#', 'u'], { qos: 2 })
    lab.commit()
    subscriber.one('suback')
    const publisher = lab.connected({ id: 'p', ...away })
    publisher.publish('t/1', 'under way', { qos: 1, messageId: 1 })
    const first = subscriber.one('publish')
    publisher.publish('t/2', 'begun', { qos: 2, messageId: 2 })
    publisher.publish('t/3', 'state', { qos: 1, messageId: 3, retain: true })
    lab.commit()
    subscriber.drop()
    publisher.publish('t/4', 'queued', { qos: 1, messageId: 4 })
    lab.commit()
    expect(reasons(publisher.take()).map(([cmd]) => cmd)).toEqual(['puback', 'pubrec', 'puback', 'puback'])

    const next = new DurableLab(platter)
    expect(next.broker.counts()).toMatchObject({ sessions: 2, subscriptions: 2, retained: 1 })
    const { client: back, packets: got } = resumed(next, 's')
    expect(got.map(({ payload, dup }) => [payload, dup])).toEqual([
      ['under way', true],
      ['state', true],
      ['queued', false],
    ])
    expect(got[0].messageId).toBe(first.messageId)
    const again = next.connected({ id: 'p', ...away }).publish('t/2', 'begun', { qos: 2, messageId: 2, dup: true })
    again.pubrel(2)
    next.commit()
    next.commit()
    expect(back.got()).toEqual(['t/2=begun'])
    expect(retainedOf(next)).toEqual(['t/3=state'])
  })

  test('counts an expiry down, of sessions too', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    sleeper(lab, 1)
    lab.connected({ id: 'p' }).publish('t/1', 'x', { qos: 1, messageId: 1, properties: { messageExpiryInterval: 100 } })
    lab.commit()
    lab.advance(60_000)
    lab.connected({ id: 'p' }).publish('t/1', 'y', { qos: 1, messageId: 1 })
    lab.commit()
    const next = new DurableLab(platter)
    next.advance(30_000)
    const { client: back, packets } = resumed(next, 'sleeper')
    const [x, y] = packets
    expect([x.payload, y.payload]).toEqual(['x', 'y'])
    expect(x.properties.messageExpiryInterval).toBe(10)
    back.drop()
    next.advance(3_601_000)
    expect(next.broker.counts().sessions).toBe(0)
    next.commit()
    next.commit()
    expect(new DurableLab(platter).broker.counts()).toMatchObject({ sessions: 0, subscriptions: 0 })
  })

  test('forgets what was ended: sessions, subscriptions, retained messages, what was acknowledged', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    sleeper(lab, 1)
    const publisher = lab.connected({ id: 'p' })
    publisher.publish('r', 'x', { qos: 1, messageId: 1, retain: true })
    publisher.publish('t/1', 'y', { qos: 1, messageId: 2 })
    lab.commit()
    const { client: back, packets } = resumed(lab, 'sleeper')
    back.puback(packets[0].messageId)
    back.unsubscribe('t/#')
    publisher.publish('r', '', { qos: 1, messageId: 3, retain: true })
    lab.commit()
    back.one('unsuback')
    const next = new DurableLab(platter)
    expect(next.broker.counts()).toMatchObject({ sessions: 1, subscriptions: 0, retained: 0 })
    expect(resumed(next, 'sleeper').packets).toEqual([])
    const fresh = next.client().connect({ id: 'sleeper', clean: true })
    next.commit()
    fresh.one('connack')
    expect(new DurableLab(platter).broker.counts().sessions).toBe(0)
  })

  test('lets a will of a client that was connected wait for its return, then publishes it', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    for (const id of ['stays away', 'comes back']) {
      lab.connected({ id, ...away, will: { topic: 'w', payload: id, qos: 1 } })
    }
    lab.commit()
    const next = new DurableLab(platter)
    const watcher = next.subscribed('w', { id: 'watcher', qos: 1 })
    next.connected({ id: 'comes back', ...away })
    next.advance(29_000)
    expect(watcher.got()).toEqual([])
    next.advance(2000)
    expect(watcher.got()).toEqual(['w=stays away'])
  })

  test('keeps the wills of those whom a stop sends away: the next run publishes those of who does not come back', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    for (const id of ['stays away', 'comes back']) {
      lab.connected({ id, ...away, will: { topic: 'w', payload: id, qos: 1 } })
    }
    const slow = { willDelayInterval: 40 }
    lab.connected({ id: 'slow', ...away, will: { topic: 'w', payload: 'slow', qos: 1, properties: slow } })
    const witness = lab.subscribed('w', { id: 'witness' })
    lab.connected({ id: 'says goodbye', ...away, will: { topic: 'w', payload: 'x', qos: 1 } }).disconnect()
    lab.commit()
    lab.broker.stop()
    lab.commit()
    expect(witness.got()).toEqual([])
    const next = new DurableLab(platter)
    const watcher = next.subscribed('w', { id: 'watcher', qos: 1 })
    next.connected({ id: 'comes back', ...away })
    next.advance(29_000)
    expect(watcher.got()).toEqual([])
    next.advance(2000)
    expect(watcher.got()).toEqual(['w=stays away'])
    next.advance(10_000)
    expect(watcher.got()).toEqual(['w=slow'])
  })

  test('does not publish a will that another box has published while this one was off', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    lab.connected({ id: 'gone', ...away, will: { topic: 'w', payload: 'gone', qos: 1 } })
    lab.commit()
    const next = new DurableLab(platter)
    const watcher = next.subscribed('w', { id: 'watcher', qos: 1 })
    const { epoch } = next.broker.transfer.get('gone' as ClientId)!
    const stamp = (wallMs: number) => ({ wallMs, counter: 0, node: '00000000000000aa' as NodeId })
    expect(epoch).toBe(null)
    // Of a client that was never in a cluster nobody else can have published it.
    next.broker.transfer.willPublished('gone' as ClientId, stamp(1))
    next.broker.transfer.own(next.broker.transfer.get('gone' as ClientId)!, stamp(10))
    next.broker.transfer.willPublished('gone' as ClientId, stamp(9))
    expect(next.broker.transfer.get('gone' as ClientId)!.will).not.toBe(null)
    next.broker.transfer.willPublished('gone' as ClientId, stamp(10))
    next.advance(60_000)
    expect(watcher.got()).toEqual([])
  })

  test("hands on a group's messages when the member that had them does not come back, and keeps that too", () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    const group = ['gone', 'comes back'].map((id) => {
      const member = lab.connected({ id, ...away }).subscribe('$share/g/t/#', { qos: 1 })
      lab.commit()
      member.one('suback')
      return member
    })
    const publisher = lab.connected({ id: 'p' })
    publisher.publish('t/1', 'first', { qos: 1, messageId: 1 }).publish('t/2', 'second', { qos: 1, messageId: 2 })
    expect(group.map((member) => member.got())).toEqual([['t/1=first'], ['t/2=second']])
    lab.commit()
    expect(publisher.take().length).toBe(2)

    const next = new DurableLab(platter)
    const { client: back, packets } = resumed(next, 'comes back')
    expect(packets.map(({ payload, dup }) => [payload, dup])).toEqual([['second', true]])
    next.advance(29_000)
    expect(back.got()).toEqual([])
    next.advance(2000)
    expect(back.got()).toEqual(['t/1=first'])
    next.commit()
    next.commit()

    const last = new DurableLab(platter)
    expect(resumed(last, 'gone').packets).toEqual([])
    expect(resumed(last, 'comes back').packets.map(({ payload }) => payload)).toEqual(['second', 'first'])
  })

  test("hands on a group's messages when the session that had them ends", () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    sleeper(lab, 1)
    const member = lab.connected({ id: 'gone', ...away }).subscribe('$share/g/u', { qos: 1 })
    lab.commit()
    member.one('suback')
    lab.connected({ id: 'p' }).publish('u', 'x', { qos: 1, messageId: 1 })
    lab.commit()

    const next = new DurableLab(platter)
    const other = next.subscribed('$share/g/u', { id: 'other', qos: 1 })
    next.client().connect({ id: 'gone', clean: true })
    expect(other.got()).toEqual(['u=x'])
  })
})
