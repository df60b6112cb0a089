// Takes the store's place where nothing is kept on disk (`durability: memory`): records have their numbers, so that
// copies at other boxes can be made of them, and are safe as far as this box is concerned.

import type { Positions } from '../base/positions.ts'
import type { Keeper, Kept } from '../broker/ports.ts'
import type { Recordable } from '../wire/record/batch.ts'

interface MemoryRecord extends Kept {
  value: Recordable | null
}

export class MemoryRecords implements Keeper {
  readonly durable = true
  readonly full = false
  readonly #positions: Positions
  #lastId = 0

  constructor(positions: Positions) {
    this.#positions = positions
  }

  get position(): number {
    return this.#positions.position
  }

  get safe(): number {
    return this.#positions.safe
  }

  get ours(): number {
    return this.#positions.ours
  }

  get asked(): number {
    return this.#positions.asked
  }

  put(value: Recordable): Kept {
    const record: MemoryRecord = { id: ++this.#lastId, value }
    return record
  }

  /** Nothing waits for a disk: whatever else does has a position already. */
  changed(): number {
    return 0
  }

  remove(kept: Kept): void {
    ;(kept as MemoryRecord).value = null
  }

  watch(moved: () => void): void {
    this.#positions.watch(moved)
  }
}
