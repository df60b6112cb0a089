// A session has a copy at another box, which stands in when its own is dead.

import { describe, expect, test } from 'vitest'
import type { ClientId } from '../../../../src/base/ids.ts'
import { decodeCopies } from '../../../../src/wire/link/copies.ts'
import { A, B, boxes, boxesWith, C, kill, type SessionBox } from '../sessionbox.ts'

const lasting = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const
const texts = (packets: { payload?: unknown }[]) => packets.flatMap(({ payload }) => (payload ? [String(payload)] : []))

/** A subscriber at the first box, its client gone. */
function sleeper(box: SessionBox, filter = 't/#', qos: 1 | 2 = 1) {
  const client = box.lab.connected({ id: 's', ...lasting }).subscribe(filter, { qos })
  box.lab.clock.advance(1000)
  client.one('suback')
  client.drop()
  box.lab.clock.advance(100)
}

describe('acknowledgements', () => {
  test('a PUBACK waits for the copy, while its box is heard and no longer', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    sleeper(a)
    mesh.stall(A, B, true)
    const publisher = a.lab.connected({ id: 'p' }).publish('t/1', 'x', { qos: 1, messageId: 1 })
    mesh.clock.advance(500)
    expect(publisher.take()).toEqual([])
    mesh.stall(A, B, false)
    mesh.clock.advance(10)
    publisher.one('puback')
    mesh.stall(A, B, true)
    publisher.publish('t/1', 'y', { qos: 1, messageId: 2 })
    mesh.clock.advance(500)
    expect(publisher.take()).toEqual([])
    a.node.sees(B, 'suspect')
    mesh.clock.advance(10)
    publisher.one('puback')
    expect(a.copies.problems()).toEqual([
      'copies 1 of 2: 1 session is on this box alone: box b does not have them all yet, or is not heard',
    ])
    mesh.stall(A, B, false)
    a.node.sees(B, 'alive')
    mesh.clock.advance(100)
    expect(a.copies.problems()).toEqual([])
    expect(b.node.meter.get('copies.refused')).toBe(0)
  })

  test('nobody waits for long for a box that is heard and does not take its copies', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a] = all as [SessionBox]
    sleeper(a)
    mesh.stall(A, B, true)
    const publisher = a.lab.connected({ id: 'p' }).publish('t/1', 'x', { qos: 1, messageId: 1 })
    mesh.clock.advance(1999)
    a.copies.look(mesh.clock.now(), 2000)
    mesh.clock.advance(10)
    expect(publisher.take()).toEqual([])
    a.copies.look(mesh.clock.now(), 2000)
    mesh.clock.advance(10)
    publisher.one('puback')
    publisher.publish('t/1', 'y', { qos: 1, messageId: 2 })
    mesh.clock.advance(10)
    publisher.one('puback')
    mesh.stall(A, B, false)
    mesh.clock.advance(100)
    mesh.stall(A, B, true)
    publisher.publish('t/1', 'z', { qos: 1, messageId: 3 })
    mesh.clock.advance(100)
    expect(publisher.take()).toEqual([])
  })

  test('what no lasting session gets waits for nobody', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a] = all as [SessionBox]
    a.lab.connected({ id: 'clean' }).subscribe('t', { qos: 1 })
    mesh.clock.advance(100)
    mesh.stall(A, B, true)
    a.lab.connected({ id: 'p' }).publish('t', 'x', { qos: 1, messageId: 1 }).one('puback')
  })

  test('one copy is enough where that is configured', () => {
    const { mesh, boxes: all } = boxesWith(1, A, B)
    const [a] = all as [SessionBox]
    sleeper(a)
    mesh.stall(A, B, true)
    a.lab.connected({ id: 'p' }).publish('t/1', 'x', { qos: 1, messageId: 1 }).one('puback')
    expect(a.copies.problems()).toEqual([])
  })
})

describe('the owner is dead', () => {
  for (const qos of [1, 2] as const) {
    test(`its client goes on at the backup, and at a third box: QoS ${qos}`, () => {
      for (const to of [1, 2]) {
        const { mesh, boxes: all } = boxes(A, B, C)
        const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
        sleeper(a, 't/#', qos)
        const publisher = c.lab.connected({ id: 'p' })
        for (let number = 1; number <= 5; number++) {
          publisher.publish('t/1', `m${number}`, { qos: 1, messageId: number })
          mesh.clock.advance(5)
        }
        mesh.clock.advance(100)
        kill(mesh, a, [b, c])
        mesh.clock.advance(100)
        for (let number = 6; number <= 9; number++) {
          publisher.publish('t/1', `m${number}`, { qos: 1, messageId: number })
          mesh.clock.advance(5)
        }
        mesh.clock.advance(100)
        const holders = [b, c].filter((box) => box.session('s')?.place.at === 'standing-in')
        expect(holders.length).toBe(1)
        const back = all[to]!.lab.client().connect({ id: 's', ...lasting })
        mesh.clock.advance(100)
        const [connack, ...packets] = back.take()
        expect(connack).toMatchObject({ cmd: 'connack', reasonCode: 0, sessionPresent: true })
        expect(texts(packets)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7', 'm8', 'm9'])
        expect([b, c].map((box) => box.entry('s'))).toEqual(to === 1 ? ['b', 'b'] : ['c', 'c'])
        expect(b.lab.broker.counts().sessions + c.lab.broker.counts().sessions).toBe(2)
        expect(mesh.errors).toEqual([])
      }
    })
  }

  test('what was published before somebody stood in comes to who does', () => {
    const { mesh, boxes: all } = boxes(A, B, C)
    const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
    sleeper(a)
    const publishers = [b, c].map((box) => box.lab.connected({ id: `p${box.id}` }))
    for (const other of [b, c]) mesh.cut(A, other.id)
    for (const [index, publisher] of publishers.entries())
      publisher.publish('t/1', `at ${index}`, { qos: 1, messageId: 1 })
    mesh.clock.advance(100)
    for (const publisher of publishers) publisher.one('puback')
    for (const other of [b, c]) other.node.sees(A, 'dead', false)
    mesh.clock.advance(100)
    const client = c.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(1000)
    expect(texts(client.take()).sort()).toEqual(['at 0', 'at 1'])
    expect(mesh.errors).toEqual([])
  })

  test('nor is that lost when the word of who stands in is, with the link that it was sent over', () => {
    for (const waitMs of [100, 60_000]) {
      const { mesh, boxes: all } = boxes(A, B, C)
      const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
      sleeper(a)
      const [backup, sender] = a.directory.get('s' as ClientId)!.backup === B ? [b, c] : [c, b]
      const publisher = sender.lab.connected({ id: 'p' })
      for (const other of [b, c]) mesh.cut(A, other.id)
      publisher.publish('t/1', 'old', { qos: 1, messageId: 1 })
      mesh.clock.advance(100)
      publisher.one('puback')
      const words: string[] = []
      mesh.watch = (from, to, channel, message) => {
        if (channel === 'copies' && decodeCopies(message)?.kind === 'stood') words.push(`${from.at(-1)}>${to.at(-1)}`)
      }
      mesh.stall(backup.id, sender.id, waitMs === 100)
      for (const other of [b, c]) other.node.sees(A, 'dead', false)
      const client = backup.lab.client().connect({ id: 's', ...lasting })
      mesh.clock.advance(waitMs)
      mesh.cut(B, C)
      mesh.link(B, C)
      mesh.clock.advance(1000)
      expect(texts(client.take())).toEqual(['old'])
      // Who has heard it long ago is not told again.
      expect(words).toEqual([`${backup.id.at(-1)}>${sender.id.at(-1)}`])
      expect(mesh.errors).toEqual([])
    }
  })

  test('what is handed over to who stands in is for the session that came, not for who has subscribed there since', () => {
    const { mesh, boxes: all } = boxes(A, B, C)
    const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
    sleeper(a)
    const backup = a.directory.get('s' as ClientId)!.backup === B ? b : c
    const sender = backup === b ? c : b
    const publisher = sender.lab.connected({ id: 'p' })
    for (const other of [b, c]) mesh.cut(A, other.id)
    publisher.publish('t/1', 'old', { qos: 1, messageId: 1 })
    mesh.clock.advance(100)
    const newcomer = backup.lab.connected({ id: 'n', ...lasting }).subscribe('t/#', { qos: 1 })
    mesh.clock.advance(100)
    publisher.publish('t/1', 'new', { qos: 1, messageId: 2 })
    mesh.clock.advance(100)
    for (const other of [b, c]) other.node.sees(A, 'dead', false)
    mesh.clock.advance(1000)
    expect(texts(newcomer.take())).toEqual(['new'])
    const client = backup.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(1000)
    expect(texts(client.take())).toEqual(['old', 'new'])
  })

  test('comes back with its client where it was: not disturbed, and what was published meanwhile comes once', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    const client = a.lab.connected({ id: 's', ...lasting }).subscribe('t/#', { qos: 1 })
    mesh.clock.advance(1000)
    client.one('suback')
    const publisher = b.lab.connected({ id: 'p' })
    publisher.publish('t/1', 'before', { qos: 1, messageId: 1 })
    mesh.clock.advance(100)
    expect(texts(client.take())).toEqual(['before'])
    kill(mesh, b, [a])
    b.node.sees(A, 'dead', false)
    mesh.clock.advance(100)
    expect(b.session('s')?.place.at).toBe('standing-in')
    client.puback(1)
    publisher.publish('t/1', 'meanwhile', { qos: 1, messageId: 2 })
    mesh.clock.advance(100)
    mesh.link(A, B)
    mesh.clock.advance(5000)
    expect(client.closed).toBe(false)
    expect(texts(client.take())).toEqual(['meanwhile'])
    expect(b.session('s')).toBeUndefined()
    expect([a.entry('s'), b.entry('s')]).toEqual(['a', 'a'])
    publisher.publish('t/1', 'after', { qos: 1, messageId: 3 })
    mesh.clock.advance(100)
    expect(texts(client.take())).toEqual(['after'])
    expect(mesh.errors).toEqual([])
  })

  test('and is cut off again: its backup stands in a second time, with what has come since', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    sleeper(a)
    const publisher = a.lab.connected({ id: 'p' })
    for (const round of [1, 2, 3]) {
      publisher.publish('t/1', `round ${round}`, { qos: 1, messageId: round })
      mesh.clock.advance(100)
      publisher.one('puback')
      kill(mesh, b, [a])
      b.node.sees(A, 'dead', false)
      mesh.clock.advance(100)
      expect(b.session('s')?.place.at).toBe('standing-in')
      mesh.link(A, B)
      mesh.clock.advance(5000)
      expect(b.session('s')).toBeUndefined()
    }
    kill(mesh, a, [b])
    const client = b.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(3000)
    const [connack, ...packets] = client.take()
    expect(connack).toMatchObject({ sessionPresent: true })
    expect(texts(packets)).toEqual(['round 1', 'round 2', 'round 3'])
    expect(mesh.errors).toEqual([])
  })

  test('and its client went on elsewhere: what only the former owner took meanwhile is handed over, once', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    sleeper(a)
    const there = a.lab.connected({ id: 'p' })
    there.publish('t/1', 'both', { qos: 1, messageId: 1 })
    mesh.clock.advance(100)
    kill(mesh, b, [a])
    b.node.sees(A, 'dead', false)
    there.publish('t/1', 'only there', { qos: 1, messageId: 2 })
    const client = b.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(100)
    const [connack, ...packets] = client.take()
    expect(connack).toMatchObject({ sessionPresent: true })
    expect(texts(packets)).toEqual(['both'])
    for (const { messageId } of packets) client.puback(messageId)
    mesh.link(A, B)
    mesh.clock.advance(8000)
    expect(texts(client.take())).toEqual(['only there'])
    expect(a.session('s')).toBeUndefined()
    expect(mesh.errors).toEqual([])
  })

  test('nor is what that had sent to its client by then, and never heard of again', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    const first = a.lab.connected({ id: 's', ...lasting }).subscribe('t/#', { qos: 1 })
    mesh.clock.advance(1000)
    first.one('suback')
    const there = a.lab.connected({ id: 'p' }).publish('t/1', 'both', { qos: 1, messageId: 1 })
    mesh.clock.advance(1000)
    kill(mesh, b, [a])
    b.node.sees(A, 'dead', false)
    there.publish('t/1', 'under way', { qos: 1, messageId: 2 })
    mesh.clock.advance(100)
    expect(texts(first.take())).toEqual(['both', 'under way'])
    const client = b.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(100)
    expect(texts(client.take())).toEqual(['both'])
    mesh.link(A, B)
    mesh.clock.advance(8000)
    expect(texts(client.take())).toEqual(['under way'])
    expect(mesh.errors).toEqual([])
  })

  test('or only the box where its client went on did not reach it: nor is what it took then lost with the copy', () => {
    const { mesh, boxes: all } = boxes(A, B, C)
    const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
    sleeper(a)
    const there = a.lab.connected({ id: 'p' })
    there.publish('t/1', 'both', { qos: 1, messageId: 1 })
    mesh.clock.advance(100)
    const elsewhere = a.directory.get('s' as never)!.backup === B ? c : b
    mesh.cut(A, elsewhere.id)
    const client = elsewhere.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(2500)
    there.publish('t/1', 'only there', { qos: 1, messageId: 2 })
    mesh.clock.advance(100)
    expect(there.take().filter(({ cmd }) => cmd === 'puback').length).toBe(2)
    const [connack, ...packets] = client.take()
    expect(connack).toMatchObject({ sessionPresent: true })
    expect(texts(packets)).toEqual(['both'])
    for (const { messageId } of packets) client.puback(messageId)
    mesh.link(A, elsewhere.id)
    mesh.clock.advance(8000)
    expect(texts(client.take())).toEqual(['only there'])
    expect(a.session('s')).toBeUndefined()
    expect(mesh.errors).toEqual([])
  })

  test('what its client said last of each filter counts, also what the copy did not have that it went on with', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    const first = a.lab.connected({ id: 's', ...lasting })
    for (const filter of ['kept', 'ended/there', 'ended/here', 'again']) first.subscribe(filter, { qos: 1 })
    mesh.clock.advance(1000)
    mesh.cut(A, B)
    for (const [box, other] of [[a, B] as const, [b, A] as const]) box.node.sees(other, 'dead', false)
    // Alone with its owner: a new one, one that ends, one that ends and will be wanted again elsewhere.
    first.subscribe('only/there', { qos: 1 }).unsubscribe('ended/there').unsubscribe('again')
    mesh.clock.advance(100)
    const second = b.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(100)
    expect(second.one('connack')).toMatchObject({ sessionPresent: true })
    second.subscribe('only/here', { qos: 1 }).subscribe('again', { qos: 1 }).unsubscribe('ended/here')
    mesh.clock.advance(100)
    mesh.link(A, B)
    mesh.clock.advance(8000)
    expect(a.session('s')).toBeUndefined()
    second.take()
    const publisher = a.lab.connected({ id: 'p' })
    const topics = ['kept', 'ended/there', 'ended/here', 'again', 'only/there', 'only/here']
    for (const topic of topics) publisher.publish(topic, topic)
    mesh.clock.advance(100)
    expect(texts(second.take())).toEqual(['kept', 'again', 'only/there', 'only/here'])
    expect(mesh.errors).toEqual([])
  })

  test('a session that ends while its owner is away is over there, too', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    const client = a.lab.connected({ id: 's', clean: false, properties: { sessionExpiryInterval: 60 } })
    client.subscribe('t', { qos: 1 })
    mesh.clock.advance(1000)
    client.drop()
    mesh.clock.advance(10_000)
    mesh.stall(A, B, true)
    kill(mesh, b, [a])
    b.node.sees(A, 'dead', false)
    mesh.clock.advance(49_000)
    expect(b.session('s')?.place.at).toBe('standing-in')
    mesh.clock.advance(2000)
    expect(b.session('s')).toBeUndefined()
    expect(b.entry('s')).toBe('over')
    mesh.link(A, B)
    mesh.clock.advance(5000)
    expect([a.entry('s'), a.session('s')]).toEqual(['over', undefined])
  })
})

test('a copy gives other packet ids than its owner, which may be cut off and go on', () => {
  const { mesh, boxes: all } = boxes(A, B, C)
  const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
  sleeper(a, 't', 2)
  const client = a.lab.client().connect({ id: 's', ...lasting })
  mesh.clock.advance(100)
  const publish = (box: SessionBox, times: number) => {
    const publisher = box.lab.connected({ id: `p${box.id}` })
    for (let messageId = 1; messageId <= times; messageId++) {
      publisher.publish('t', `${box.id} ${messageId}`, { qos: 1, messageId })
      mesh.clock.advance(10)
    }
  }
  const ids = (packets: { messageId?: number; payload?: unknown }[]) =>
    packets.flatMap(({ messageId, payload }) => (payload ? [messageId!] : []))
  publish(a, 3)
  mesh.clock.advance(100)
  kill(mesh, a, [b, c])
  publish(a, 20)
  const before = ids(client.take())
  expect(before.length).toBe(23)
  const moved = b.lab.client().connect({ id: 's', ...lasting })
  mesh.clock.advance(3000)
  const again = ids(moved.take())
  publish(b, 20)
  const after = ids(moved.take())
  expect(again.every((id) => before.includes(id))).toBe(true)
  expect(after.filter((id) => before.includes(id))).toEqual([])
})

describe('the copy', () => {
  test('goes on after a short break without being sent again, and follows every change', () => {
    const { mesh, boxes: all } = boxes(A, B)
    const [a, b] = all as [SessionBox, SessionBox]
    sleeper(a)
    const begun = a.node.meter.get('copies.begun')
    const publisher = a.lab.connected({ id: 'p' })
    for (let round = 0; round < 5; round++) {
      mesh.cut(A, B)
      publisher.publish('t/1', `cut ${round}`, { qos: 1, messageId: 1 + round })
      mesh.clock.advance(100)
      mesh.link(A, B)
      mesh.clock.advance(1000)
    }
    expect(a.node.meter.get('copies.begun')).toBe(begun)
    kill(mesh, a, [b])
    const client = b.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(100)
    expect(texts(client.take())).toEqual(['cut 0', 'cut 1', 'cut 2', 'cut 3', 'cut 4'])
    expect(mesh.errors).toEqual([])
  })

  test('moves to another box when its own is dead for a minute, and is complete there', () => {
    const { mesh, boxes: all } = boxes(A, B, C)
    const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
    sleeper(a)
    a.lab.connected({ id: 'p' }).publish('t/1', 'kept', { qos: 1, messageId: 1 })
    mesh.clock.advance(100)
    const backup = a.directory.get('s' as never)!.backup
    const [dead, left] = backup === B ? [b, c] : [c, b]
    kill(mesh, dead, [a, left])
    mesh.clock.advance(30_000)
    expect(a.copies.problems().length).toBe(1)
    mesh.clock.advance(35_000)
    expect(a.copies.problems()).toEqual([])
    expect(a.directory.get('s' as never)!.backup).toBe(left.id)
    kill(mesh, a, [left])
    mesh.clock.advance(100)
    const client = left.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(3000)
    expect(texts(client.take())).toEqual(['kept'])
  })

  test('is made up to date by whoever moves away: the former owner is the new backup', () => {
    const { mesh, boxes: all } = boxes(A, B, C)
    const [a, b, c] = all as [SessionBox, SessionBox, SessionBox]
    sleeper(a)
    a.lab.connected({ id: 'p' }).publish('t/1', 'x', { qos: 1, messageId: 1 })
    mesh.clock.advance(100)
    const client = c.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(1000)
    expect(texts(client.take())).toEqual(['x'])
    expect(c.directory.get('s' as never)).toMatchObject({ owner: C, backup: A })
    expect(c.copies.problems()).toEqual([])
    kill(mesh, c, [a, b])
    const next = b.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(3000)
    expect(texts(next.take())).toEqual(['x'])
    expect(mesh.errors).toEqual([])
  })
})
