// Shared subscriptions: who gets a message when the member that was chosen goes away (MQTT 4.8.2).

import { describe, expect, test } from 'vitest'
import { type Client, Lab } from './lab.ts'

const lasting = { sessionExpiryInterval: 100 }
const FILTER = '$share/g/x'

const member = (lab: Lab, id: string, options: { qos?: number; properties?: object } = {}) =>
  lab.subscribed(FILTER, { id, qos: 2, properties: lasting, ...options })
const back = (lab: Lab, id: string) => lab.client().connect({ id, clean: false, properties: lasting })

function publish(publisher: Client, payload: string, qos: number): void {
  publisher.publish('x', payload, { qos, messageId: 1 })
  if (qos === 2) publisher.pubrel(1)
}

describe('a member that goes away', () => {
  test('hands QoS 1 that it has not acknowledged to one that is connected; it does not get it again', () => {
    const lab = new Lab()
    const [a, b] = [member(lab, 'a'), member(lab, 'b')]
    const publisher = lab.connected()
    for (const payload of ['1', '2', '3', '4']) publish(publisher, payload, 1)
    expect([a.got(), b.got()]).toEqual([
      ['x=1', 'x=3'],
      ['x=2', 'x=4'],
    ])
    a.puback(1).drop()
    const handed = b.one('publish')
    expect(handed).toMatchObject({ payload: '3', qos: 1, dup: false, messageId: 3 })
    expect(back(lab, 'a').got()).toEqual([])
    expect(lab.meter.get('mqtt.shared.handed-over')).toBe(1)
  })

  test('keeps it while no other is connected, and gets it again', () => {
    const lab = new Lab()
    const [a, b] = [member(lab, 'a'), member(lab, 'b')]
    b.drop()
    publish(lab.connected(), '1', 1)
    a.drop()
    expect(back(lab, 'b').got()).toEqual([])
    expect(back(lab, 'a').take().slice(1)).toMatchObject([{ payload: '1', dup: true }])
  })

  test('what it had not begun goes too, QoS 2 as well, in order', () => {
    const lab = new Lab()
    const a = member(lab, 'a', { properties: { ...lasting, receiveMaximum: 1 } })
    const publisher = lab.connected()
    for (const payload of ['1', '2', '3']) publish(publisher, payload, payload === '2' ? 2 : 1)
    expect(a.got()).toEqual(['x=1'])
    const b = member(lab, 'b')
    a.drop()
    expect(b.take().map(({ payload, qos }) => [payload, qos])).toEqual([
      ['1', 1],
      ['2', 2],
      ['3', 1],
    ])
    expect(back(lab, 'a').got()).toEqual([])
  })

  test('what it has of its own subscriptions stays', () => {
    const lab = new Lab()
    const [a, b] = [member(lab, 'a'), member(lab, 'b')]
    a.subscribe('y', { qos: 1 }).take()
    lab.connected().publish('y', 'own', { qos: 1 })
    expect(a.got()).toEqual(['y=own'])
    a.drop()
    expect(b.got()).toEqual([])
    expect(back(lab, 'a').got()).toEqual(['y=own'])
  })

  test('its session ended: QoS 1 goes to a member that is away when there is no other', () => {
    const lab = new Lab()
    const b = member(lab, 'b')
    b.drop()
    const a = member(lab, 'a', { properties: {} })
    publish(lab.connected(), '1', 1)
    expect(a.got()).toEqual(['x=1'])
    a.drop()
    expect(back(lab, 'b').got()).toEqual(['x=1'])
  })

  test('the last one of all takes its messages with it, counted', () => {
    const lab = new Lab()
    const a = member(lab, 'a', { properties: { receiveMaximum: 1 } })
    const publisher = lab.connected()
    publish(publisher, '1', 1)
    publish(publisher, '2', 1)
    a.drop()
    expect(lab.meter.get('mqtt.dropped.session-ended')).toBe(1)
    expect(member(lab, 'b').got()).toEqual([])
  })

  test('a message that has expired meanwhile is handed to nobody', () => {
    const lab = new Lab()
    const a = member(lab, 'a')
    lab.connected().publish('x', '1', { qos: 1, properties: { messageExpiryInterval: 5 } })
    const b = member(lab, 'b')
    lab.advance(5000)
    a.drop()
    expect([b.got(), lab.meter.get('mqtt.dropped.expired')]).toEqual([[], 1])
  })

  test('[MQTT-4.8.2-3] the other gets it with its own granted QoS and identifier', () => {
    const lab = new Lab()
    const a = member(lab, 'a')
    publish(lab.connected(), '1', 1)
    const b = lab.connected().subscribe(FILTER, { qos: 0 }, { subscriptionIdentifier: 9 })
    b.take()
    a.drop()
    expect(b.one('publish')).toMatchObject({ qos: 0, properties: { subscriptionIdentifier: 9 } })
  })

  test('a stop of the broker hands nothing round', () => {
    const lab = new Lab()
    const [a, b] = [member(lab, 'a'), member(lab, 'b')]
    publish(lab.connected(), '1', 1)
    a.take()
    lab.broker.stop()
    lab.clock.settle()
    expect(b.take().map(({ cmd }) => cmd)).toEqual(['disconnect'])
  })
})

describe('QoS 2 once begun', () => {
  test('[MQTT-4.8.2-4] is finished with the member it was begun with, when that one returns', () => {
    const lab = new Lab()
    const [a, b] = [member(lab, 'a'), member(lab, 'b')]
    publish(lab.connected(), '1', 2)
    publish(lab.connected(), '2', 2)
    expect([a.got(), b.got()]).toEqual([['x=1'], ['x=2']])
    a.drop()
    expect(b.got()).toEqual([])
    const again = back(lab, 'a')
    expect(again.take().slice(1)).toMatchObject([{ cmd: 'publish', payload: '1', messageId: 1, dup: true }])
    expect(again.pubrec(1).one('pubrel').messageId).toBe(1)
    again.drop()
    expect(back(lab, 'a').take()[1]).toMatchObject({ cmd: 'pubrel', messageId: 1 })
    expect(b.got()).toEqual([])
  })

  test('[MQTT-4.8.2-5] goes to nobody else when the session ended first', () => {
    const lab = new Lab()
    const [a, b] = [member(lab, 'a'), member(lab, 'b')]
    publish(lab.connected(), '1', 2)
    expect(a.got()).toEqual(['x=1'])
    a.drop()
    lab.advance(200_000)
    expect(lab.broker.counts().subscriptions).toBe(1)
    expect(b.take()).toEqual([])
  })
})

test('[MQTT-4.8.2-6] what a member refuses with an error is dropped, QoS 1 and 2', () => {
  const lab = new Lab()
  const [a, b] = [member(lab, 'a'), member(lab, 'b')]
  const publisher = lab.connected()
  publish(publisher, '1', 1)
  publish(publisher, '2', 2)
  a.send({ cmd: 'puback', messageId: 1, reasonCode: 0x97 })
  b.pubrec(1, 0x80)
  expect([a.got(), b.got()]).toEqual([['x=1'], ['x=2']])
  a.drop()
  b.drop()
  expect([back(lab, 'a').got(), back(lab, 'b').got()]).toEqual([[], []])
})
