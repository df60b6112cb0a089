// What comes from other boxes, and what waits for them.

import { describe, expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { type Lane, Positions } from '../../../src/base/positions.ts'
import { NoKeeper, NoPeers } from '../../../src/broker/ports.ts'
import { EMPTY, type Message, type QoS } from '../../../src/wire/message.ts'
import { Lab, VirtualClock } from '../../conformance/lab.ts'
import { DurableLab, Platter } from './durable-lab.ts'

const away = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const

const message = (counter: number, qos: QoS = 1, topic = 't'): Message => ({
  ...{ origin: { node: 'aaaaaaaaaaaaaaaa' as NodeId, incarnation: 1 }, counter: qos === 0 ? 0 : counter, topic, qos },
  ...{ retain: false, payload: Buffer.from(`${counter}`), properties: EMPTY, expiresAt: Number.POSITIVE_INFINITY },
  ...{ publisher: 'elsewhere' as ClientId, stamp: null },
})

/** Of the group in these tests. */
const targets = { groups: ['g/t'], only: false, hops: 0 }

describe('what may have come before', () => {
  test('goes to persistent sessions that have not had it, and to no others', () => {
    const lab = new Lab()
    const kept = lab.connected({ id: 'kept', ...away }).subscribe('t', { qos: 1 })
    const clean = lab.subscribed('t', { qos: 1 })
    kept.one('suback')
    lab.broker.deliverFromPeer(message(1), false)
    lab.advance(0)
    expect([kept.got(), clean.got()]).toEqual([['t=1'], ['t=1']])
    expect(lab.broker.deliverFromPeer(message(1), 'late')).toBe(0)
    expect(lab.broker.deliverFromPeer(message(2), 'late')).toBe(1)
    expect(lab.broker.deliverFromPeer(message(2), 'late')).toBe(0)
    expect(lab.broker.deliverFromPeer(message(3, 0), 'late')).toBe(0)
    lab.advance(0)
    expect([kept.got(), clean.got()]).toEqual([['t=2'], []])
  })

  test('is known though it still waits, and after a restart of this box', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    const client = lab.connected({ id: 'kept', ...away }).subscribe('t', { qos: 2 })
    lab.commit()
    client.one('suback')
    lab.broker.deliverFromPeer(message(1, 2), false)
    lab.commit()
    client.one('publish')
    client.drop()
    lab.broker.deliverFromPeer(message(2, 2), false)
    lab.commit()
    const again = new DurableLab(platter)
    for (const counter of [1, 2]) expect(again.broker.deliverFromPeer(message(counter, 2), 'late')).toBe(0)
    expect(again.broker.deliverFromPeer(message(3, 2), 'late')).toBe(1)
  })

  test('goes to one of a group, unless one of them has had it', () => {
    const lab = new Lab()
    const [one, other] = ['one', 'other'].map((id) =>
      lab.connected({ id, ...away }).subscribe('$share/g/t', { qos: 1 }),
    )
    for (const client of [one!, other!]) client.one('suback')
    expect(lab.broker.deliverFromPeer(message(1), false, targets)).toBe(1)
    expect(lab.broker.deliverFromPeer(message(1), 'late', targets)).toBe(0)
    expect(lab.broker.deliverFromPeer(message(2), 'late', targets)).toBe(1)
    lab.advance(0)
    expect([...one!.got(), ...other!.got()].sort()).toEqual(['t=1', 't=2'])
  })
})

describe('a member of a group that has a subscription of its own, too, gets both', () => {
  test.each([
    ['of QoS 2', 2, false],
    ['that may have come before', 1, 'late'],
  ] as const)('of a message %s', (_what, qos, late) => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    const client = lab.connected({ id: 'both', ...away })
    for (const filter of ['t', '$share/g/t']) client.subscribe(filter, { qos: 1 })
    lab.commit()
    client.take()
    expect(lab.broker.deliverFromPeer(message(1, qos), late, targets)).toBe(2)
    lab.commit()
    expect(client.got()).toEqual(['t=1', 't=1'])
    expect(lab.broker.deliverFromPeer(message(1, qos), 'late', targets)).toBe(0)
    const again = new DurableLab(platter)
    expect(again.broker.deliverFromPeer(message(1, qos), 'late', targets)).toBe(0)
  })

  test('and each once, whichever came first', () => {
    const lab = new DurableLab()
    const [both, other] = ['both', 'other'].map((id) =>
      lab.connected({ id, ...away }).subscribe('$share/g/t', { qos: 1 }),
    )
    lab.commit()
    lab.broker.deliverFromPeer(message(1, 1), 'late', targets)
    for (const client of [both!, other!]) client.subscribe('t', { qos: 1 })
    lab.commit()
    lab.broker.deliverFromPeer(message(1, 1), 'late', targets)
    lab.commit()
    expect([both!.got(), other!.got()].map(({ length }) => length).sort()).toEqual([1, 2])
  })
})

describe('routes', () => {
  class Wishes extends NoPeers {
    readonly told: string[] = []
    readonly waiting: (() => void)[] = []
    override wanted(filter: string, durable: boolean, taken: () => void): void {
      this.told.push(`${filter} ${durable ? 'durable' : 'plain'}`)
      this.waiting.push(taken)
    }
    override unwanted(filter?: string): void {
      this.told.push(`${filter} no more`)
    }
    taken(): void {
      for (const taken of this.waiting.splice(0)) taken()
    }
  }

  test('are durable while a persistent session wants them, and a SUBACK waits for that to be known', () => {
    const peers = new Wishes()
    const lab = new Lab({ peers })
    const clean = lab.connected({ id: 'clean' }).subscribe('t')
    peers.taken()
    lab.advance(0)
    clean.one('suback')
    const kept = lab.connected({ id: 'kept', ...away }).subscribe('t')
    expect(kept.take()).toEqual([])
    peers.taken()
    lab.advance(0)
    kept.one('suback')
    lab
      .connected({ id: 'third', ...away })
      .subscribe('t')
      .one('suback')
    kept.unsubscribe('t').one('unsuback')
    expect(peers.told).toEqual(['t plain', 't durable'])
    lab.connected({ id: 'third', clean: true })
    expect(peers.told).toEqual(['t plain', 't durable', 't plain'])
    clean.unsubscribe('t').one('unsuback')
    expect(peers.told.at(-1)).toBe('t no more')
  })

  test('a subscription that replaces another keeps the route', () => {
    const peers = new Wishes()
    const lab = new Lab({ peers })
    const kept = lab.connected({ id: 'kept', ...away }).subscribe('t', { qos: 1 })
    kept.subscribe('t', { qos: 2 })
    peers.taken()
    lab.advance(0)
    expect(peers.told).toEqual(['t durable'])
    expect(kept.take()).toHaveLength(2)
  })
})

describe('acknowledgements', () => {
  /** A cluster with one member, which has what it was sent safe when the test says so. */
  function clustered() {
    const clock = new VirtualClock()
    const positions = new Positions(clock)
    const member: Lane = positions.lane('theirs')
    const peers = new NoPeers()
    peers.interested = () => true
    peers.forward = (...[sent]: [message: Message] | []) => {
      if (sent!.qos > 0) member.staged()
      return 1
    }
    const lab = new Lab({ clock, peers, keeper: new NoKeeper(positions) })
    const safe = () => {
      member.settled(positions.position)
      clock.settle()
    }
    return { lab, safe }
  }

  test('PUBACK waits for the members, in order with what waits for nobody', () => {
    const { lab, safe } = clustered()
    const client = lab.connected()
    client.publish('t', 'x', { qos: 0 }).publish('t', 'x', { qos: 1, messageId: 1 })
    expect(client.take()).toEqual([])
    safe()
    expect(client.take().map(({ cmd, messageId }) => [cmd, messageId])).toEqual([['puback', 1]])
  })

  test('PUBREC does not wait for them, PUBCOMP does', () => {
    const { lab, safe } = clustered()
    const client = lab.connected().publish('t', 'x', { qos: 2, messageId: 1 })
    client.one('pubrec')
    client.pubrel(1)
    expect(client.take()).toEqual([])
    safe()
    client.one('pubcomp')
  })

  test('a client of this box gets its QoS 2 message before the members are safe', () => {
    const { lab } = clustered()
    const subscriber = lab.subscribed('t', { qos: 2 })
    const client = lab.connected().publish('t', 'x', { qos: 2, messageId: 1 }).pubrel(1)
    expect(client.take().map(({ cmd }) => cmd)).toEqual(['pubrec'])
    expect(subscriber.got()).toEqual(['t=x'])
  })
})

describe('a QoS 2 message that is passed on again', () => {
  const released = (lab: DurableLab) => {
    const client = lab.client().connect({ id: 'p', ...away })
    expect(client.take()[0]).toMatchObject({ cmd: 'connack', sessionPresent: true })
    return client.pubrel(1)
  }

  /** A box with a subscriber of its own and one member that wants everything, durably. */
  function boxWith(platter: Platter, node?: NodeId) {
    const sent: Message[] = []
    const peers = new NoPeers()
    peers.interested = () => true
    const lab = new DurableLab(platter, peers, node)
    const member = lab.positions.lane('theirs')
    peers.forward = (...[message]: [message: Message] | []) => {
      sent.push(message!)
      if (message!.qos > 0) member.staged()
      return 1
    }
    const safe = () => {
      member.settled(lab.positions.position)
      lab.advance(0)
    }
    return { lab, sent, safe }
  }

  test('comes once to whoever has had it, clean session or not', () => {
    const lab = new Lab()
    const kept = lab.connected({ id: 'kept', ...away }).subscribe('t', { qos: 2 })
    const clean = lab.subscribed('t', { qos: 2 })
    kept.one('suback')
    for (let times = 0; times < 2; times++) lab.broker.deliverFromPeer(message(1, 2), false)
    lab.advance(0)
    expect([kept.got(), clean.got()]).toEqual([['t=1'], ['t=1']])
  })

  test('goes to the members again, and not to the sessions of this box, when it died before they were safe', () => {
    const platter = new Platter()
    const first = boxWith(platter)
    const subscriber = first.lab.connected({ id: 's', ...away }).subscribe('t', { qos: 2 })
    const client = first.lab.connected({ id: 'p', ...away }).publish('t', 'x', { qos: 2, messageId: 1 })
    first.lab.commit()
    client.one('pubrec')
    client.pubrel(1)
    first.lab.commit()
    expect([client.take(), first.sent.length]).toEqual([[], 1])
    const { messageId } = subscriber.take().at(-1)!
    subscriber.pubrec(messageId!).pubcomp(messageId!)
    first.lab.commit()
    const again = boxWith(platter)
    const back = released(again.lab)
    again.lab.commit()
    expect(again.sent.map(({ counter, origin }) => [counter, origin])).toEqual([
      [first.sent[0]!.counter, first.sent[0]!.origin],
    ])
    expect(back.take()).toEqual([])
    again.safe()
    back.one('pubcomp')
    expect(
      again.lab
        .client()
        .connect({ id: 's', ...away })
        .got(),
    ).toEqual([])
    again.lab.commit()
    const third = boxWith(platter)
    released(third.lab)
    expect(third.sent).toEqual([])
  })

  /** It dies when its client has its PUBCOMP, and before it has written that the exchange is over. */
  function diedAfterPubcomp(platter: Platter, count = 1) {
    const { lab, safe } = boxWith(platter)
    const client = lab.connected({ id: 'p', ...away })
    for (let id = 1; id <= count; id++) {
      client.publish('t', `old ${id}`, { qos: 2, messageId: id })
      lab.commit()
      client.one('pubrec')
      client.pubrel(id)
      lab.commit()
      safe()
      client.one('pubcomp')
    }
  }

  test('is over when its client begins another under its packet id', () => {
    const platter = new Platter()
    diedAfterPubcomp(platter)
    const again = boxWith(platter)
    const client = again.lab.client().connect({ id: 'p', ...away })
    expect(client.take()).toHaveLength(1)
    client.publish('t', 'new', { qos: 2, messageId: 1 })
    again.lab.commit()
    client.one('pubrec')
    client.pubrel(1)
    again.lab.commit()
    expect(again.sent.map(({ payload }) => payload.toString())).toEqual(['new'])
    again.safe()
    client.one('pubcomp')
    again.lab.commit()
    const third = boxWith(platter)
    released(third.lab)
    expect(third.sent).toEqual([])
  })

  test('takes no room from those that its client may begin', () => {
    const platter = new Platter()
    diedAfterPubcomp(platter, 2)
    const again = boxWith(platter)
    const client = again.lab.client().connect({ id: 'p', ...away })
    const [connack] = client.take()
    const { receiveMaximum } = connack!.properties as { receiveMaximum: number }
    for (let id = 1; id <= receiveMaximum; id++) client.publish('t', 'new', { qos: 2, messageId: 1000 + id })
    again.lab.commit()
    expect(client.take().map(({ cmd }) => cmd)).toEqual(new Array(receiveMaximum).fill('pubrec'))
  })

  test('and was released at another box goes to the sessions of this one, too', () => {
    const platter = new Platter()
    diedAfterPubcomp(platter)
    const { lab, sent } = boxWith(platter, 'bbbbbbbbbbbbbbbb' as NodeId)
    const subscriber = lab.connected({ id: 's', ...away }).subscribe('t', { qos: 2 })
    released(lab)
    lab.commit()
    expect([subscriber.got(), sent.length]).toEqual([['t=old 1'], 1])
  })
})
