// A running broker with a store on a disk whose flushes the test lets happen, and which outlives the broker.

import { HostError } from '../../../src/base/errors.ts'
import type { NodeId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import type { StoreEngine } from '../../../src/base/ports/engine.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { Positions } from '../../../src/base/positions.ts'
import type { Peers } from '../../../src/broker/ports.ts'
import { Store } from '../../../src/store/store.ts'
import { Lab, VirtualClock } from '../../conformance/lab.ts'

/** What is on the card. */
export class Platter {
  readonly batches = new Map<number, Buffer>()
  /** How many brokers have run on it. */
  runs = 0
}

/** The disk as one run sees it: an append is done when `flush` is called. */
export class HandEngine implements StoreEngine {
  readonly #platter: Platter
  #appending: (() => void) | null = null
  #dead = false
  full = false

  constructor(platter: Platter) {
    this.#platter = platter
  }

  get bytes(): number {
    return 0
  }

  open(batch: (number: number, bytes: Buffer) => void, done: Parameters<StoreEngine['open']>[1]): void {
    const numbers = [...this.#platter.batches.keys()].sort((a, b) => a - b)
    for (const number of numbers) batch(number, Buffer.from(this.#platter.batches.get(number)!))
    done({ lastBatch: numbers.at(-1) ?? 0, damaged: [] })
  }

  append(number: number, bytes: Buffer, done: (error: HostError | null) => void): void {
    const copy = Buffer.from(bytes)
    this.#appending = () => {
      if (!this.full) this.#platter.batches.set(number, copy)
      if (this.#dead) return
      done(this.full ? new HostError('failed', 'no space left on the disk') : null)
    }
  }

  /** Ends the append that is under way, if there is one. */
  flush(): void {
    const appending = this.#appending
    this.#appending = null
    appending?.()
  }

  /** The box dies: of the append that is under way only chance knows whether it got to the disk. */
  die(landed: boolean): void {
    const appending = this.#appending
    this.#appending = null
    this.#dead = true
    if (landed) appending?.()
  }

  drop(below: number): void {
    for (const number of this.#platter.batches.keys()) if (number < below) this.#platter.batches.delete(number)
  }

  close(done: () => void): void {
    done()
  }
}

/** One run of the broker; `commit` lets what is staged get to the disk. */
export class DurableLab extends Lab {
  readonly engine: HandEngine
  readonly store: Store
  readonly platter: Platter

  readonly positions: Positions

  constructor(platter = new Platter(), peers?: Peers, node?: NodeId) {
    const clock = new VirtualClock()
    const positions = new Positions(clock)
    const engine = new HandEngine(platter)
    const store = new Store({
      clock,
      log: silentLog,
      meter: new Meter(),
      engine,
      positions,
      synchronised: () => true,
    })
    const who = { ...(peers === undefined ? {} : { peers }), ...(node === undefined ? {} : { node }) }
    super({ clock, keeper: store, incarnation: ++platter.runs, ...who })
    this.positions = positions
    this.platter = platter
    this.engine = engine
    this.store = store
    store.open((found) => {
      if (found instanceof HostError) throw found
      this.broker.restore(found, (record) => store.records.found(record, found))
    })
  }

  commit(): void {
    this.clock.advance(60)
    this.engine.flush()
    this.clock.settle()
  }
}
