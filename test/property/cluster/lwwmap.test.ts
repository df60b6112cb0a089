// Maps on several boxes against a slow, obvious model: whatever was written, cut, healed, restarted and replaced, the
// boxes come to what the latest write of each key says.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ByteWriter } from '../../../src/base/bytes.ts'
import { compareStamps, type Stamp } from '../../../src/base/stamps.ts'
import type { Found, Keeper, Kept } from '../../../src/broker/ports.ts'
import { Replicated } from '../../../src/cluster/maps/replicated.ts'
import type { Recordable } from '../../../src/wire/record/batch.ts'
import { Mesh, nodeIdOf } from '../../mesh.ts'

const DAY_MS = 24 * 3600 * 1000

/** A disk on which everything is safe at once. */
class Disk implements Keeper {
  readonly durable = true
  readonly full = false
  readonly position = 0
  readonly safe = 0
  readonly ours = 0
  readonly asked = 0
  readonly values = new Map<number, Recordable>()
  #last = 0

  put(value: Recordable): Kept {
    this.values.set(++this.#last, value)
    return { id: this.#last, value }
  }
  changed(): number {
    return 0
  }
  remove({ id }: Kept): void {
    this.values.delete(id)
  }
  watch(): void {}

  /** What the next run finds; it writes on under the same records. */
  replay(take: (record: Parameters<Replicated['found']>[0], found: Found) => boolean): void {
    for (const [id, value] of [...this.values]) {
      const into = new ByteWriter()
      value.write(into, 0)
      const kept = { id, value }
      const found: Found = {
        records: [],
        adopt: (_kept, adopted) => void this.values.set(id, adopted),
        remove: () => void this.values.delete(id),
      }
      expect(take({ id, kept, kind: value.kind, body: into.done(), countedFromMs: 0 }, found)).toBe(true)
    }
  }
}

/** A box with its disk, over all its runs. */
class Box {
  readonly id
  readonly #mesh: Mesh
  #disk = new Disk()
  run!: ReturnType<Box['start']>

  constructor(mesh: Mesh, index: number) {
    this.id = nodeIdOf(index + 1)
    this.#mesh = mesh
    this.restart(false)
  }

  /** `fresh`: with an empty card. */
  restart(fresh: boolean): void {
    this.run?.replicated.stop()
    if (fresh) this.#disk = new Disk()
    this.run = this.start()
  }

  start() {
    const node = this.#mesh.start(this.id)
    const replicated = new Replicated(node.world, node.stamps, this.#disk)
    const map = replicated.open(
      { name: 'm', keyBytesMax: 10, valueBytesMax: 10, entriesMax: 1000 },
      { changed: () => {} },
    )
    this.#disk.replay((record, found) => replicated.found(record, found))
    replicated.attach(node)
    return { replicated, map }
  }

  /** Everything it knows, removed keys as null. */
  knows(keys: readonly string[]): Map<string, { stamp: Stamp; value: string | null }> {
    const { map } = this.run
    return new Map(
      keys.flatMap((key) => {
        const stamp = map.stampOf(key)
        return stamp === null ? [] : [[key, { stamp, value: map.value(key)?.value.toString() ?? null }]]
      }),
    )
  }
}

const KEYS = ['a', 'b', 'c', 'd', 'e']

const write = fc.record({
  at: fc.constant('write' as const),
  box: fc.nat(3),
  key: fc.constantFrom(...KEYS),
  value: fc.option(fc.constantFrom('1', '2', '3')),
})
const step = fc.oneof(
  { weight: 6, arbitrary: write },
  {
    weight: 3,
    arbitrary: fc.record({ at: fc.constantFrom('cut' as const, 'link' as const), box: fc.nat(3), to: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.record({ at: fc.constant('restart' as const), box: fc.nat(3), fresh: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ at: fc.constant('wait' as const), ms: fc.constantFrom<number>(1, 100, 2500, 15_000) }),
  },
)

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

function play(mesh: Mesh, boxes: readonly Box[], action: Step): void {
  const box = 'box' in action ? boxes[action.box % boxes.length]! : boxes[0]!
  switch (action.at) {
    case 'write':
      box.run.map.set(action.key, action.value === null ? null : Buffer.from(action.value))
      return
    case 'cut':
    case 'link': {
      const other = boxes[action.to % boxes.length]!
      if (other !== box) mesh[action.at](box.id, other.id)
      return
    }
    case 'restart':
      return box.restart(action.fresh)
    case 'wait':
      return mesh.clock.advance(action.ms)
  }
}

test('boxes that can all hear each other again come to the latest write of each key', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 4 }), fc.array(step, { maxLength: 40 }), (count, steps) => {
      const mesh = new Mesh()
      const boxes = Array.from({ length: count }, (_, index) => new Box(mesh, index))
      let before = boxes.map((box) => box.knows(KEYS))
      for (const action of steps) {
        play(mesh, boxes, action)
        // Nobody ever goes back, but who starts with an empty card.
        const now = boxes.map((box) => box.knows(KEYS))
        for (const [index, known] of before.entries()) {
          if (action.at === 'restart' && boxes[action.box % count] === boxes[index]) continue
          for (const [key, { stamp }] of known) {
            expect(compareStamps(now[index]!.get(key)!.stamp, stamp)).toBeGreaterThanOrEqual(0)
          }
        }
        before = now
      }
      mesh.clock.settle()
      const expected = new Map<string, { stamp: Stamp; value: string | null }>()
      for (const known of boxes.map((box) => box.knows(KEYS))) {
        for (const [key, entry] of known) {
          const other = expected.get(key)
          if (other === undefined || compareStamps(entry.stamp, other.stamp) > 0) expected.set(key, entry)
        }
      }
      for (const one of boxes) for (const other of boxes) if (one !== other) mesh.link(one.id, other.id)
      mesh.clock.advance(90_000)
      for (const box of boxes) expect(box.knows(KEYS)).toEqual(sorted(expected))
      for (const box of boxes) box.restart(false)
      for (const box of boxes) expect(box.knows(KEYS)).toEqual(sorted(expected))
      expect(mesh.errors).toEqual([])
    }),
    { numRuns: 150 },
  )
})

const sorted = <Value>(map: ReadonlyMap<string, Value>) => new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)))

const month = fc.record({ at: fc.constant('wait' as const), ms: fc.constantFrom<number>(20 * DAY_MS, 31 * DAY_MS) })

test('what only one of two boxes has, and is older than what the other has forgotten, was removed; all else stays', () => {
  fc.assert(
    fc.property(
      fc.array(write, { minLength: 1, maxLength: 12 }),
      fc.array(fc.oneof({ weight: 3, arbitrary: write }, { weight: 1, arbitrary: month }), {
        minLength: 2,
        maxLength: 12,
      }),
      (together, apart) => {
        const mesh = new Mesh()
        const boxes = [new Box(mesh, 0), new Box(mesh, 1)] as const
        mesh.link(boxes[0].id, boxes[1].id)
        mesh.clock.advance(1000)
        for (const action of together) {
          play(mesh, boxes, action)
          mesh.clock.advance(10)
        }
        mesh.cut(boxes[0].id, boxes[1].id)
        for (const action of apart) {
          play(mesh, boxes, action)
          mesh.clock.settle()
        }
        const known = boxes.map((box) => box.knows(KEYS))
        const horizons = boxes.map((box) => box.run.map.horizon)
        const expected = new Map<string, { stamp: Stamp; value: string | null }>()
        for (const key of KEYS) {
          const [a, b] = known.map((each) => each.get(key))
          const [only, other] = a === undefined ? [b, horizons[0]!] : [a, horizons[1]!]
          if (a !== undefined && b !== undefined) expected.set(key, compareStamps(a.stamp, b.stamp) > 0 ? a : b)
          else if (only !== undefined && (other === null || compareStamps(only.stamp, other) > 0))
            expected.set(key, only)
        }
        mesh.link(boxes[0].id, boxes[1].id)
        mesh.clock.advance(90_000)
        for (const box of boxes) expect(box.knows(KEYS)).toEqual(sorted(expected))
        // They agree, so each answers for what either has forgotten.
        expect(boxes[0].run.map.horizon).toEqual(boxes[1].run.map.horizon)
        expect(mesh.errors).toEqual([])
      },
    ),
    { numRuns: 60 },
  )
})
