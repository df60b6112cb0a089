// Shared subscriptions between boxes: a message goes to one consumer in the cluster.

import { describe, expect, test } from 'vitest'
import { A, B, boxes, C, kill, type SessionBox } from '../sessionbox.ts'

const lasting = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const
const SHARE = '$share/g/t/#'

function consumer(box: SessionBox, id: string, options: object = {}, qos = 1) {
  const client = box.lab.connected({ id, ...options }).subscribe(SHARE, { qos })
  box.lab.clock.advance(1000)
  client.one('suback')
  return client
}

const publish = (box: SessionBox, from: number, count: number, qos = 1) => {
  const client = box.lab.connected({ id: `p${from}` })
  for (let index = from; index < from + count; index++) client.publish('t/1', `${index}`, { qos, messageId: index + 1 })
  box.lab.clock.advance(100)
  return client
}

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, index) => `${from + index}`)

/** The payloads that have come, acknowledged. */
function drain(client: ReturnType<typeof consumer>, box: SessionBox): string[] {
  const got: string[] = []
  for (;;) {
    const packets = client.take().filter(({ cmd }) => cmd === 'publish')
    if (packets.length === 0) return got
    for (const { payload, messageId, qos } of packets) {
      got.push(String(payload))
      if (qos === 1) client.puback(messageId)
    }
    box.lab.clock.advance(10)
  }
}

const inOrder = (texts: readonly string[]) => [...texts].sort((a, b) => Number(a) - Number(b))

describe('a group with consumers on several boxes', () => {
  test('gets each message once: from a box without a consumer in turn, from one with a consumer there', () => {
    const { boxes: all } = boxes(A, B, C)
    const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
    const [one, other] = [consumer(b, 'one'), consumer(c, 'other')]
    publish(a, 0, 10)
    const [atB, atC] = [drain(one, b), drain(other, c)]
    expect(inOrder([...atB, ...atC])).toEqual(numbers(0, 10))
    expect([atB.length, atC.length]).toEqual([5, 5])
    publish(b, 20, 10)
    expect([drain(one, b), drain(other, c)]).toEqual([numbers(20, 10), []])
    publish(a, 40, 4, 0)
    expect(inOrder([...drain(one, b), ...drain(other, c)])).toEqual(numbers(40, 4))
  })

  test('beside a plain subscription on the same box: each of the two gets it', () => {
    const { boxes: all } = boxes(A, B, C)
    const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
    const one = consumer(b, 'one')
    const plain = [b, c].map((box) => box.lab.connected().subscribe('t/#', { qos: 1 }))
    a.lab.clock.advance(1000)
    for (const client of plain) client.one('suback')
    publish(a, 0, 5)
    expect(drain(one, b)).toEqual(numbers(0, 5))
    expect([drain(plain[0]!, b), drain(plain[1]!, c)]).toEqual([numbers(0, 5), numbers(0, 5)])
  })

  test('a client that is connected comes before one that is away, wherever it is', () => {
    const { boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    consumer(a, 'away', lasting).drop()
    a.lab.clock.advance(1000)
    const there = consumer(b, 'there')
    publish(a, 0, 3)
    expect(drain(there, b)).toEqual(numbers(0, 3))
    there.drop()
    a.lab.clock.advance(100)
    // Nobody is connected: the persistent session takes them, here and from there.
    publish(a, 10, 2)
    publish(b, 20, 2)
    const back = a.lab.client().connect({ id: 'away', ...lasting })
    a.lab.clock.advance(100)
    expect(inOrder(drain(back, a))).toEqual(['10', '11', '20', '21'])
  })
})

describe('a consumer that goes away', () => {
  test('what it has not acknowledged goes to one on another box', () => {
    const { boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    const gone = consumer(a, 'gone', lasting)
    const other = consumer(b, 'other')
    publish(a, 0, 3)
    expect(gone.take().filter(({ cmd }) => cmd === 'publish').length).toBe(3)
    gone.drop()
    a.lab.clock.advance(100)
    expect(drain(other, b)).toEqual(numbers(0, 3))
    const back = a.lab.client().connect({ id: 'gone', ...lasting })
    a.lab.clock.advance(100)
    expect(drain(back, a)).toEqual([])
  })

  test('QoS 2 that was begun stays with its session', () => {
    const { boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    const gone = consumer(a, 'gone', lasting, 2)
    const other = consumer(b, 'other', {}, 2)
    const publisher = publish(b, 0, 0)
    other.drop()
    a.lab.clock.advance(100)
    publisher.publish('t/1', 'begun', { qos: 2, messageId: 9 })
    a.lab.clock.advance(100)
    publisher.pubrel(9)
    a.lab.clock.advance(100)
    expect(gone.take().map(({ cmd }) => cmd)).toContain('publish')
    const again = consumer(b, 'other', {}, 2)
    gone.drop()
    a.lab.clock.advance(100)
    expect(drain(again, b)).toEqual([])
    const back = a.lab.client().connect({ id: 'gone', ...lasting })
    a.lab.clock.advance(100)
    expect(drain(back, a)).toEqual(['begun'])
  })

  test('a message that was on its way to it is handed on by its box', () => {
    const { mesh, boxes: all } = boxes(A, B, C)
    const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
    const gone = consumer(b, 'gone')
    mesh.stall(A, B, true)
    mesh.stall(B, A, true)
    publish(a, 0, 3)
    gone.drop()
    const other = consumer(c, 'other')
    mesh.stall(A, B, false)
    mesh.stall(B, A, false)
    mesh.clock.advance(100)
    expect(drain(other, c)).toEqual(numbers(0, 3))
    expect(b.node.meter.get('shares.handed-on')).toBe(3)
  })
})

describe('a session that is over', () => {
  test('by a new one at another box: what it held for its group goes to others', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    consumer(a, 'gone', lasting).drop()
    mesh.clock.advance(1000)
    publish(a, 0, 3)
    const other = consumer(b, 'other', lasting)
    other.drop()
    mesh.clock.advance(100)
    b.lab.client().connect({ id: 'gone', clean: true })
    mesh.clock.advance(1000)
    expect(a.session('gone')).toBe(undefined)
    const back = b.lab.client().connect({ id: 'other', ...lasting })
    mesh.clock.advance(100)
    expect(inOrder(drain(back, b))).toEqual(numbers(0, 3))
  })
})

describe('a box that dies', () => {
  test('what it has not got goes to consumers elsewhere, once, also when it is back', () => {
    const { mesh, boxes: all } = boxes(A, B, C)
    const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
    const there = consumer(b, 'there')
    mesh.cut(A, B)
    publish(a, 0, 3)
    const other = consumer(c, 'other')
    a.node.sees(B, 'dead', false)
    mesh.clock.advance(100)
    expect(drain(other, c)).toEqual(numbers(0, 3))
    expect(a.node.meter.get('shares.chosen-again')).toBe(3)
    mesh.link(A, B)
    a.node.sees(B, 'alive')
    mesh.clock.advance(1000)
    expect(drain(there, b)).toEqual([])
  })

  test('what its session had not acknowledged goes from its copy to a consumer that is there', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    consumer(a, 's', lasting)
    publish(a, 0, 3)
    mesh.clock.advance(100)
    const other = consumer(b, 'other')
    kill(mesh, a, [b])
    mesh.clock.advance(1000)
    expect(inOrder(drain(other, b))).toEqual(numbers(0, 3))
  })

  test('while it alone has a persistent session of the group, messages wait for it', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    const s = consumer(b, 's', lasting)
    mesh.cut(A, B)
    a.node.sees(B, 'dead', false)
    expect(
      publish(a, 0, 3)
        .take()
        .map(({ cmd }) => cmd),
    ).toEqual(['puback', 'puback', 'puback'])
    mesh.link(A, B)
    a.node.sees(B, 'alive')
    mesh.clock.advance(1000)
    expect(drain(s, b)).toEqual(numbers(0, 3))
  })
})
