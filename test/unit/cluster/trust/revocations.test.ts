// Boxes that were removed: a set that only grows, on every member, whatever the order in which they hear of it.

import { beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { Meter } from '../../../../src/base/meter.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import { parseRevocations, REVOCATIONS_MAX, Revocations } from '../../../../src/cluster/trust/revocations.ts'
import { Revoking } from '../../../../src/cluster/trust/revoking.ts'
import { encodeRevocations, type Revocation } from '../../../../src/wire/link/revocations.ts'
import { Mesh, type MeshNode, nodeIdOf } from '../../../mesh.ts'
import { MemoryFiles } from '../fakes.ts'

let mesh: Mesh
beforeEach(() => {
  mesh = new Mesh()
})

const entry = (index: number, key = ''): Revocation => ({ node: nodeIdOf(index), key })

class Box {
  readonly id: NodeId
  readonly files: MemoryFiles
  readonly meter = new Meter()
  readonly set: Revocations
  readonly heard: NodeId[] = []
  readonly node: MeshNode
  readonly revoking: Revoking

  constructor(index: number, files = new MemoryFiles(mesh.clock)) {
    this.id = nodeIdOf(index)
    this.files = files
    this.set = new Revocations(files, silentLog, this.meter)
    this.set.watch((fresh) => this.heard.push(...fresh.map(({ node }) => node)))
    this.node = mesh.start(this.id)
    this.revoking = new Revoking(this.node.world, this.node, this.set)
  }

  add(...entries: Revocation[]): (HostError | null)[] {
    const results: (HostError | null)[] = []
    this.set.add(entries, (error) => results.push(error))
    return results
  }

  revoke(index: number): (readonly NodeId[] | HostError)[] {
    const results: (readonly NodeId[] | HostError)[] = []
    this.revoking.revoke(entry(index), (result) => results.push(result))
    return results
  }
}

const boxes = (count: number): Box[] => Array.from({ length: count }, (_, index) => new Box(index + 1))
const linkAll = (all: readonly Box[]): void => {
  for (const a of all) for (const b of all) if (a.id < b.id) mesh.link(a.id, b.id)
}

describe('the set', () => {
  test('counts at once, is told when it is on disk, and is there after a restart', () => {
    const box = new Box(1)
    const results = box.add(entry(7, 'k7'), entry(8))
    expect([box.set.has(nodeIdOf(7)), box.set.has(nodeIdOf(9)), box.heard.length]).toEqual([true, false, 2])
    expect(results).toEqual([])
    mesh.clock.advance(10)
    expect(results).toEqual([null])
    const again = new Box(1, box.files)
    expect(again.set.all()).toEqual([entry(7, 'k7'), entry(8)])
  })

  test('knows a box by its key too, whatever id it comes with; an unknown key is nobody`s', () => {
    const box = new Box(1)
    box.add(entry(7, 'k7'), entry(8))
    expect(box.set.has(nodeIdOf(9), 'k7')).toBe(true)
    expect(box.set.has(nodeIdOf(9), '')).toBe(false)
    // The key may become known later; it is never forgotten again.
    box.add(entry(8, 'k8'))
    box.add(entry(8, ''), entry(7, 'other'))
    expect(box.set.all()).toEqual([entry(7, 'k7'), entry(8, 'k8')])
  })

  test('what is known already is not written again, unless the last write failed', () => {
    const box = new Box(1)
    box.add(entry(7))
    mesh.clock.advance(10)
    expect(box.add(entry(7))).toEqual([null])
    expect(box.files.writes).toHaveLength(1)
    box.files.failing = new HostError('failed', 'disk full')
    const failed = box.add(entry(8))
    mesh.clock.advance(10)
    expect(failed).toEqual([box.files.failing])
    expect(box.set.has(nodeIdOf(8))).toBe(true)
    box.files.failing = null
    const later = box.add(entry(8))
    mesh.clock.advance(10)
    expect(later).toEqual([null])
  })

  test('has a bound, which is counted', () => {
    const box = new Box(1)
    box.add(...Array.from({ length: REVOCATIONS_MAX }, (_, index) => entry(index + 10)))
    const results = box.add(entry(9))
    expect(results[0]).toBeInstanceOf(HostError)
    expect([box.set.size, box.set.has(nodeIdOf(9)), box.meter.get('revocations.full')]).toEqual([
      REVOCATIONS_MAX,
      false,
      1,
    ])
  })

  test('a damaged file is set aside and does not keep the box from starting', () => {
    for (const text of ['{', '[]', '{"removed":[{"node":"x","key":""}]}', '{"removed":[null]}', 'null']) {
      expect(parseRevocations(text)).toBeNull()
      const files = new MemoryFiles(mesh.clock)
      files.texts.set('revocations.json', text)
      expect(new Box(1, files).set.size).toBe(0)
      mesh.clock.advance(10)
      expect(files.texts.get('revocations.damaged.json')).toBe(text)
    }
  })
})

describe('between members', () => {
  test('a removal is everywhere at once, and says who has it on disk', () => {
    const all = boxes(4)
    linkAll(all)
    const results = all[0]!.revoke(9)
    mesh.clock.advance(100)
    expect(all.map(({ set }) => set.has(nodeIdOf(9)))).toEqual([true, true, true, true])
    expect(results).toEqual([[2, 3, 4].map(nodeIdOf)])
    expect(all.map(({ heard }) => heard.length)).toEqual([1, 1, 1, 1])
  })

  test('who is cut off, has a full disk or says nothing has not confirmed, and is waited for no longer than 5 s', () => {
    const all = boxes(4)
    linkAll(all)
    all[1]!.files.failing = new HostError('failed', 'disk full')
    mesh.cut(all[0]!.id, all[2]!.id)
    const results = all[0]!.revoke(9)
    mesh.clock.advance(4900)
    expect(results).toEqual([])
    mesh.clock.advance(200)
    expect(results).toEqual([[nodeIdOf(4)]])
    // It heard of it all the same, over the others.
    expect(all[2]!.set.has(nodeIdOf(9))).toBe(true)
  })

  test('alone it is done as soon as it is on disk; with a disk that fails it is not', () => {
    const box = new Box(1)
    const results = box.revoke(9)
    mesh.clock.advance(10)
    expect(results).toEqual([[]])
    box.files.failing = new HostError('failed', 'disk full')
    const failed = box.revoke(8)
    mesh.clock.advance(10)
    expect(failed).toEqual([box.files.failing])
  })

  test('two sides of a cut come to the union of what both removed, in any order, however old it is', () => {
    const all = boxes(4)
    const [a, b, c, d] = all as [Box, Box, Box, Box]
    mesh.link(a.id, b.id)
    mesh.link(c.id, d.id)
    a.revoke(20)
    d.revoke(21)
    b.add(...Array.from({ length: 600 }, (_, index) => entry(1000 + index, `k${index}`)))
    mesh.clock.advance(6000)
    expect([a.set.has(nodeIdOf(21)), d.set.has(nodeIdOf(20))]).toEqual([false, false])
    linkAll(all)
    mesh.clock.advance(1000)
    const sets = all.map(({ set }) =>
      set
        .all()
        .map(({ node, key }) => `${node} ${key}`)
        .sort(),
    )
    expect(sets[0]).toHaveLength(602)
    for (const set of sets) expect(set).toEqual(sets[0])
    // And it has come to rest.
    let said = 0
    mesh.watch = () => said++
    mesh.clock.advance(60_000)
    expect(said).toBe(0)
  })

  test('a member that missed some of it because its lane was full is told all of it later', () => {
    const [a, b] = boxes(2) as [Box, Box]
    mesh.link(a.id, b.id)
    mesh.stall(a.id, b.id, true)
    for (let round = 0; round < 8; round++) {
      a.revoking.revoke(entry(5000 + round), () => {})
      a.add(...Array.from({ length: 256 }, (_, index) => entry(1000 * round + index + 10, 'k'.repeat(100) + index)))
    }
    mesh.clock.advance(10)
    mesh.cut(a.id, b.id)
    mesh.link(a.id, b.id)
    mesh.clock.advance(1000)
    expect(b.set.size).toBe(a.set.size)
  })

  test('a broken message closes that link only, and nonsense is taken for none', () => {
    const all = boxes(3)
    linkAll(all)
    mesh.inject(nodeIdOf(1), nodeIdOf(2), 'revocations', Buffer.from('010005', 'hex'))
    expect(mesh.errors).toHaveLength(1)
    expect([mesh.linked(nodeIdOf(1), nodeIdOf(2)), mesh.linked(nodeIdOf(2), nodeIdOf(3))]).toEqual([false, true])
    mesh.inject(nodeIdOf(3), nodeIdOf(2), 'revocations', encodeRevocations({ kind: 'kept', nodes: [nodeIdOf(9)] }))
    expect(mesh.errors).toHaveLength(1)
  })
})
