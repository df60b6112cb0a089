import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SharedEntry } from '../../../../src/base/shared.ts'
import { FAN, HashTree, hashOf, LEAVES, leafIn, partOf, sameHash } from '../../../../src/cluster/maps/hashtree.ts'
import { nodeIdOf } from '../../../mesh.ts'

const entry = (key: string, wallMs: number, node = 1): SharedEntry => ({
  key,
  stamp: { wallMs, counter: 0, node: nodeIdOf(node) },
  hash: 0,
  next: null,
})

const writes = fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 2 ** 47 })), {
  maxLength: 60,
})

test('two trees with the same keys and stamps have the same hashes, however they came to them', () => {
  fc.assert(
    fc.property(writes, writes, (one, other) => {
      const left = new HashTree()
      const right = new HashTree()
      const entries = new Map<string, SharedEntry>()
      for (const [index, wallMs] of [...one, ...other]) {
        const key = `key ${index}`
        const known = entries.get(key)
        if (known === undefined) {
          const made = entry(key, wallMs)
          entries.set(key, made)
          left.add(made)
        } else {
          const before = known.stamp
          known.stamp = { ...before, wallMs }
          left.restamped(known, before)
        }
      }
      for (const { key, stamp } of [...entries.values()].reverse()) right.add(entry(key, stamp.wallMs))
      expect(left.root).toEqual(right.root)
      expect(left.size).toBe(right.size)
      for (let branch = 0; branch < FAN; branch++) expect(left.branch(branch)).toEqual(right.branch(branch))
    }),
  )
})

test('any other key, time, counter or node makes another hash', () => {
  const hash = (made: SharedEntry) => {
    const tree = new HashTree()
    tree.add(made)
    return tree.root
  }
  const one = hash(entry('a', 1))
  const counted = entry('a', 1)
  counted.stamp = { ...counted.stamp, counter: 1 }
  for (const other of [entry('b', 1), entry('a', 2), entry('a', 1 + 2 ** 32), entry('a', 1, 2), counted]) {
    expect(sameHash(hash(other), one)).toBe(false)
  }
})

test('what is swept out is gone, and nothing else', () => {
  const tree = new HashTree()
  const empty = tree.root
  const entries = Array.from({ length: 20_000 }, (_, index) => entry(`key ${index}`, index))
  for (const each of entries) tree.add(each)
  for (let leaf = 0; leaf < LEAVES; leaf++) tree.sweep(leaf, ({ stamp }) => stamp.wallMs % 2 === 0)
  expect(tree.size).toBe(10_000)
  const left = Array.from({ length: LEAVES }, (_, leaf) => tree.entries(leaf)).flat()
  expect(left.every(({ stamp }) => stamp.wallMs % 2 === 1)).toBe(true)
  for (let leaf = 0; leaf < LEAVES; leaf++) tree.sweep(leaf, () => true)
  expect(tree.root).toEqual(empty)
})

test('keys spread over all leaves, and a leaf over its parts', () => {
  const counts = new Array<number>(LEAVES).fill(0)
  const parts = [0, 0, 0]
  for (let index = 0; index < 100_000; index++) {
    const hash = hashOf(`site/7/device/${index}/state`)
    counts[leafIn(hash)]!++
    parts[partOf({ ...entry('', 0), hash }, 3)]!++
  }
  expect(Math.max(...counts)).toBeLessThan(60)
  expect(Math.min(...counts)).toBeGreaterThan(3)
  for (const count of parts) expect(Math.abs(count - 33_333)).toBeLessThan(1000)
})
