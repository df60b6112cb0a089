import { expect, test } from 'vitest'
import { limits } from '../../../src/base/limits.ts'
import { TopicTree } from '../../../src/topic/topics.ts'
import { FilterTrie } from '../../../src/topic/trie.ts'

test('the deepest topics that may be configured do not end the stack, a branch at every level', () => {
  const trie = new FilterTrie<number>()
  const tree = new TopicTree<number>()
  for (let levels = 1; levels <= limits.topicLevels; levels++) {
    trie.insert(new Array(levels).fill('+').join('/'), 'key', levels)
    tree.set(new Array(levels).fill('a').join('/'), levels)
  }
  const deepest = new Array(limits.topicLevels).fill('a').join('/')
  const found: number[] = []
  trie.match(deepest, (value) => found.push(value))
  tree.match(`${deepest}/#`, (value) => found.push(value))
  expect(found).toEqual([limits.topicLevels, limits.topicLevels])
  let all = 0
  tree.match('#', () => {
    all++
  })
  expect(all).toBe(limits.topicLevels)
  expect(trie.remove(deepest.replaceAll('a', '+'), 'key')).toBe(limits.topicLevels)
  expect(tree.delete(deepest)).toBe(limits.topicLevels)
  expect([trie.size, tree.size]).toEqual([limits.topicLevels - 1, limits.topicLevels - 1])
})
