import { expect, test } from 'vitest'
import { BATCH_BYTES, Batches } from '../../../src/cluster/batches.ts'

/** A batch of one item that is all of `byte`. */
function gather(batches: Batches, length: number, byte: number): void {
  const room = batches.room(length)
  room.fill(byte, batches.at, batches.at + length)
  batches.wrote(length, 1, 0, false)
  batches.seal(0)
}

const itemsOf = (batches: Batches): string[] =>
  [...batches].map(({ bytes, end }) => `${bytes[end - 2]} ${bytes[end - 1]}`)

test('a buffer is not used again while a batch stands in it, also behind one that has a buffer of its own', () => {
  const one = new Batches(() => {})
  gather(one, 100, 1)
  one.own(Buffer.alloc(2 * BATCH_BYTES, 2), 1, 0, null, false, 0)
  gather(one, 100, 3)
  gather(one, BATCH_BYTES - 100, 4)
  one.release(1, 1)
  const other = new Batches(() => {})
  gather(other, BATCH_BYTES - 100, 9)
  expect(itemsOf(one)).toEqual(['2 2', '3 3', '4 4'])
})
