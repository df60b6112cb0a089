import fc from 'fast-check'
import { expect, test } from 'vitest'
import { matches } from '../../../src/topic/match.ts'
import { TopicTree } from '../../../src/topic/topics.ts'
import { filters, topics } from './model.ts'

const steps = fc.array(fc.record({ set: fc.boolean(), topic: topics, value: fc.nat(9) }), {
  maxLength: 60,
  size: 'max',
})

test('TopicTree finds what the slow model finds, through any sets and deletes', () => {
  fc.assert(
    fc.property(steps, fc.array(fc.oneof(filters, topics), { maxLength: 10 }), (script, asked) => {
      const tree = new TopicTree<number>()
      const model = new Map<string, number>()
      for (const { set, topic, value } of script) {
        const before = model.get(topic)
        if (set) {
          expect(tree.set(topic, value)).toBe(before)
          model.set(topic, value)
        } else {
          expect(tree.delete(topic)).toBe(before)
          model.delete(topic)
        }
        expect(tree.get(topic)).toBe(model.get(topic))
      }
      expect(tree.size).toBe(model.size)
      expect([...tree].sort()).toEqual([...model].sort())
      for (const filter of asked) {
        const found: [string, number][] = []
        tree.match(filter, (value, topic) => found.push([topic, value]))
        expect(found.sort()).toEqual([...model].filter(([topic]) => matches(filter, topic)).sort())
      }
      for (const topic of model.keys()) tree.delete(topic)
      expect([tree.size, [...tree].length]).toEqual([0, 0])
    }),
    { numRuns: 500 },
  )
})
