// A store on a disk of the test's own, with time that the test moves.

import { HostError } from '../../../src/base/errors.ts'
import { Meter } from '../../../src/base/meter.ts'
import type { StoreEngine } from '../../../src/base/ports/engine.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { Positions } from '../../../src/base/positions.ts'
import type { Found } from '../../../src/broker/ports.ts'
import { Store } from '../../../src/store/store.ts'
import type { Recordable } from '../../../src/wire/record/batch.ts'
import { VirtualClock } from '../../virtual-clock.ts'

export const text = (value: string, kind = 100): Recordable => ({
  kind,
  write: (into) => into.raw(Buffer.from(value)),
})

/** Lets promises and the callbacks behind them come to their end. */
export async function turns(count = 12): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

export class StoreBox {
  readonly clock: VirtualClock
  readonly meter = new Meter()
  readonly store: Store
  found: Found | null = null
  synchronised = true

  constructor(engine: StoreEngine, clock = new VirtualClock()) {
    this.clock = clock
    this.store = new Store({
      clock,
      log: silentLog,
      meter: this.meter,
      engine,
      positions: new Positions(clock),
      synchronised: () => this.synchronised,
    })
  }

  async open(): Promise<this> {
    let result: Found | HostError | null = null
    this.store.open((found) => {
      result = found
    })
    await turns()
    if (result === null || (result as unknown) instanceof HostError) throw new Error(`not opened: ${String(result)}`)
    this.found = result
    return this
  }

  /** Lets a commit begin and end. */
  async commit(): Promise<void> {
    this.clock.advance(60)
    await turns()
    this.clock.settle()
  }

  /** What was found at start, as text by id. */
  get texts(): Map<number, string> {
    return new Map([...this.found!.records].map(({ kept, body }) => [kept.id, body.toString()]))
  }
}
