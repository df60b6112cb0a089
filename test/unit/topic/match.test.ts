import { describe, expect, test } from 'vitest'
import { matches } from '../../../src/topic/match.ts'
import { TopicTree } from '../../../src/topic/topics.ts'
import { FilterTrie } from '../../../src/topic/trie.ts'

// The examples of MQTT 4.7, and the corners around them; asked of all three that can match.
const examples: readonly [filter: string, topic: string, matches: boolean][] = [
  ['a/b', 'a/b', true],
  ['a/b', 'a/b/', false],
  ['a/b', 'A/b', false],
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/tennis/player1/#', 'sport/tennis/player11', false],
  ['sport/#', 'sport', true],
  ['sport/#', 'sports', false],
  ['#', 'sport', true],
  ['#', '/', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+', 'finance', true],
  ['+', '/finance', false],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['a/+/#', 'a/b', true],
  ['a/+/#', 'a/b/c', true],
  ['a/+/#', 'a', false],
  ['a/+/#', 'a/', true],
  ['+/#', 'a', true],
  ['a/+/c', 'a/b/c', true],
  ['a/+/c', 'a//c', true],
  ['a/+/c', 'a/b/cc', false],
  ['a//#', 'a', false],
  ['a//#', 'a/', true],
  ['a/+/+/d', 'a/b/c/d', true],
  ['#', '$SYS', false],
  ['#', '$SYS/x', false],
  ['+/x', '$SYS/x', false],
  ['+', '$SYS', false],
  ['$SYS/#', '$SYS/x', true],
  ['$SYS/#', '$SYS', true],
  ['$SYS/+', '$SYS/x', true],
  ['a/#', 'a/$b', true],
  ['a/+', 'a/$b', true],
]

describe.each(examples)('%s and %s: %s', (filter, topic, wanted) => {
  test('matches', () => {
    expect(matches(filter, topic)).toBe(wanted)
  })

  test('FilterTrie', () => {
    const trie = new FilterTrie<number>()
    trie.insert(filter, 'key', 7)
    const found: unknown[] = []
    trie.match(topic, (...args) => found.push(args))
    expect(found).toEqual(wanted ? [[7, 'key', filter]] : [])
    expect(trie.matchesAny(topic)).toBe(wanted)
  })

  test('TopicTree', () => {
    const tree = new TopicTree<number>()
    tree.set(topic, 7)
    const found: unknown[] = []
    tree.match(filter, (...args) => found.push(args))
    expect(found).toEqual(wanted ? [[7, topic]] : [])
  })
})

test('FilterTrie tells the value that an insert replaces and a remove takes', () => {
  const trie = new FilterTrie<string>()
  for (const filter of ['a/b', 'a/+']) {
    expect(trie.insert(filter, 'k1', 'one')).toBeUndefined()
    expect(trie.insert(filter, 'k1', 'two')).toBe('one')
    expect(trie.insert(filter, 'k2', 'three')).toBeUndefined()
    expect(trie.insert(filter, 'k2', 'four')).toBe('three')
    expect(trie.remove(filter, 'k3')).toBeUndefined()
    expect(trie.remove(filter, 'k1')).toBe('two')
    expect(trie.remove(filter, 'k1')).toBeUndefined()
    expect(trie.get(filter, 'k2')).toBe('four')
    expect(trie.has(filter)).toBe(true)
  }
  expect([trie.size, trie.filterCount]).toEqual([2, 2])
  expect(trie.remove('a/#', 'k2')).toBeUndefined()
  const all: string[] = []
  trie.forEach((value, key, filter) => {
    all.push(`${filter} ${key} ${value}`)
  })
  trie.forFilter('a/+', (value) => all.push(value))
  trie.forFilter('+', (value) => all.push(value))
  expect(all).toEqual(['a/b k2 four', 'a/+ k2 four', 'four'])
  trie.clear()
  expect([trie.size, trie.filterCount, trie.has('a/b'), trie.has('a/+'), trie.matchesAny('a/b')]).toEqual([
    0,
    0,
    false,
    false,
    false,
  ])
})

test('a visit may ask the FilterTrie about another topic', () => {
  const trie = new FilterTrie<number>()
  trie.insert('a/+', 'k', 1)
  trie.insert('a/#', 'k', 2)
  trie.insert('b/+', 'k', 3)
  const found: number[] = []
  trie.match('a/x', (value) => {
    found.push(value)
    trie.match('b/x', (inner) => found.push(inner))
  })
  expect(found.sort()).toEqual([1, 2, 3, 3])
})

test('TopicTree tells the value that a set replaces and a delete takes, and visits everything', () => {
  const tree = new TopicTree<number>()
  expect(tree.set('a/b/c', 1)).toBeUndefined()
  expect(tree.set('a/b', 2)).toBeUndefined()
  expect(tree.set('a/b', 3)).toBe(2)
  expect(tree.set('$x', 4)).toBeUndefined()
  expect(tree.delete('a')).toBeUndefined()
  expect(tree.get('a')).toBeUndefined()
  const all: string[] = []
  tree.forEach((value, topic) => {
    all.push(`${topic}=${value}`)
  })
  expect(all.sort()).toEqual(['$x=4', 'a/b/c=1', 'a/b=3'])
  expect(tree.delete('a/b')).toBe(3)
  expect([tree.size, tree.get('a/b/c')]).toEqual([2, 1])
  tree.clear()
  expect([tree.size, [...tree]]).toEqual([0, []])
})
