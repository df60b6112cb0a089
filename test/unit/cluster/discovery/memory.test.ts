import { beforeEach, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import { Memory } from '../../../../src/cluster/discovery/memory.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { at, MemoryFiles, node } from '../fakes.ts'

let clock: VirtualClock
let files: MemoryFiles
let memory: Memory

beforeEach(() => {
  clock = new VirtualClock(0)
  files = new MemoryFiles(clock)
  memory = make()
})

const make = () => new Memory({ clock, files, log: silentLog })

test('remembers over a restart where each peer was linked last', () => {
  memory.linked(node('b'), at('10.0.0.2'))
  memory.linked(node('c'), at('10.0.0.3'))
  memory.linked(node('b'), at('10.0.0.9'))
  clock.advance(10_000)
  expect(make().load()).toEqual([
    { node: node('c'), endpoint: at('10.0.0.3') },
    { node: node('b'), endpoint: at('10.0.0.9') },
  ])
})

test('writes changes of address together, and nothing when nothing changed', () => {
  memory.linked(node('b'), at('10.0.0.1'))
  clock.advance(10)
  for (let last = 2; last < 9; last++) memory.linked(node('b'), at(`10.0.0.${last}`))
  clock.advance(60_000)
  memory.linked(node('b'), at('10.0.0.8'))
  clock.advance(60_000)
  expect(files.writes).toEqual(['peers.json', 'peers.json'])
})

test('a peer that is new is written at once: a box that dies right after it knows for whom to keep messages', () => {
  memory.linked(node('b'), at('10.0.0.2'))
  clock.advance(10)
  memory.linked(node('b'), at('10.0.0.3'))
  clock.advance(10)
  memory.linked(node('c'), at('10.0.0.4'))
  clock.advance(10)
  expect(make().load()).toEqual([
    { node: node('b'), endpoint: at('10.0.0.3') },
    { node: node('c'), endpoint: at('10.0.0.4') },
  ])
})

test('a peer that is new while the file is written is written right behind', () => {
  memory.linked(node('b'), at('10.0.0.2'))
  clock.advance(0)
  memory.linked(node('c'), at('10.0.0.3'))
  clock.advance(20)
  expect(make().load()).toHaveLength(2)
})

test('writes what is left at the stop', () => {
  memory.linked(node('b'), at('10.0.0.2'))
  memory.stop()
  clock.advance(10)
  expect(files.writes).toEqual(['peers.json'])
  expect(clock.timers).toEqual([])
})

test('a change during a write is written after it', () => {
  memory.linked(node('b'), at('10.0.0.2'))
  clock.advance(5001)
  memory.linked(node('c'), at('10.0.0.3'))
  clock.advance(10_000)
  expect(make().load()).toHaveLength(2)
})

test('an error is passed over, and the next change tries again', () => {
  files.failing = new HostError('failed', 'no space')
  memory.linked(node('b'), at('10.0.0.2'))
  clock.advance(10_000)
  files.failing = null
  memory.linked(node('c'), at('10.0.0.3'))
  clock.advance(10_000)
  expect(make().load()).toHaveLength(2)
})

test('is bounded, the longest unlinked first out, and forgets who has left', () => {
  const id = (index: number) => index.toString(16).padStart(16, '0') as NodeId
  for (let index = 0; index < 100; index++) memory.linked(id(index), at('10.0.0.2'))
  memory.forget(id(99))
  clock.advance(10_000)
  const peers = make().load()
  expect(peers).toHaveLength(63)
  expect(peers[0]!.node).toBe(id(36))
})

test.each([
  ['nothing', ''],
  ['no JSON', '{"peers": ['],
  ['no list', '{"peers": 7}'],
  ['no object', 'null'],
  [
    'nonsense in the list',
    '{"peers": [1, null, {"node": "x"}, {"node": "bbbbbbbbbbbbbbbb", "address": "", "port": 1}]}',
  ],
  ['a port out of range', '{"peers": [{"node": "bbbbbbbbbbbbbbbb", "address": "10.0.0.2", "port": 70000}]}'],
  ['far too much', ' '.repeat(70_000)],
])('a file with %s is passed over', (_what, text) => {
  files.texts.set('peers.json', text)
  expect(memory.load()).toEqual([])
})
