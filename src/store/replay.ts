// Reads the batches of earlier runs, oldest first, into what still lives: the last writing of each record counts.

import { readBatch } from '../wire/record/batch.ts'
import { Entry } from './entry.ts'
import { Raw } from './raw.ts'

interface Living {
  readonly entry: Entry
  readonly batch: number
  readonly bytes: number
}

export class Replay {
  readonly damaged: string[] = []
  readonly #living = new Map<number, Living>()
  #lastId = 0
  #last: { readonly ageMs: number; readonly wallMs: number; readonly synchronised: boolean } | null = null

  batch(number: number, bytes: Buffer): void {
    const put: Living[] = []
    const removed: number[] = []
    const raws: { id: number; kind: number; body: Buffer }[] = []
    const time = readBatch(bytes, {
      put: (id, kind, body) => raws.push({ id, kind, body }),
      removed: (id) => removed.push(id),
    })
    if (time === null) {
      this.damaged.push(`batch ${number} cannot be read: from a later version, or damaged`)
      return
    }
    this.#last = time
    for (const { id, kind, body } of raws) {
      // Bytes of its own: the batch's are valid during this call only.
      const entry = new Entry(id, new Raw(kind, Buffer.from(body), time.ageMs))
      put.push({ entry, batch: number, bytes: body.length + 11 })
      this.#lastId = Math.max(this.#lastId, id)
    }
    for (const id of removed) {
      this.#living.delete(id)
      this.#lastId = Math.max(this.#lastId, id)
    }
    for (const living of put) {
      // Deleted first, so that the map's order is that of last writings.
      this.#living.delete(living.entry.id)
      this.#living.set(living.entry.id, living)
    }
  }

  finish(): { readonly entries: readonly Living[]; readonly lastId: number } {
    return { entries: [...this.#living.values()], lastId: this.#lastId }
  }

  /** The store's age now: the time since its last batch counts when the clock was and is synchronised. */
  ageAt(wallMs: number, synchronised: boolean): number {
    const last = this.#last
    if (last === null) return 0
    return last.ageMs + (last.synchronised && synchronised ? Math.max(0, wallMs - last.wallMs) : 0)
  }
}
