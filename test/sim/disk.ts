// The simulated state directory of one box: written files are there after a while, or never when the box dies first.

import type { HostError } from '../../src/base/errors.ts'
import type { StateFiles } from '../../src/base/ports/files.ts'
import type { SimClock } from './clock.ts'
import type { Dice } from './random.ts'
import { StoreDisk } from './store-disk.ts'

/** What survives the process. */
export class Disk {
  readonly files = new Map<string, Buffer>()
  readonly store = new StoreDisk()

  /** Keeps what is on it now; the returned function puts that back. */
  copied(): () => void {
    const files = new Map(this.files)
    const batches = new Map(this.store.batches)
    return () => {
      this.store.torn = null
      replace(this.files, files)
      replace(this.store.batches, batches)
    }
  }
}

function replace<K, V>(map: Map<K, V>, by: ReadonlyMap<K, V>): void {
  map.clear()
  for (const [key, value] of by) map.set(key, value)
}

/** The disk as one run of a node sees it. */
export class SimFiles implements StateFiles {
  readonly #disk: Disk
  readonly #clock: SimClock
  readonly #dice: Dice
  /** When the last write of a name will be done: writes of one name keep their order. */
  readonly #busyUntil = new Map<string, number>()

  constructor(disk: Disk, clock: SimClock, dice: Dice) {
    this.#disk = disk
    this.#clock = clock
    this.#dice = dice
  }

  read(name: string): Buffer | null {
    const bytes = this.#disk.files.get(name)
    return bytes === undefined ? null : Buffer.from(bytes)
  }

  write(name: string, bytes: Buffer, _secret: boolean, done: (error: HostError | null) => void): void {
    const copy = Buffer.from(bytes)
    const slow = this.#dice.chance(0.05) ? 300 : 15
    const until = Math.max(this.#clock.now(), this.#busyUntil.get(name) ?? 0) + this.#dice.between(0.5, slow)
    this.#busyUntil.set(name, until)
    this.#clock.after(until - this.#clock.now(), 'disk.write', () => {
      this.#disk.files.set(name, copy)
      done(null)
    })
  }
}
