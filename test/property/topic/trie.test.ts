import fc from 'fast-check'
import { expect, test } from 'vitest'
import { matches } from '../../../src/topic/match.ts'
import { FilterTrie } from '../../../src/topic/trie.ts'
import { filters, topics } from './model.ts'

const steps = fc.array(
  fc.record({ insert: fc.boolean(), filter: filters, key: fc.constantFrom('k1', 'k2', 'k3'), value: fc.nat(9) }),
  { maxLength: 60, size: 'max' },
)

test('FilterTrie finds what the slow model finds, through any inserts and removes', () => {
  fc.assert(
    fc.property(steps, fc.array(topics, { maxLength: 10 }), (script, asked) => {
      const trie = new FilterTrie<number>()
      const model = new Map<string, [filter: string, key: string, value: number]>()
      for (const { insert, filter, key, value } of script) {
        const id = `${key} ${filter}`
        const before = model.get(id)?.[2]
        if (insert) {
          expect(trie.insert(filter, key, value)).toBe(before)
          model.set(id, [filter, key, value])
        } else {
          expect(trie.remove(filter, key)).toBe(before)
          model.delete(id)
        }
        expect(trie.get(filter, key)).toBe(model.get(id)?.[2])
      }
      const all = [...model.values()]
      const distinct = new Set(all.map(([filter]) => filter))
      expect(trie.size).toBe(all.length)
      expect(trie.filterCount).toBe(distinct.size)
      expect([...trie].sort()).toEqual([...all].sort())
      expect([...trie.filters()].sort()).toEqual([...distinct].sort())
      for (const topic of asked) {
        const found: [string, string, number][] = []
        trie.match(topic, (value, key, filter) => found.push([filter, key, value]))
        const wanted = all.filter(([filter]) => matches(filter, topic))
        expect(found.sort()).toEqual(wanted.sort())
        expect(trie.matchesAny(topic)).toBe(wanted.length > 0)
      }
      for (const [filter, key] of all) trie.remove(filter, key)
      expect([trie.size, trie.filterCount, [...trie].length]).toEqual([0, 0, 0])
    }),
    { numRuns: 500 },
  )
})
