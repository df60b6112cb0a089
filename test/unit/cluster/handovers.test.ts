// What is owed to the owner of a session goes to him who is its owner then, however the offers before were answered.

import { describe, expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import type { LocalSessions, SessionView } from '../../../src/broker/ports.ts'
import { Handovers } from '../../../src/cluster/handovers.ts'
import { decodeSession, encodeSession } from '../../../src/wire/link/sessions.ts'
import { Mesh, nodeIdOf } from '../../mesh.ts'

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
  const local = { get: () => session } as unknown as LocalSessions
  const channel = node.open('sessions', options, {
    linked: (peer) => handovers.linked(peer),
    unlinked: (peer) => handovers.unlinked(peer),
    received: (peer, bytes) => handovers.received(peer, decodeSession(bytes) as never),
  })
  const handovers = new Handovers(node.world, node, channel, {
    local: () => local,
    wants: () => 'nothing',
    interrupted: () => {},
    returned: () => {},
    barrier: () => {},
  })
  const answer = new Map<NodeId, () => void>()
  for (const id of [B, C]) {
    const other = mesh.start(id).open('sessions', options, {
      linked: () => {},
      unlinked: () => {},
      received: (_peer, bytes) => {
        const message = decodeSession(bytes)
        if (message?.kind !== 'offer') return
        const { number } = message
        offered.push(id)
        answer.set(id, () => other.send(A, encodeSession({ kind: 'wanted', number, what: 'later' })))
      },
    })
    mesh.link(A, id)
  }
  mesh.clock.advance(10)
  handovers.owe(session, B)
  mesh.clock.advance(10)
  expect(offered).toEqual([B])
  return { mesh, handovers, session, offered, answer }
}

describe('a session that was offered to its owner', () => {
  test('is offered to the next owner when the one before has said "later"', () => {
    const { mesh, handovers, session, offered, answer } = standing()
    answer.get(B)!()
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
    const { mesh, offered, answer } = standing()
    answer.get(B)!()
    mesh.clock.advance(1010)
    expect(offered).toEqual([B, B])
    answer.get(B)!()
    mesh.clock.advance(500)
    expect(offered.length).toBe(2)
  })
})
