// A store in memory that outlives the node that used it: what is put there is safe when the test says so.

import { ByteWriter } from '../../../src/base/bytes.ts'
import type { Clock } from '../../../src/base/ports/clock.ts'
import { type Lane, Positions } from '../../../src/base/positions.ts'
import type { Found, FoundRecord, Keeper, Kept } from '../../../src/broker/ports.ts'
import { Safekeeping } from '../../../src/cluster/forwarding/parking.ts'
import type { Recordable } from '../../../src/wire/record/batch.ts'

interface Put extends Kept {
  value: Recordable | null
}

export class Shelf implements Keeper {
  readonly durable = true
  full = false
  readonly positions: Positions
  readonly keeping: Safekeeping
  readonly #clock: Clock
  readonly #lane: Lane
  readonly #puts = new Map<number, Put>()
  readonly #failed: (() => void)[] = []
  #lastId = 0
  maxMessages = 10_000
  maxBytes = 64 * 1024 * 1024
  /** Everything is safe at the end of its turn. */
  quick: boolean

  constructor(clock: Clock, quick = true) {
    this.#clock = clock
    this.positions = new Positions(clock)
    this.#lane = this.positions.lane('store')
    this.quick = quick
    this.keeping = new Safekeeping(this, this.positions, () => this.bounds())
  }

  bounds() {
    return { maxMessages: this.maxMessages, maxBytes: this.maxBytes }
  }

  /** Records that are on it. */
  get size(): number {
    return this.#puts.size
  }

  get position(): number {
    return this.positions.position
  }

  get safe(): number {
    return this.positions.safe
  }

  get ours(): number {
    return this.positions.ours
  }

  get asked(): number {
    return this.positions.asked
  }

  put(value: Recordable): Kept {
    const put = { id: ++this.#lastId, value }
    this.#puts.set(put.id, put)
    this.#stage()
    return put
  }

  changed(): number {
    return this.#stage()
  }

  remove(kept: Kept): void {
    this.#puts.delete(kept.id)
    ;(kept as Put).value = null
    this.#stage()
  }

  watch(moved: () => void, failed?: () => void): void {
    this.positions.watch(moved)
    if (failed !== undefined) this.#failed.push(failed)
  }

  /** Nothing more fits on it. */
  fill(): void {
    this.full = true
    for (const failed of this.#failed) failed()
  }

  commit(): void {
    this.#lane.settled(this.positions.position)
  }

  #stage(): number {
    const position = this.#lane.staged()
    if (this.quick) this.#clock.soon(() => this.commit())
    return position
  }

  /** What is on it, as a node of a later run finds it on `onto`. */
  found(onto: Shelf): Found {
    const nowMs = this.#clock.now()
    const records = [...this.#puts.values()].map(({ value }): FoundRecord => {
      const writer = new ByteWriter()
      value!.write(writer, nowMs)
      const kept = onto.put(value!)
      return { kept, id: kept.id, kind: value!.kind, body: Buffer.from(writer.done()), countedFromMs: nowMs }
    })
    return {
      records,
      adopt: (kept, value) => {
        ;(kept as Put).value = value
      },
      remove: (kept) => onto.remove(kept),
    }
  }
}
