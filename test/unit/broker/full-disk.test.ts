// A disk that is full for a while: what cannot be kept is refused, not left waiting, and all is well when there is room.

import { describe, expect, test } from 'vitest'
import { DurableLab, Platter } from './durable-lab.ts'

const away = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const

/** A connected client with a session that is kept, and one subscription of it on disk. */
function keeper(lab: DurableLab, id = 'keeper', version: 4 | 5 = 5) {
  const options = version === 5 ? away : { clean: false }
  const client = lab.connected({ id, version, ...options }).subscribe('t/#', { qos: 1 })
  lab.commit()
  client.one('suback')
  return client
}

/** The disk is full, and the broker has found out. */
function fill(lab: DurableLab): void {
  lab.engine.full = true
  lab.connected({ id: 'last straw' }).publish('straw', 'x', { qos: 1, retain: true, messageId: 1 })
  lab.commit()
  expect(lab.store.full).toBe(true)
}

function makeRoom(lab: DurableLab): void {
  lab.engine.full = false
  lab.advance(1000)
  lab.commit()
  lab.commit()
  expect(lab.store.full).toBe(false)
}

const answers = (packets: { cmd: string; messageId?: number; reasonCode?: number }[]) =>
  packets.map(({ cmd, messageId, reasonCode = 0 }) => `${cmd} ${messageId} ${reasonCode.toString(16)}`)

describe('SUBSCRIBE', () => {
  test('of a session that is kept is refused, filter by filter; what it has already is granted', () => {
    const lab = new DurableLab()
    const client = keeper(lab)
    const old = keeper(lab, 'old', 4)
    fill(lab)
    client.subscribe(['u', 't/#'], { qos: 1, messageId: 2 })
    expect(client.one('suback').granted).toEqual([0x97, 1])
    old.subscribe(['u', 't/#'], { qos: 1, messageId: 2 })
    expect(old.one('suback').granted).toEqual([0x80, 1])
    // The same filter on other terms would have to be written.
    client.subscribe('t/#', { qos: 2, messageId: 3 })
    expect(client.one('suback').granted).toEqual([0x97])
    lab.connected({ id: 'p' }).publish('u', 'unheard').publish('t/1', 'heard')
    expect([client.got(), old.got()]).toEqual([['t/1=heard'], ['t/1=heard']])
    makeRoom(lab)
    client.subscribe('u', { qos: 1, messageId: 4 })
    lab.commit()
    expect(client.one('suback').granted).toEqual([1])
  })

  test('of a session that ends with its connection is granted', () => {
    const lab = new DurableLab()
    fill(lab)
    lab.subscribed('u', { id: 'clean', qos: 1 })
    const lasting = lab.connected({ id: 'new', ...away }).subscribe('u', { qos: 1 })
    expect(lasting.one('suback').granted).toEqual([0x97])
    const counts = lab.broker.counts()
    expect([counts.sessions, counts.subscriptions]).toEqual([3, 1])
  })

  test('that was waiting when the disk filled up is refused and taken back, its retained messages too', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    lab.connected({ id: 'p' }).publish('u', 'retained', { qos: 1, retain: true, messageId: 1 })
    const client = keeper(lab)
    lab.engine.full = true
    client.subscribe(['u', 't/#'], { qos: 1, messageId: 2 })
    expect(client.take()).toEqual([])
    lab.commit()
    expect(client.take().map(({ cmd, granted }) => [cmd, granted])).toEqual([['suback', [0x97, 1]]])
    expect(lab.broker.counts().subscriptions).toBe(1)
    makeRoom(lab)
    expect(new DurableLab(platter).broker.counts().subscriptions).toBe(1)
  })

  test('said again as it was costs no write', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    const client = keeper(lab)
    const position = lab.store.position
    client.subscribe('t/#', { qos: 1, messageId: 2 })
    expect(client.one('suback').granted).toEqual([1])
    expect(lab.store.position).toBe(position)
    client.unsubscribe('t/#')
    lab.commit()
    client.one('unsuback')
    expect(new DurableLab(platter).broker.counts().subscriptions).toBe(0)
  })
})

test('UNSUBSCRIBE is answered at once, and is so for ever when there is room', () => {
  const platter = new Platter()
  const lab = new DurableLab(platter)
  const client = keeper(lab)
  fill(lab)
  client.unsubscribe('t/#').one('unsuback')
  makeRoom(lab)
  expect(new DurableLab(platter).broker.counts().subscriptions).toBe(0)
})

test('UNSUBSCRIBE that was waiting when the disk filled up is answered', () => {
  const lab = new DurableLab()
  const client = keeper(lab)
  lab.engine.full = true
  client.unsubscribe('t/#')
  expect(client.take()).toEqual([])
  lab.commit()
  client.one('unsuback')
})

test('CONNECT with a session to keep is accepted, and kept when there is room', () => {
  const platter = new Platter()
  const lab = new DurableLab(platter)
  fill(lab)
  const client = lab.connected({ id: 'new', ...away })
  expect(client.connack.properties.sessionExpiryInterval).toBeUndefined()
  makeRoom(lab)
  expect(new DurableLab(platter).broker.counts().sessions).toBe(1)
})

describe('PUBLISH under way when the disk fills up', () => {
  test('is refused in order, QoS 1 and 2, and so is what follows', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    keeper(lab).drop()
    lab.commit()
    const publisher = lab.connected({ id: 'p', ...away })
    lab.commit()
    lab.engine.full = true
    publisher.publish('t/1', 'one', { qos: 1, messageId: 1 }).publish('t/2', 'two', { qos: 2, messageId: 2 })
    publisher.publish('t/3', 'three', { qos: 1, messageId: 3 })
    expect(publisher.take()).toEqual([])
    lab.commit()
    expect(answers(publisher.take())).toEqual(['puback 1 97', 'pubrec 2 97', 'puback 3 97'])
    publisher.publish('t/4', 'four', { qos: 1, messageId: 4 }).publish('t/5', 'five', { qos: 2, messageId: 2 })
    expect(answers(publisher.take())).toEqual(['puback 4 97', 'pubrec 2 97'])
    expect(lab.meter.get('mqtt.dropped.disk')).toBe(3)
    makeRoom(lab)
    // The packet id of what was taken back is free: it is a new message.
    publisher.publish('t/6', 'six', { qos: 2, messageId: 2 })
    lab.commit()
    publisher.pubrel(2)
    lab.commit()
    expect(answers(publisher.take())).toEqual(['pubrec 2 0', 'pubcomp 2 0'])
    const next = new DurableLab(platter)
    const back = next.client().connect({ id: 'keeper', ...away })
    expect(back.got()).toEqual(['t/1=one', 't/3=three', 't/6=six'])
  })

  test('of 3.1.1 waits for room: it has no word for no', () => {
    const lab = new DurableLab()
    keeper(lab).drop()
    const publisher = lab.connected({ id: 'p', version: 4 })
    lab.commit()
    lab.engine.full = true
    publisher.publish('t/1', 'one', { qos: 1, messageId: 1 })
    lab.commit()
    expect(publisher.take()).toEqual([])
    makeRoom(lab)
    publisher.one('puback')
  })

  test('a PUBCOMP that waits for room holds up no PUBACK', () => {
    const lab = new DurableLab()
    keeper(lab).drop()
    const publisher = lab.connected({ id: 'p', ...away }).publish('t/1', 'one', { qos: 2, messageId: 1 })
    lab.commit()
    publisher.one('pubrec')
    lab.engine.full = true
    publisher.pubrel(1).publish('t/2', 'two', { qos: 1, messageId: 2 })
    lab.commit()
    expect(answers(publisher.take())).toEqual(['puback 2 97'])
    publisher.publish('t/3', 'three', { qos: 1, messageId: 3 })
    expect(answers(publisher.take())).toEqual(['puback 3 97'])
    makeRoom(lab)
    expect(answers(publisher.take())).toEqual(['pubcomp 1 0'])
    publisher.publish('nobody', 'x', { qos: 1, messageId: 4 })
    expect(answers(publisher.take())).toEqual(['puback 4 10'])
  })
})
