// The law of routes: whatever happened, once it is calm each node knows of each other member exactly the filters that it
// wants; and nobody is told 'taken' before every linked, not suspect member can send what matches.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/ids.ts'
import { Routes } from '../../../src/cluster/forwarding/routes.ts'
import { OwnedMap } from '../../../src/cluster/maps/ownedmap.ts'
import { Mesh, type MeshNode, nodeIdOf } from '../../mesh.ts'

const NODES = [nodeIdOf(1), nodeIdOf(2), nodeIdOf(3)] as const
const FILTERS = ['a', 'b', 'a/+', 'a/#', '#', 'x/y/z', '+/y']

interface Run {
  readonly node: MeshNode
  readonly routes: Routes
  readonly wanted: Set<string>
}

function start(mesh: Mesh, id: NodeId, wallMs: number): Run {
  const node = mesh.start(id, wallMs)
  return { node, routes: new Routes(node.world, node, node, node.stamps), wanted: new Set() }
}

const nodeIndex = fc.integer({ min: 0, max: 2 })
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ at: nodeIndex, want: fc.boolean(), filter: fc.constantFrom(...FILTERS) }),
  },
  { weight: 3, arbitrary: fc.record({ many: nodeIndex, count: fc.integer({ min: 1, max: 600 }) }) },
  { weight: 6, arbitrary: fc.record({ waitMs: fc.integer({ min: 0, max: 30 }) }) },
  { weight: 2, arbitrary: fc.record({ cut: nodeIndex, from: nodeIndex }) },
  { weight: 3, arbitrary: fc.record({ link: nodeIndex, to: nodeIndex }) },
  { weight: 2, arbitrary: fc.record({ delayMs: fc.integer({ min: 0, max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ restart: nodeIndex, wallMs: fc.integer({ min: 0, max: 2_000_000_000_000 }) }) },
  { weight: 1, arbitrary: fc.record({ dead: nodeIndex, for: nodeIndex, left: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ stall: nodeIndex, to: nodeIndex, stalled: fc.boolean() }) },
)

test('after a storm each node knows what each other wants, and taken never came too early', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer(), (steps, seed) => {
      const mesh = new Mesh(seed)
      const runs: Run[] = NODES.map((id) => start(mesh, id, 1_700_000_000_000))
      const knows = (run: Run, peer: NodeId, filter: string) => [...run.routes.of(peer)].includes(filter)

      const want = (index: number, filter: string, wanted: boolean) => {
        const run = runs[index]!
        if (run.wanted.has(filter) === wanted) return
        if (!wanted) {
          run.wanted.delete(filter)
          return run.routes.unwanted(filter)
        }
        run.wanted.add(filter)
        run.routes.wanted(filter, false, () => {
          // Not if it was given up meanwhile, or somebody has begun afresh.
          if (runs[index] !== run || !run.wanted.has(filter)) return
          for (const other of runs) {
            const member = run.node.member(other.node.self)
            if (other === run || member?.state !== 'alive' || !member.linked) continue
            if (run.node.meter.get('owned.routes.late') > 0) continue
            expect(knows(other, run.node.self, filter)).toBe(true)
          }
        })
      }

      for (const now of steps) {
        if ('want' in now) want(now.at, now.filter, now.want)
        else if ('many' in now) {
          for (let index = 0; index < now.count; index++)
            want(now.many, `many/${index}`, seed % 2 === 0 || index % 3 > 0)
        } else if ('waitMs' in now) mesh.clock.advance(now.waitMs)
        else if ('delayMs' in now) mesh.delayMs = now.delayMs
        else if ('cut' in now) mesh.cut(NODES[now.cut]!, NODES[now.from]!)
        else if ('link' in now) {
          if (now.link !== now.to) mesh.link(NODES[now.link]!, NODES[now.to]!)
        } else if ('restart' in now) runs[now.restart] = start(mesh, NODES[now.restart]!, now.wallMs)
        else if ('dead' in now) {
          const [of, by] = [NODES[now.dead]!, runs[now.for]!]
          if (of !== by.node.self && !mesh.linked(of, by.node.self)) by.node.sees(of, now.left ? 'left' : 'dead')
        } else if (now.stall !== now.to) mesh.stall(NODES[now.stall]!, NODES[now.to]!, now.stalled)
      }

      for (const one of NODES) for (const other of NODES) if (one < other) mesh.link(one, other)
      for (const one of NODES) for (const other of NODES) if (one !== other) mesh.stall(one, other, false)
      mesh.clock.advance(30_000)
      expect(mesh.errors).toEqual([])
      for (const run of runs) {
        expect(run.node.meter.get('owned.routes.digest-mismatch')).toBe(0)
        expect(run.node.meter.get('owned.routes.gap')).toBe(0)
        for (const other of runs) {
          if (other === run) continue
          expect([...run.routes.of(other.node.self)].sort()).toEqual([...other.wanted].sort())
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('parts, digests and what was told agree after any changes, cuts in the middle of a transfer and restarts', () => {
  const change = fc.record({
    key: fc.integer({ min: 0, max: 40 }),
    length: fc.option(fc.integer({ min: 0, max: 2000 })),
    waitMs: fc.integer({ min: 0, max: 6 }),
    event: fc.oneof(
      { weight: 12, arbitrary: fc.constant('none') },
      { weight: 3, arbitrary: fc.constant('link') },
      { weight: 2, arbitrary: fc.constant('cut') },
      { weight: 1, arbitrary: fc.constant('restart') },
    ),
  })
  const [A, B] = NODES
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200 }), fc.integer({ min: 0, max: 10 }), (changes, delayMs) => {
      const mesh = new Mesh()
      mesh.delayMs = delayMs
      const told = new Map<string, Buffer>()
      const begin = (id: NodeId) => {
        const node = mesh.start(id)
        const options = { name: 'facts', valueBytesMax: 2000, entriesMax: 100, check: () => {} }
        const map = new OwnedMap(options, node.world, node, node, node.stamps, {
          changed: (owner, key, value) => {
            if (owner !== A) return
            if (value === null) expect(told.delete(key)).toBe(true)
            else told.set(key, value)
          },
          partHidden: () => {},
          partShown: () => {},
          partDropped: () => {},
        })
        return { node, map }
      }
      const b = begin(B)
      let a = begin(A)
      for (const [index, { key, length, waitMs, event }] of changes.entries()) {
        a.map.set(`key ${key}`, length === null ? null : Buffer.alloc(length, index))
        if (event === 'link') mesh.link(A, B)
        if (event === 'cut') mesh.cut(A, B)
        if (event === 'restart') {
          const before = a.map.own
          a = begin(A)
          for (const [kept, value] of before) if (kept.length % 2 === 0) a.map.set(kept, value)
        }
        mesh.clock.advance(waitMs)
      }
      mesh.link(A, B)
      mesh.clock.advance(20_000)
      expect(mesh.errors).toEqual([])
      const part = b.map.part(A)!
      expect(part.state).toBe('current')
      expect(part.summary.count).toBe(a.map.own.size)
      expect(new Map(part.entries())).toEqual(new Map(a.map.own))
      expect(told).toEqual(new Map(a.map.own))
      expect(b.node.meter.get('owned.facts.digest-mismatch')).toBe(0)
    }),
    { numRuns: 200 },
  )
})
