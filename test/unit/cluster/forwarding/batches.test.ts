import { expect, test } from 'vitest'
import { Batches } from '../../../../src/cluster/forwarding/batches.ts'
import { BATCH_HEADER_BYTES } from '../../../../src/wire/link/forward.ts'
import { SeededRandom } from '../fakes.ts'

/** Gathers an item whose bytes are all `fill`. */
function gather(batches: Batches, fill: number, length: number): void {
  if (batches.lacksRoom(length)) batches.seal(0)
  batches.room(length).fill(fill, batches.at, batches.at + length)
  batches.wrote(length, 1, 0, false)
}

test('no batch is overwritten while it may have to go again, whatever is made and forgotten', () => {
  const random = new SeededRandom(7)
  const made: Batches[] = [new Batches(() => {}), new Batches(() => {})]
  const fills = made.map(() => new Map<number, number>())
  for (let step = 0; step < 20_000; step++) {
    const which = step % 2
    const batches = made[which]!
    const fill = 1 + (step % 255)
    const dice = random.fraction()
    // Now more is made, now more forgotten, so that there are many and few.
    const growing = step % 200 < 100
    if (dice < (growing ? 0.7 : 0.2)) {
      gather(batches, fill, 1 + Math.floor(random.fraction() * 6000))
      batches.seal(0)
      fills[which]!.set(batches.sequence, fill)
    } else if (dice < (growing ? 0.85 : 0.25)) {
      batches.own(Buffer.alloc(20_000, fill), 1, 0, null, false, 0)
      fills[which]!.set(batches.sequence, fill)
    } else if (batches.oldest !== undefined) {
      batches.release(batches.oldest.last, batches.oldest.last)
    }
    for (const { bytes, start, end, last } of batches) {
      const items = bytes.subarray(start + BATCH_HEADER_BYTES, end)
      const expected = fills[which]!.get(last)!
      if (items[0] !== expected || items[items.length - 1] !== expected) throw new Error(`step ${step}: overwritten`)
    }
  }
  expect(made[0]!.sequence).toBeGreaterThan(3000)
})

test('the last buffer is used from its beginning when nothing stands in it any more', () => {
  const batches = new Batches(() => {})
  gather(batches, 1, 100)
  batches.seal(0)
  batches.release(1, 1)
  gather(batches, 2, 100)
  expect(batches.at).toBe(BATCH_HEADER_BYTES + 100)
  expect([batches.isEmpty, batches.sentBytes, batches.waiting]).toEqual([false, 0, 1])
})

test('a buffer is not used again before all that stands in it is forgotten, on both sides of a large message', () => {
  const batches = new Batches(() => {})
  const others = new Batches(() => {})
  gather(batches, 1, 5000)
  batches.seal(0)
  batches.own(Buffer.alloc(20_000, 2), 1, 0, null, false, 0)
  gather(batches, 3, 5000)
  batches.seal(0)
  gather(batches, 4, 15_000)
  batches.seal(0)
  batches.release(1, 1)
  for (let fill = 5; fill < 9; fill++) {
    gather(others, fill, 15_000)
    others.seal(0)
  }
  const seen = [...batches].map(({ bytes, start }) => bytes[start + BATCH_HEADER_BYTES])
  expect(seen).toEqual([2, 3, 4])
  expect([...batches][1]!.bytes.subarray([...batches][1]!.start + BATCH_HEADER_BYTES, [...batches][1]!.end)).toEqual(
    Buffer.alloc(5000, 3),
  )
})
