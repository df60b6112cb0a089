// What is owed to the owner of a session goes to him who is its owner then, however the offers before were answered.

import { describe, expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import type { LocalSessions, SessionImport, SessionView } from '../../../../src/broker/ports.ts'
import { Handovers } from '../../../../src/cluster/sessions/handovers.ts'
import {
  beginRecords,
  decodeSession,
  encodeSession,
  endRecords,
  type Want,
} from '../../../../src/wire/link/sessions.ts'
import { Mesh, nodeIdOf } from '../../../mesh.ts'

const A = nodeIdOf(0xa)
const B = nodeIdOf(0xb)
const C = nodeIdOf(0xc)
const options = { priority: 'normal', queueBytes: 1 << 20 } as const

/** A session that stands in at A; B and C write down what they are offered. */
function standing() {
  const mesh = new Mesh()
  const offered: NodeId[] = []
  const node = mesh.start(A)
  const session = { clientId: 's' as ClientId, epoch: null, place: { at: 'standing-in' } } as unknown as SessionView
  const local = { session, get: () => local.session }
  const channel = node.open('sessions', options, {
    linked: (peer) => handovers.linked(peer),
    unlinked: (peer) => handovers.unlinked(peer),
    received: (peer, bytes) => handovers.received(peer, decodeSession(bytes) as never),
  })
  const handovers = new Handovers(node.world, node, channel, {
    local: () => local as unknown as LocalSessions,
    wants: () => 'nothing',
    goesOn: () => false,
    interrupted: () => {},
    returned: () => {},
    barrier: () => {},
  })
  const answers = new Map<NodeId, (what: Want) => void>()
  for (const id of [B, C]) {
    const other = mesh.start(id).open('sessions', options, {
      linked: () => {},
      unlinked: () => {},
      received: (_peer, bytes) => {
        const message = decodeSession(bytes)
        if (message?.kind !== 'offer') return
        const { number } = message
        offered.push(id)
        answers.set(id, (what) => other.send(A, encodeSession({ kind: 'wanted', number, what })))
      },
    })
    mesh.link(A, id)
  }
  mesh.clock.advance(10)
  handovers.owe(session, B)
  mesh.clock.advance(10)
  expect(offered).toEqual([B])
  return { mesh, handovers, session, local, offered, answers }
}

describe('a session that was offered to its owner', () => {
  test('is offered to the next owner when the one before has said "later"', () => {
    const { mesh, handovers, session, offered, answers } = standing()
    answers.get(B)!('later')
    mesh.clock.advance(500)
    handovers.owe(session, C)
    mesh.clock.advance(1000)
    expect(offered).toEqual([B, C])
  })

  test('is offered to the next owner when the link of the one before breaks', () => {
    const { mesh, handovers, session, offered } = standing()
    handovers.owe(session, C)
    mesh.cut(A, B)
    mesh.clock.advance(10)
    expect(offered).toEqual([B, C])
  })

  test('is offered to him again who has said "later", once a second', () => {
    const { mesh, offered, answers } = standing()
    answers.get(B)!('later')
    mesh.clock.advance(1010)
    expect(offered).toEqual([B, B])
    answers.get(B)!('later')
    mesh.clock.advance(500)
    expect(offered.length).toBe(2)
  })
})

/** A has the session, and takes what B has kept of it; `offer`: B offers, `told`: what B has heard since. */
function owning() {
  const mesh = new Mesh()
  const ended: SessionImport[] = []
  const node = mesh.start(A)
  const local = {
    get: () => ({ clientId: 's' as ClientId }),
    join: () => {
      const into: SessionImport = { session: null, add: () => {}, passed: () => {}, end: () => ended.push(into) }
      return into
    },
  } as unknown as LocalSessions
  const channel = node.open('sessions', options, {
    linked: (peer) => handovers.linked(peer),
    unlinked: (peer) => handovers.unlinked(peer),
    received: (peer, bytes) => handovers.received(peer, decodeSession(bytes) as never),
  })
  const handovers = new Handovers(node.world, node, channel, {
    local: () => local,
    wants: (clientId) => (handovers.isBusy(clientId) ? 'later' : 'new'),
    goesOn: () => false,
    interrupted: () => {},
    barrier: () => {},
    returned: () => {},
  })
  const told: string[] = []
  const other = mesh.start(B).open('sessions', options, {
    linked: () => {},
    unlinked: () => {},
    received: (_peer, bytes) => {
      const message = decodeSession(bytes)
      told.push(message?.kind === 'wanted' ? message.what : String(message?.kind))
    },
  })
  mesh.link(A, B)
  mesh.clock.advance(10)
  const say = (message: Parameters<typeof encodeSession>[0]) => {
    other.send(A, encodeSession(message))
    mesh.clock.advance(10)
  }
  const offer = (number: number) =>
    say({ kind: 'offer', number, epoch: { wallMs: 1, counter: 0, node: A }, clientId: 's' as ClientId })
  const end = (number: number) => {
    other.send(A, endRecords(beginRecords('offer', number), 'end'))
    mesh.clock.advance(10)
  }
  return { mesh, handovers, ended, told, offer, end }
}

describe('what comes back to the owner of a session', () => {
  const s = 's' as ClientId

  test('holds it until all of it is there', () => {
    const { handovers, ended, told, offer, end } = owning()
    offer(1)
    expect(handovers.isBusy(s)).toBe(true)
    end(1)
    expect(handovers.isBusy(s)).toBe(false)
    expect(told).toEqual(['new', 'more', 'whole'])
    expect(ended).toHaveLength(1)
  })

  test('is begun anew when it is offered anew: what was offered before was given up', () => {
    const { handovers, ended, told, offer, end } = owning()
    offer(1)
    offer(2)
    expect(told).toEqual(['new', 'new'])
    expect(ended).toHaveLength(1)
    end(1)
    expect(handovers.isBusy(s)).toBe(true)
    end(2)
    expect(handovers.isBusy(s)).toBe(false)
    expect(ended).toHaveLength(2)
  })

  test('is over with the link', () => {
    const { mesh, handovers, ended, offer } = owning()
    offer(1)
    mesh.cut(A, B)
    mesh.clock.advance(10)
    expect(handovers.isBusy(s)).toBe(false)
    expect(ended).toHaveLength(1)
  })
})

test('an offer that came to nothing before it was answered is ended: its owner does not wait for it', () => {
  const { mesh, session, local, answers } = standing()
  local.session = { ...session, place: { at: 'here' } } as SessionView
  // The session has gone on meanwhile, and with it the offer.
  answers.get(B)!('later')
  mesh.clock.advance(2000)
  const told: string[] = []
  mesh.watch = (from, to, _channel, bytes) => {
    const message = decodeSession(bytes)
    if (from === A && to === B) told.push(message?.kind === 'records' ? message.part : String(message?.kind))
  }
  answers.get(B)!('new')
  mesh.clock.advance(10)
  expect(told).toEqual(['end'])
})
