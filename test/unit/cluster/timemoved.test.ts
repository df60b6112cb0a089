// What boxes have written by wrong clocks, when they meet others.

import { expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/ids.ts'
import { Positions } from '../../../src/base/positions.ts'
import { compareStamps, StampClock } from '../../../src/base/stamps.ts'
import { NoKeeper } from '../../../src/broker/ports.ts'
import { Replicated } from '../../../src/cluster/maps/replicated.ts'
import { ClusterTime } from '../../../src/cluster/time/clustertime.ts'
import { LivedTime } from '../../../src/cluster/time/livedtime.ts'
import { Mesh, nodeIdOf } from '../../mesh.ts'
import { MemoryFiles } from './fakes.ts'

const [A, B, C] = [nodeIdOf(1), nodeIdOf(2), nodeIdOf(3)] as const
const DAY = 24 * 3600_000
const NOON = Date.UTC(2026, 10, 21, 12)

/** What an earlier run has left of how far it had gone. */
interface Left {
  readonly floorMs: number
  readonly wasMs: number
}

function box(
  mesh: Mesh,
  id: NodeId,
  wallMs: number,
  { floorMs, wasMs }: Left = { floorMs: 0, wasMs: 0 },
  right = false,
) {
  const node = mesh.start(id, wallMs)
  const time = new ClusterTime({ ...node.world, synchronised: () => right }, wasMs)
  const floor = {
    beforeMs: floorMs,
    within: () => Number.POSITIVE_INFINITY,
    lower: (toMs: number) => {
      floor.beforeMs = Math.min(floor.beforeMs, toMs)
    },
  }
  const stamps = new StampClock(id, () => time.now(), floor)
  const lived = new LivedTime({ ...node.world, files: new MemoryFiles(mesh.clock) }, time, 0)
  const replicated = new Replicated(node.world, stamps, new NoKeeper(new Positions(mesh.clock)), () => lived.now())
  const map = replicated.open(
    { name: 'facts', keyBytesMax: 100, valueBytesMax: 100, entriesMax: 1000 },
    { changed: () => {} },
  )
  time.onStep((step) => replicated.timeMoved(step))
  const join = () => {
    time.attach(node)
    replicated.attach(node)
    time.start()
  }
  const set = (key: string, value: string | null) => map.set(key, value === null ? null : Buffer.from(value))
  const known = () => Object.fromEntries([...map.entries()].map(({ key, value }) => [key, value.toString()]).sort())
  return { id, node, time, stamps, replicated, map, join, set, known }
}

/** One that joins at once. */
function joined(mesh: Mesh, id: NodeId, wallMs: number) {
  const one = box(mesh, id, wallMs)
  one.join()
  return one
}

test.each([
  ['in 1970', 60_000],
  ['in 2099', Date.UTC(2099, 0, 1)],
  ['two days ahead', NOON + 2 * DAY],
  ['two days late', NOON - 2 * DAY],
  ['right', NOON],
])('a box whose clock is %s has written alone: all of it is there after it has joined', (_name, wallMs) => {
  const mesh = new Mesh()
  const two = [joined(mesh, A, NOON), joined(mesh, B, NOON)]
  mesh.link(A, B)
  const late = joined(mesh, C, wallMs)
  mesh.clock.advance(10_000)
  two[0]!.set('both', 'before')
  two[0]!.set('theirs', '1')
  mesh.clock.advance(10_000)
  late.set('both', 'later')
  late.set('alone', '2')
  late.set('gone', '3')
  late.set('gone', null)
  mesh.clock.advance(10_000)
  two[1]!.set('last', 'of all')
  late.set('last', 'was here')
  mesh.clock.advance(1000)
  two[1]!.set('last', 'of all')
  mesh.link(A, C)
  mesh.link(B, C)
  mesh.clock.advance(90_000)
  const all = [...two, late]
  for (const one of all) {
    expect(one.known()).toEqual({ alone: '2', both: 'later', last: 'of all', theirs: '1' })
    for (const { stamp } of one.map.entries()) expect(stamp.wallMs).toBeLessThanOrEqual(one.time.now())
  }
  // And it is heard from then on.
  late.set('both', 'last')
  two[0]!.set('alone', null)
  mesh.clock.advance(5000)
  for (const one of all) expect(one.known()).toEqual({ both: 'last', last: 'of all', theirs: '1' })
  expect(mesh.errors).toEqual([])
  expect(all.flatMap(({ replicated }) => replicated.problems((node) => node))).toEqual([])
})

test('what people set back is written anew on all boxes, and stays the same on all', () => {
  const mesh = new Mesh()
  const all = [A, B, C].map((id) => joined(mesh, id, Date.UTC(2099, 0, 1)))
  mesh.link(A, B)
  mesh.link(B, C)
  mesh.link(A, C)
  for (const [index, one] of all.entries()) one.set(`key${index}`, 'value')
  all[0]!.set('gone', 'x')
  mesh.clock.advance(1000)
  all[1]!.set('gone', null)
  mesh.clock.advance(10_000)
  expect(all[0]!.time.set(NOON)).toBeNull()
  mesh.clock.advance(120_000)
  const stampOf = (key: string) => all.map(({ map }) => map.stampOf(key)?.wallMs)
  for (const key of ['key0', 'key1', 'key2', 'gone']) {
    expect(new Set(stampOf(key)).size, key).toBe(1)
    expect(stampOf(key)[0]).toBeLessThan(NOON + 300_000)
  }
  for (const one of all) expect(one.known()).toEqual({ key0: 'value', key1: 'value', key2: 'value' })
  expect(mesh.errors).toEqual([])
})

test('a clock that leaps for two days has nothing forgotten: what was written behind a cut is no removed thing', () => {
  const mesh = new Mesh()
  const [a, b, c] = [joined(mesh, A, NOON), joined(mesh, B, NOON), joined(mesh, C, NOON)]
  mesh.link(A, B)
  mesh.clock.advance(10_000)
  b.set('gone', 'x')
  c.set('written', 'behind a cut')
  mesh.clock.advance(10_000)
  // Later than that, so that whoever forgets this would take that for removed, too.
  b.set('gone', null)
  mesh.clock.advance(1000)
  mesh.cut(A, B)
  expect(a.time.set(Date.UTC(2099, 0, 1))).toBeNull()
  mesh.clock.advance(2 * DAY)
  expect(a.map.horizon).toBeNull()
  expect(a.map.stampOf('gone')).not.toBeNull()
  expect(a.time.set(b.time.now())).toBeNull()
  mesh.link(A, C)
  mesh.link(A, B)
  mesh.clock.advance(60_000)
  for (const one of [a, b, c]) expect(one.known()).toEqual({ written: 'behind a cut' })
  expect(mesh.errors).toEqual([])
})

const YEAR = 365 * DAY

test.each([
  ['goes on', 3 * YEAR, false],
  ['has leapt by another year', 4 * YEAR, false],
  ['has stepped back an hour', 3 * YEAR - 3600_000, false],
  ['has stepped back to 1970', 60_000 - NOON, false],
  ['was put right', 0, true],
])(
  'of a box three years ahead that was alone and starts again, whose clock %s, all comes after what it knew',
  (...of) => {
    const [, aheadMs, right] = of
    const mesh = new Mesh()
    const two = [joined(mesh, A, NOON), joined(mesh, B, NOON)]
    mesh.link(A, B)
    mesh.clock.advance(60_000)
    two[0]!.set('both', 'before')
    mesh.clock.advance(10_000)
    // The run before wrote a second after that, and again a second later, and died in the tenth; its stamps could have
    // gone on for a minute.
    const began = NOON + 3 * YEAR + 60_000
    const late = box(mesh, C, NOON + aheadMs, { floorMs: began + 60_000, wasMs: began }, right)
    const wrote = (key: string, value: string, wallMs: number) =>
      late.map.set(key, Buffer.from(value), { wallMs, counter: 0, node: C })
    wrote('both', 'later', began + 2000)
    wrote('alone', '2', began + 3000)
    late.join()
    const own = late.map.stampOf('alone')!
    late.set('alone', '3')
    expect(compareStamps(late.map.stampOf('alone')!, own)).toBeGreaterThan(0)
    mesh.clock.advance(1000)
    mesh.link(A, C)
    mesh.link(B, C)
    mesh.clock.advance(90_000)
    for (const one of [...two, late]) {
      expect(one.known()).toEqual({ alone: '3', both: 'later' })
      for (const { stamp } of one.map.entries()) expect(stamp.wallMs).toBeLessThanOrEqual(one.time.now())
    }
    expect(mesh.errors).toEqual([])
  },
)
