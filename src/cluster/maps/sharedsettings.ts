// What is set for the whole cluster and not for a box: small values under names, alike on all members, the latest write
// wins. Who uses a name says so by a prefix of its own (`invite.`).

import type { LwwMap } from './lwwmap.ts'
import type { Replicated } from './replicated.ts'

const BOUNDS = { keyBytesMax: 128, valueBytesMax: 4096, entriesMax: 4096 } as const

type Watcher = (key: string, value: Buffer | null) => void

export class SharedSettings {
  readonly #map: LwwMap
  readonly #watchers: Watcher[] = []

  constructor(replicated: Replicated) {
    this.#map = replicated.open(
      { name: 'settings', ...BOUNDS },
      {
        changed: (key, value) => {
          for (const watcher of this.#watchers) watcher(key, value)
        },
      },
    )
  }

  get(key: string): Buffer | null {
    return this.#map.value(key)?.value ?? null
  }

  /** Null removes. False: there is no room for another name. */
  set(key: string, value: Buffer | null): boolean {
    return this.#map.set(key, value) !== null
  }

  /** The names with a value that begin so. */
  keys(prefix: string): string[] {
    const found: string[] = []
    for (const { key } of this.#map.entries()) if (key.startsWith(prefix)) found.push(key)
    return found
  }

  /** Hears of every change, wherever it was made. */
  watch(watcher: Watcher): void {
    this.#watchers.push(watcher)
  }
}
