// What becomes of a session, decided by what the directory says.

import { expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/ids.ts'
import { rendezvous } from '../../../../src/cluster/rendezvous.ts'
import { verdict } from '../../../../src/cluster/sessions/directory.ts'
import { nodeIdOf } from '../../../mesh.ts'

const [self, other] = [nodeIdOf(1), nodeIdOf(2)]
const at = (wallMs: number, node: NodeId = self) => ({ wallMs, counter: 0, node })
const entry = (epoch: number, owner: NodeId, more: object = {}) => ({
  ...{ over: false, fresh: false, epoch: at(epoch), base: at(epoch), owner, backup: null },
  ...more,
})

const table = [
  ['never heard of', 5, null, { at: 'unknown' }],
  ['of an older CONNECT there', 5, entry(4, other), { at: 'unknown' }],
  ['that was over before', 5, entry(4, other, { over: true }), { at: 'unknown' }],
  ['of this node', 5, entry(5, self), { at: 'mine' }],
  ['of another under the same CONNECT', 5, entry(5, other), { at: 'stand-in', owner: other }],
  ['that is over', 5, entry(5, other, { over: true }), { at: 'over' }],
  ['that was over later', 5, entry(6, self, { over: true }), { at: 'over' }],
  ['that goes on elsewhere', 5, entry(6, other, { base: at(5) }), { at: 'gone-on', owner: other, owed: 'new' }],
  ['begun elsewhere without it', 5, entry(6, other), { at: 'gone-on', owner: other, owed: 'all' }],
  ['begun elsewhere with Clean Start', 5, entry(6, other, { fresh: true }), { at: 'over' }],
  ['begun so before', 5, entry(6, other, { fresh: true, base: at(4) }), { at: 'gone-on', owner: other, owed: 'new' }],
] as const

for (const [what, epoch, found, expected] of table) {
  test(`a session ${what}: ${expected.at}`, () => {
    expect(verdict({ epoch: at(epoch) }, found, self)).toEqual(expected)
  })
}

test('a session from before there was a cluster is older than any CONNECT', () => {
  expect(verdict({ epoch: null }, entry(1, other), self)).toMatchObject({ at: 'gone-on' })
  expect(verdict({ epoch: null }, null, self)).toEqual({ at: 'unknown' })
})

test('keys are spread over the nodes, and only those of a node that goes find another', () => {
  const nodes = Array.from({ length: 5 }, (_, index) => nodeIdOf(index + 1))
  const keys = Array.from({ length: 5000 }, (_, index) => `client-${index}`)
  const before = keys.map((key) => rendezvous(key, nodes)!)
  for (const node of nodes) expect(before.filter((chosen) => chosen === node).length).toBeGreaterThan(800)
  const after = keys.map((key) => rendezvous(key, nodes.slice(1).reverse()))
  for (const [index, chosen] of before.entries()) if (chosen !== nodes[0]) expect(after[index]).toBe(chosen)
  expect(rendezvous('x', [])).toBeNull()
})
