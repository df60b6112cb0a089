import { expect, test } from 'vitest'
import { better, ClusterTime, type TimeClaim } from '../../../../src/cluster/time/clustertime.ts'
import { encodeTime } from '../../../../src/wire/link/time.ts'
import { Mesh, nodeIdOf } from '../../../mesh.ts'

const NOON = Date.UTC(2026, 10, 21, 12)
const [Y1970, Y2099, DAY] = [60_000, Date.UTC(2099, 0, 1), 24 * 3600_000]
const [A, B, C, D, E] = [1, 2, 3, 4, 5].map(nodeIdOf) as [ReturnType<typeof nodeIdOf>, ...ReturnType<typeof nodeIdOf>[]]
const [b, c, d, e] = [B!, C!, D!, E!]

const claim = (more: Partial<TimeClaim> = {}): TimeClaim => ({
  ...{ timeMs: NOON, synchronised: false, established: false, followedMs: null, sets: 0, agreeing: 1 },
  ...more,
})

test.each<[string, Partial<TimeClaim>, Partial<TimeClaim>, boolean]>([
  ['the later', { timeMs: NOON + 1 }, {}, true],
  ['not the earlier', { timeMs: NOON - 1 }, {}, false],
  ['the larger side before the later', { agreeing: 3, timeMs: Y1970 }, { agreeing: 2 }, true],
  ['the cluster before whoever is new to it', { established: true, timeMs: Y1970 }, { agreeing: 9 }, true],
  ['what people have set before the larger side', { sets: 1 }, { agreeing: 9, established: true }, true],
  ['what was set last', { sets: 1 }, { sets: 2 }, false],
  ['a synchronised clock before what people have set', { followedMs: 1000 }, { sets: 2 }, true],
  ['not one that was synchronised long ago', { followedMs: 3600_000 }, { agreeing: 2 }, false],
  ['nothing, when our own clock is synchronised', { followedMs: 0, sets: 9 }, { synchronised: true }, false],
])('of two ideas of the time %s is right', (_name, theirs, ours, taken) => {
  expect(better(claim(theirs), claim(ours))).toBe(taken)
})

test('of two different ideas one side takes the other’s, whoever asks', () => {
  const values = [claim(), claim({ sets: 1 }), claim({ agreeing: 2 }), claim({ followedMs: 9 }), claim({ timeMs: 5 })]
  for (const one of values) {
    for (const other of values) if (one !== other) expect(better(one, other)).toBe(!better(other, one))
  }
})

class Box {
  readonly time: ClusterTime
  readonly id
  jumpMs = 0
  synchronised = false
  readonly steps: number[] = []
  readonly wall: () => number
  readonly meter

  constructor(mesh: Mesh, id = A, wallMs = NOON, more: { synchronised?: boolean; beforeMs?: number } = {}) {
    this.id = id
    this.synchronised = more.synchronised ?? false
    const node = mesh.start(id, wallMs)
    this.meter = node.meter
    this.wall = () => wallMs + mesh.clock.now() + this.jumpMs
    const clock = { ...node.clock, wall: this.wall }
    this.time = new ClusterTime({ ...node.world, clock, synchronised: () => this.synchronised }, more.beforeMs)
    this.time.onStep(({ byMs }) => this.steps.push(byMs))
    this.time.attach(node)
    this.time.start()
  }
}

const linkAll = (mesh: Mesh, boxes: readonly Box[]) => {
  for (const one of boxes) for (const other of boxes) if (one.id < other.id) mesh.link(one.id, other.id)
}
const near = (boxes: readonly Box[], wallMs: number, mesh: Mesh) => {
  for (const { time } of boxes) expect(Math.abs(time.now() - wallMs - mesh.clock.now())).toBeLessThan(600)
}

test.each([
  ['1970', Y1970],
  ['2099', Y2099],
  ['a day ahead', NOON + DAY],
  ['a minute late', NOON - 61_000],
])('a new box at %s takes the time of two others when it is linked', (_name, wallMs) => {
  const mesh = new Mesh()
  const two = [new Box(mesh, A), new Box(mesh, b, NOON + 500)]
  linkAll(mesh, two)
  mesh.clock.advance(10_000)
  const late = new Box(mesh, c, wallMs)
  linkAll(mesh, [...two, late])
  mesh.clock.advance(50)
  near([late], NOON + 250, mesh)
  expect(late.steps).toHaveLength(1)
  mesh.clock.advance(60_000)
  expect(two.flatMap(({ steps }) => steps)).toEqual([])
})

test('two new boxes agree on the later; a third one at 1970 follows', () => {
  const mesh = new Mesh()
  const boxes = [new Box(mesh, A), new Box(mesh, b, Y1970)]
  linkAll(mesh, boxes)
  mesh.clock.advance(50)
  boxes.push(new Box(mesh, c, Y1970))
  linkAll(mesh, boxes)
  mesh.clock.advance(50)
  near(boxes, NOON, mesh)
})

test('who made the cluster keeps its time when a box at 2099 joins', () => {
  const mesh = new Mesh()
  const founder = new Box(mesh, A)
  founder.time.establish()
  const boxes = [founder, new Box(mesh, b, Y2099)]
  linkAll(mesh, boxes)
  mesh.clock.advance(50)
  near(boxes, NOON, mesh)
})

test('a clock that jumps moves nothing, in either direction, however often', () => {
  const mesh = new Mesh()
  const boxes = [new Box(mesh, A), new Box(mesh, b), new Box(mesh, c)]
  linkAll(mesh, boxes)
  for (const jumpMs of [Y2099, -NOON, DAY, -3000, 0]) {
    boxes[1]!.jumpMs = jumpMs
    mesh.clock.advance(30_000)
    near(boxes, NOON, mesh)
  }
  expect(boxes.flatMap(({ steps }) => steps)).toEqual([])
  expect(boxes[0]!.time.status().members).toMatchObject([{ id: b }, { id: c, differenceMs: -1 }])
})

test('after a cut the larger side is right, and a synchronised clock more than that', () => {
  const mesh = new Mesh()
  const large = [new Box(mesh, A, Y1970), new Box(mesh, b, Y1970), new Box(mesh, c, Y1970)]
  const small = [new Box(mesh, d, NOON), new Box(mesh, e, NOON)]
  linkAll(mesh, large)
  linkAll(mesh, small)
  mesh.clock.advance(20_000)
  linkAll(mesh, [...large, ...small])
  mesh.clock.advance(20_000)
  near([...large, ...small], Y1970, mesh)
  small[0]!.jumpMs = 0
  small[0]!.synchronised = true
  mesh.clock.advance(10_000)
  near([...large, ...small], NOON, mesh)
  expect(small[0]!.time.status()).toMatchObject({ from: 'own clock', synchronised: true })
})

test('the time of a synchronised clock comes through a box in between, and stays when that clock is gone', () => {
  const mesh = new Mesh()
  const right = new Box(mesh, A, NOON, { synchronised: true })
  const [middle, far] = [new Box(mesh, b, Y2099), new Box(mesh, c, Y2099)]
  linkAll(mesh, [middle, far])
  mesh.clock.advance(20_000)
  mesh.link(A, b)
  mesh.clock.advance(20_000)
  near([middle, far], NOON, mesh)
  mesh.cut(A, b)
  mesh.clock.advance(3600_000)
  near([middle, far, right], NOON, mesh)
})

test('two synchronised clocks that differ both keep to themselves, and nobody swings between them', () => {
  const mesh = new Mesh()
  const boxes = [
    new Box(mesh, A, NOON, { synchronised: true }),
    new Box(mesh, b, NOON + 10_000, { synchronised: true }),
    new Box(mesh, c, Y1970),
  ]
  linkAll(mesh, boxes)
  mesh.clock.advance(300_000)
  near([boxes[0]!], NOON, mesh)
  near([boxes[1]!], NOON + 10_000, mesh)
  expect(boxes[2]!.steps.length).toBeLessThanOrEqual(2)
})

test('a difference of seconds is believed when it is seen twice', () => {
  const mesh = new Mesh()
  const boxes = [new Box(mesh, A), new Box(mesh, b, NOON + 20_000)]
  linkAll(mesh, boxes)
  mesh.clock.advance(50)
  expect(boxes[0]!.steps).toEqual([])
  mesh.clock.advance(10_000)
  near(boxes, NOON + 20_000, mesh)
})

test('a box by itself follows its clock when that is set forward, and not back', () => {
  const mesh = new Mesh()
  const box = new Box(mesh, A, Y1970)
  box.jumpMs = NOON
  mesh.clock.advance(5000)
  near([box], NOON + Y1970, mesh)
  box.jumpMs = 0
  mesh.clock.advance(50_000)
  near([box], NOON + Y1970, mesh)
})

test('it was at least as late as an earlier run knew, unless a synchronised clock knows better', () => {
  const mesh = new Mesh()
  expect(new Box(mesh, A, Y1970, { beforeMs: NOON }).time.now()).toBe(NOON)
  expect(new Box(mesh, b, NOON, { beforeMs: Y2099, synchronised: true }).time.now()).toBe(NOON + mesh.clock.now())
})

test('people set the time of all boxes, unless a clock is synchronised', () => {
  const mesh = new Mesh()
  const boxes = [new Box(mesh, A, Y2099), new Box(mesh, b, Y2099), new Box(mesh, c, Y2099)]
  linkAll(mesh, boxes)
  mesh.clock.advance(10_000)
  expect(boxes[2]!.time.set(-1)).toMatch(/between 1970/)
  expect(boxes[2]!.time.set(NOON)).toBeNull()
  const setAt = NOON - mesh.clock.now()
  mesh.clock.advance(20_000)
  near(boxes, setAt, mesh)
  expect(boxes.map(({ time }) => time.status().from)).toEqual([c, c, 'set'])
  boxes[0]!.synchronised = true
  mesh.clock.advance(10_000)
  expect(boxes[2]!.time.set(NOON)).toBe(`${A} has a synchronised clock, which is right: nothing needs to be set`)
})

test('what a member tells that makes no sense moves nothing', () => {
  const mesh = new Mesh()
  const boxes = [new Box(mesh, A), new Box(mesh, b)]
  linkAll(mesh, boxes)
  mesh.clock.advance(10_000)
  const told = { ...claim({ timeMs: Y2099, sets: 0xffff_ffff }), ownMs: 0 }
  mesh.inject(b, A, 'time', encodeTime(told))
  mesh.inject(b, A, 'time', Buffer.from([9]))
  near(boxes, NOON, mesh)
  expect([boxes[0]!.meter.get('time.absurd'), boxes[0]!.meter.get('time.unknown')]).toEqual([1, 1])
  mesh.inject(b, A, 'time', Buffer.from([1]))
  expect(mesh.errors).toEqual(['truncated message'])
})

test('any boxes with any clocks come to one time, when all have been linked for a while', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const mesh = new Mesh(seed)
    const { fraction } = mesh.random
    const ids = [A, b, c, d, e]
    const clocks = [Y1970, NOON, NOON + 30_000, NOON + 2 * DAY, Y2099]
    const boxes = ids.map((id) => new Box(mesh, id, clocks[Math.floor(fraction() * clocks.length)]))
    for (let step = 0; step < 60; step++) {
      const [one, other] = [ids[Math.floor(fraction() * 5)]!, ids[Math.floor(fraction() * 5)]!]
      if (one !== other && fraction() < 0.6) mesh.link(one, other)
      else if (one !== other) mesh.cut(one, other)
      boxes[Math.floor(fraction() * 5)]!.jumpMs = (fraction() - 0.5) * 2 * NOON
      mesh.clock.advance(fraction() * 12_000)
    }
    linkAll(mesh, boxes)
    mesh.clock.advance(60_000)
    const times = boxes.map(({ time }) => time.now())
    expect(Math.max(...times) - Math.min(...times), `seed ${seed}`).toBeLessThan(5000)
    expect(mesh.errors).toEqual([])
  }
})
