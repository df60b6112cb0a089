// Whose key is whose, and who may come back with another one.

import { beforeEach, expect, test } from 'vitest'
import { silentLog } from '../../../../src/base/ports/log.ts'
import { KnownKeys } from '../../../../src/cluster/trust/keys.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { MemoryFiles, node } from '../fakes.ts'

let clock: VirtualClock
let files: MemoryFiles
beforeEach(() => {
  clock = new VirtualClock()
  files = new MemoryFiles(clock)
})

const keys = (): KnownKeys => {
  clock.advance(10)
  return new KnownKeys(files, silentLog)
}

test('the first key of an id is remembered, over a restart too; another one is not taken', () => {
  expect(keys().agrees(node('a'), 'k1')).toBe(true)
  const again = keys()
  expect(again.of(node('a'))).toBe('k1')
  expect(again.agrees(node('a'), 'k2')).toBe(false)
  expect(again.agrees(node('a'), 'k1')).toBe(true)
})

test('another key is taken when it was announced over a link of that id, and the first is not from then on', () => {
  const first = keys()
  first.agrees(node('a'), 'k1')
  first.agrees(node('b'), 'k1')
  first.expect(node('a'), 'k2')
  const again = keys()
  // Until it comes, the old one is good: the new certificate may never have arrived.
  expect(again.agrees(node('a'), 'k1')).toBe(true)
  expect(again.agrees(node('b'), 'k2')).toBe(false)
  expect(again.agrees(node('a'), 'k2')).toBe(true)
  expect(again.agrees(node('a'), 'k1')).toBe(false)
  expect(keys().of(node('a'))).toBe('k2')
})

test('of an id that was never linked nothing is expected', () => {
  const known = keys()
  known.expect(node('a'), 'k9')
  expect(known.agrees(node('a'), 'k1')).toBe(true)
  expect(known.agrees(node('a'), 'k9')).toBe(false)
})

test('who is forgotten may come as anybody', () => {
  const known = keys()
  known.agrees(node('a'), 'k1')
  known.forget(node('a'))
  expect(known.agrees(node('a'), 'k2')).toBe(true)
})

test('a damaged file costs the memory, not the start', () => {
  for (const text of ['', '{', '[]', '{"aaaaaaaaaaaaaaaa":7,"x":"y","bbbbbbbbbbbbbbbb":["k",1]}']) {
    files.texts.set('keys.json', text)
    expect(keys().of(node('a'))).toBeNull()
    expect(keys().of(node('b'))).toBeNull()
  }
})
