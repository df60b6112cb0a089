// One client id has one session and one connection in the cluster, wherever it connects.

import { describe, expect, test } from 'vitest'
import type { ClientId } from '../../../../src/base/ids.ts'
import { compareStamps } from '../../../../src/base/stamps.ts'
import { A, B, boxes, boxesWith, C, kill, SessionBox } from '../sessionbox.ts'

const lasting = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const
const texts = (packets: { payload?: unknown }[]) => packets.flatMap(({ payload }) => (payload ? [String(payload)] : []))

describe('two connections of one client id', () => {
  test('the later one stays, the older is told, whether its session lasts or not', () => {
    for (const options of [{}, lasting]) {
      const {
        mesh,
        boxes: [a, b],
      } = boxes(A, B)
      const first = a!.lab.connected({ id: 'c', ...options })
      mesh.clock.advance(100)
      const second = b!.lab.client().connect({ id: 'c', ...options })
      mesh.clock.advance(100)
      expect(first.take()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x8e }])
      expect(first.closed).toBe(true)
      expect(second.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0 }])
      expect(second.closed).toBe(false)
      expect([a!.lab.broker.counts().clients, b!.lab.broker.counts().clients]).toEqual([0, 1])
      expect(mesh.errors).toEqual([])
    }
  })

  test('on two sides of a cut, the later stays after the heal', () => {
    const {
      mesh,
      boxes: [a, b],
    } = boxes(A, B)
    mesh.cut(A, B)
    const first = a!.lab.connected({ id: 'c', ...lasting })
    mesh.clock.advance(10)
    const second = b!.lab.connected({ id: 'c', ...lasting })
    mesh.link(A, B)
    mesh.clock.advance(5000)
    expect(first.take()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x8e }])
    expect(second.closed).toBe(false)
    expect([a!.entry('c'), b!.entry('c')]).toEqual(['b', 'b'])
    expect(a!.session('c')).toBeUndefined()
  })

  test('a client that nobody else knows is answered in the same turn', () => {
    const {
      boxes: [a],
    } = boxes(A, B)
    a!.lab
      .client()
      .connect({ id: 'new', ...lasting })
      .one('connack')
  })

  test('again and again on two boxes: each time one connection is left', () => {
    const {
      mesh,
      boxes: [a, b],
    } = boxes(A, B)
    for (let round = 0; round < 20; round++) {
      for (const box of [a!, b!]) {
        const client = box.lab.client().connect({ id: 'c', ...lasting })
        mesh.clock.advance(30_000)
        expect(client.take()[0]).toMatchObject({
          cmd: 'connack',
          reasonCode: 0,
          sessionPresent: round + (box === b ? 1 : 0) > 0,
        })
        expect(a!.lab.broker.counts().clients + b!.lab.broker.counts().clients).toBe(1)
        expect(a!.lab.broker.counts().sessions + b!.lab.broker.counts().sessions).toBe(1)
      }
    }
    expect(mesh.errors).toEqual([])
  })
})

describe('a session', () => {
  test('goes to where its client connects, whole and in order, and is gone where it was', () => {
    const {
      mesh,
      boxes: [a, b, c],
    } = boxes(A, B, C)
    const client = a!.lab.connected({ id: 's', ...lasting }).subscribe('t/#', { qos: 2 })
    mesh.clock.advance(100)
    client.one('suback')
    client.drop()
    const publisher = c!.lab.connected({ id: 'p' })
    const expected = Array.from({ length: 300 }, (_, number) => `m${number}`)
    for (const [number, text] of expected.entries()) {
      publisher.publish('t/1', text, { qos: 1 + (number % 2), messageId: number + 1 })
      if (number % 2 === 1) publisher.pubrel(number + 1)
    }
    mesh.clock.advance(100)
    const back = b!.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(100)
    const [connack, ...packets] = back.take()
    expect(connack).toMatchObject({ cmd: 'connack', reasonCode: 0, sessionPresent: true })
    const got = texts(packets)
    for (let round = 0; got.length < 300 && round < 100; round++) {
      for (const { cmd, qos, messageId } of packets.splice(0)) {
        if (cmd === 'publish' && qos === 1) back.puback(messageId)
        if (cmd === 'publish' && qos === 2) back.pubrec(messageId)
        if (cmd === 'pubrel') back.pubcomp(messageId)
      }
      mesh.clock.advance(100)
      packets.push(...back.take())
      got.push(...texts(packets))
    }
    expect(got).toEqual(expected)
    expect(a!.session('s')).toBeUndefined()
    expect([a!, b!, c!].map((box) => box.entry('s'))).toEqual(['b', 'b', 'b'])
    publisher.publish('t/2', 'after', { qos: 1, messageId: 999 })
    mesh.clock.advance(100)
    expect(texts(back.take())).toEqual(['after'])
  })

  test('what is published while it moves comes, all of it and in order', () => {
    const {
      mesh,
      boxes: [a, b, c],
    } = boxes(A, B, C)
    a!.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
    mesh.clock.advance(100)
    const publishers = [a!, b!, c!].map((box) => box.lab.connected({ id: `p${box.id}` }))
    let number = 0
    const publish = () => {
      number++
      for (const [index, publisher] of publishers.entries()) {
        publisher.publish('t', `${index}.${number}`, { qos: 1, messageId: number })
      }
      mesh.clock.advance(1)
    }
    const got: string[] = []
    let client = b!.lab.client()
    const drain = () => {
      const packets = client.take()
      got.push(...texts(packets))
      for (const { cmd, messageId } of packets) if (cmd === 'publish' && !client.closed) client.puback(messageId)
    }
    for (const box of [b!, c!, a!, b!]) {
      for (let round = 0; round < 10; round++) {
        publish()
        drain()
      }
      drain()
      client = box.lab.client().connect({ id: 's', ...lasting })
      for (let round = 0; round < 30; round++) {
        publish()
        drain()
      }
    }
    mesh.clock.advance(1000)
    drain()
    for (const index of [0, 1, 2]) {
      const own = got.filter((text) => text.startsWith(`${index}.`)).map((text) => Number(text.slice(2)))
      const once = [...new Set(own)]
      expect(once).toEqual(Array.from({ length: number }, (_, at) => at + 1))
    }
    expect(mesh.errors).toEqual([])
  })

  describe('whose former owner has not heard all of a member yet', () => {
    /** The client of a session at A is at B now; what C publishes is stuck on its way to A. */
    function underway() {
      const { mesh, boxes: made } = boxes(A, B, C)
      const [a, b, c] = made as [SessionBox, SessionBox, SessionBox]
      a.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
      mesh.clock.advance(100)
      const publisher = c.lab.connected({ id: 'p' })
      mesh.stall(C, A, true)
      publisher.publish('t', 'c1', { qos: 1, messageId: 1 })
      mesh.clock.advance(10)
      const client = b.lab.client().connect({ id: 's', ...lasting })
      mesh.clock.advance(50)
      publisher.publish('t', 'c2', { qos: 1, messageId: 2 })
      b.lab.connected({ id: 'q' }).publish('t', 'b1', { qos: 1, messageId: 1 })
      mesh.clock.advance(50)
      // The way from B is clear, so nothing of B waits.
      expect(texts(client.take())).toEqual(['b1'])
      return { mesh, a, b, c, publisher, client }
    }

    test('gets it first, and then what has come directly', () => {
      const { mesh, a, publisher, client } = underway()
      mesh.stall(C, A, false)
      mesh.clock.advance(50)
      publisher.publish('t', 'c3', { qos: 1, messageId: 3 })
      mesh.clock.advance(50)
      expect(texts(client.take())).toEqual(['c1', 'c2', 'c3'])
      expect(a.session('s')).toBeUndefined()
      expect(mesh.errors).toEqual([])
    })

    test('over a link that breaks and comes again', () => {
      const { mesh, a, client } = underway()
      mesh.cut(A, C)
      mesh.clock.advance(100)
      expect(client.take()).toEqual([])
      mesh.link(A, C)
      mesh.clock.advance(100)
      expect(texts(client.take())).toEqual(['c1', 'c2'])
      expect(a.session('s')).toBeUndefined()
    })

    test('does not wait for it when the member is dead, or for ever', () => {
      for (const dead of [true, false]) {
        const { mesh, a, client } = underway()
        if (dead) a.node.sees(C, 'dead', false)
        mesh.clock.advance(dead ? 100 : 9800)
        expect(texts(client.take())).toEqual(dead ? ['c2'] : [])
        mesh.clock.advance(200)
        expect(texts(client.take())).toEqual(dead ? [] : ['c2'])
        expect(a.node.meter.get('sessions.barrier.late')).toBe(dead ? 0 : 1)
        expect(a.session('s')).toBeUndefined()
      }
    })

    test('holds back no more than its queue does', () => {
      const { mesh, publisher, client } = underway()
      for (let number = 3; number <= 10_002; number++) {
        publisher.publish('t', `c${number}`, { qos: 1, messageId: number })
        if (number % 500 === 0) mesh.clock.advance(5)
      }
      mesh.clock.advance(100)
      expect(texts(client.take()).length).toBeGreaterThan(0)
    })
  })

  test('is found where its client was last, also by a box that has just been linked and knows an older one', () => {
    const {
      mesh,
      boxes: [a, b],
    } = boxesWith(1, A, B)
    a!.lab.connected({ id: 's', ...lasting }).subscribe('older', { qos: 1 })
    mesh.clock.advance(100)
    mesh.cut(A, B)
    for (const box of [a!, b!]) box.node.sees(box === a ? B : A, 'dead', false)
    b!.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
    mesh.clock.advance(100)
    mesh.link(A, B)
    const client = a!.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(1000)
    expect(client.take()[0]).toMatchObject({ cmd: 'connack', reasonCode: 0, sessionPresent: true })
    b!.lab.connected({ id: 'p' }).publish('t', 'x', { qos: 1, messageId: 1 })
    mesh.clock.advance(100)
    expect(texts(client.take())).toEqual(['x'])
    expect(b!.session('s')).toBeUndefined()
  })

  test('Clean Start ends it on whichever box it is', () => {
    const {
      mesh,
      boxes: [a, b],
    } = boxes(A, B)
    for (const next of [{ clean: true }, { clean: true, properties: { sessionExpiryInterval: 60 } }]) {
      a!.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
      mesh.clock.advance(100)
      const client = b!.lab.client().connect({ id: 's', ...next })
      expect(client.one('connack')).toMatchObject({ reasonCode: 0, sessionPresent: false })
      mesh.clock.advance(100)
      expect(a!.session('s')).toBeUndefined()
      expect(a!.lab.broker.counts().subscriptions).toBe(0)
      client.disconnect({ sessionExpiryInterval: 0 })
      mesh.clock.advance(100)
      expect([a!.entry('s'), b!.entry('s')]).toEqual(['over', 'over'])
    }
  })

  test('Clean Start ends it also at a box that is not linked yet: others hear of that when it is', () => {
    const { mesh, boxes: all } = boxes(A)
    const a = all[0]!
    const clientId = 'c' as ClientId
    const epoch = { wallMs: 1_000_000, counter: 0, node: B }
    a.directory.set(clientId, { over: false, fresh: false, epoch, base: epoch, owner: B, backup: A })
    a.lab.connected({ id: 'c', clean: true, properties: { sessionExpiryInterval: 3600 } })
    const after = a.directory.get(clientId)!
    expect(after).toMatchObject({ over: false, owner: A, fresh: true, base: after.epoch })
    expect(compareStamps(after.epoch, epoch)).toBeGreaterThan(0)
    expect(mesh.errors).toEqual([])
  })

  test.each([0, 60])(
    'Clean Start ends it at its own box that has just begun anew, and has not heard of it: for %i s from then on',
    (sessionExpiryInterval) => {
      const {
        mesh,
        boxes: [a, b],
      } = boxes(A, B)
      b!.lab
        .connected({ id: 's', ...lasting })
        .subscribe('t', { qos: 1 })
        .drop()
      mesh.clock.advance(1000)
      kill(mesh, b!, [a!])
      mesh.clock.advance(1000)
      expect(a!.session('s')?.place.at).toBe('standing-in')
      const older = a!.directory.get('s' as ClientId)!
      const again = new SessionBox(mesh, B, 2, [A])
      const client = again.lab.connected({ id: 's', clean: true, properties: { sessionExpiryInterval } })
      mesh.link(A, B)
      mesh.clock.advance(3000)
      expect(a!.session('s')).toBeUndefined()
      expect(again.lab.broker.counts().subscriptions).toBe(0)
      expect([a!.entry('s'), again.entry('s')]).toEqual(sessionExpiryInterval === 0 ? ['over', 'over'] : ['b', 'b'])
      expect(again.node.meter.get('sessions.offered.nothing')).toBe(1)
      expect(again.node.meter.get('sessions.offered.later')).toBe(0)
      expect(a!.directory.get('s' as ClientId)?.fresh).toBe(true)
      // Somebody who has not heard of it writes what it knows.
      a!.directory.set('s' as ClientId, older)
      mesh.clock.advance(1000)
      const { epoch, base, fresh } = a!.directory.get('s' as ClientId)!
      expect([base, fresh]).toEqual([epoch, true])
      client.drop()
      const next = again.lab.client().connect({ id: 's', ...lasting })
      mesh.clock.advance(3000)
      expect(next.one('connack')).toMatchObject({ reasonCode: 0, sessionPresent: sessionExpiryInterval > 0 })
      expect(again.lab.broker.counts().subscriptions).toBe(0)
      expect(mesh.errors).toEqual([])
    },
  )

  test("is not another account's", () => {
    const {
      mesh,
      boxes: [a, b],
    } = boxes(A, B)
    a!.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
    mesh.clock.advance(100)
    // The clients of these boxes have no accounts.
    const answers: unknown[] = []
    b!.sessions.claim({ clientId: 's' as never, account: 'eve', cleanStart: false, lasting: true }, (claimed) =>
      answers.push(claimed),
    )
    mesh.clock.advance(100)
    expect(answers.length).toBe(1)
    expect([a!.session('s'), b!.session('s')]).toEqual([undefined, undefined])
  })

  test('whose owner does not answer is begun without within three seconds, and gets what that has after the heal', () => {
    const {
      mesh,
      boxes: [a, b],
    } = boxesWith(1, A, B)
    const client = a!.lab.connected({ id: 's', ...lasting }).subscribe('t/#', { qos: 1 })
    mesh.clock.advance(100)
    client.take()
    client.drop()
    a!.lab.connected({ id: 'p' }).publish('t/1', 'waits', { qos: 1 }).publish('t/2', 'too', { qos: 1 })
    mesh.clock.advance(100)
    mesh.stall(A, B, true)
    const back = b!.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(2900)
    expect(back.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0, sessionPresent: false }])
    back.subscribe('t/1', { qos: 1 })
    mesh.cut(A, B)
    mesh.clock.advance(100)
    mesh.link(A, B)
    mesh.clock.advance(8000)
    expect(texts(back.take())).toEqual(['waits'])
    expect(a!.session('s')).toBeUndefined()
  })

  test('that has gone on twice gets what only its first box has, also when that still thinks of the second', () => {
    const {
      mesh,
      boxes: [a, b, c],
    } = boxes(A, B, C)
    const client = a!.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
    mesh.clock.advance(100)
    client.take()
    client.drop()
    mesh.cut(A, B)
    mesh.cut(A, C)
    for (const box of [b!, c!]) {
      box.node.sees(A, 'dead', false)
      a!.node.sees(box.id, 'dead', false)
    }
    a!.lab.connected({ id: 'p' }).publish('t', 'alone', { qos: 1, messageId: 1 })
    const second = b!.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(3000)
    expect(second.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0, sessionPresent: true }])
    // By C, A hears that it is B's.
    mesh.link(A, C)
    mesh.clock.advance(1000)
    expect([a!.entry('s'), a!.session('s')?.place.at]).toEqual(['b', 'standing-in'])
    mesh.cut(A, C)
    const third = c!.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(1000)
    expect(third.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0, sessionPresent: true }])
    expect(a!.entry('s')).toBe('b')
    mesh.link(A, B)
    mesh.clock.advance(1000)
    mesh.link(A, C)
    mesh.clock.advance(5000)
    expect(texts(third.take())).toEqual(['alone'])
    expect([a!, b!, c!].map((box) => box.session('s')?.place.at)).toEqual([undefined, undefined, 'here'])
  })

  test('that takes too long to come: its client is told to come again, and then has it whole', () => {
    const {
      mesh,
      boxes: [a, b],
    } = boxes(A, B)
    const client = a!.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
    mesh.clock.advance(100)
    client.take()
    const publisher = a!.lab.connected({ id: 'p' })
    for (let number = 1; number <= 40; number++) {
      publisher.publish('t', Buffer.alloc(20_000, number), { qos: 1, messageId: number })
    }
    client.drop()
    mesh.clock.advance(100)
    mesh.delayMs = 600
    const first = b!.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(2900)
    expect(first.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0x89 }])
    mesh.delayMs = 1
    mesh.clock.advance(30_000)
    const second = b!.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(100)
    expect(second.take()[0]).toMatchObject({ cmd: 'connack', reasonCode: 0, sessionPresent: true })
    expect(b!.lab.broker.counts().sessions).toBe(1)
    expect(a!.session('s')).toBeUndefined()
  })

  test('of which a part was on its way when the link broke is whole after the heal', () => {
    const {
      mesh,
      boxes: [a, b],
    } = boxes(A, B)
    const client = a!.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
    mesh.clock.advance(100)
    client.take()
    client.drop()
    const publisher = a!.lab.connected({ id: 'p' })
    const expected = Array.from({ length: 200 }, (_, number) => `m${number}`.padEnd(1000, '.'))
    for (const [number, text] of expected.entries()) publisher.publish('t', text, { qos: 1, messageId: number + 1 })
    mesh.clock.advance(100)
    const back = b!.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(4)
    mesh.cut(A, B)
    mesh.clock.advance(1000)
    mesh.link(A, B)
    mesh.clock.advance(20_000)
    const got: string[] = []
    for (let round = 0; round < 10; round++) {
      const packets = back.take()
      got.push(...texts(packets))
      for (const { cmd, messageId } of packets) if (cmd === 'publish') back.puback(messageId)
      mesh.clock.advance(100)
    }
    expect([...got].sort()).toEqual([...expected].sort())
    expect(a!.session('s')).toBeUndefined()
  })
})
