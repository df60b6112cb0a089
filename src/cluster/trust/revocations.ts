// The boxes that were removed for good: a set that only grows, kept on disk. No stamp, no tombstone and no expiry decides
// anything here, so clocks and copies of old files cannot bring a removed box back (CLUSTER 2).

import { HostError } from '../../base/errors.ts'
import { isId, type NodeId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import type { StateFiles } from '../../base/ports/files.ts'
import type { Log } from '../../base/ports/log.ts'
import type { Revocation } from '../../wire/link/revocations.ts'

const FILE = 'revocations.json'
const DAMAGED = 'revocations.damaged.json'
/** Boxes that one cluster has ever removed: far more than it can have members. */
export const REVOCATIONS_MAX = 4096

export class Revocations {
  readonly #files: StateFiles
  readonly #log: Log
  readonly #meter: Meter
  readonly #keys = new Map<NodeId, string>()
  readonly #byKey = new Map<string, NodeId>()
  /** Counts changes; what was on disk last. */
  #version = 0
  #writtenVersion = 0
  #watcher: (fresh: readonly Revocation[]) => void = () => {}

  constructor(files: StateFiles, log: Log, meter: Meter) {
    this.#files = files
    this.#log = log
    this.#meter = meter
    for (const entry of this.#read()) this.#put(entry)
    this.#writtenVersion = this.#version
  }

  /** Hears of what is new, at once. */
  watch(watcher: (fresh: readonly Revocation[]) => void): void {
    this.#watcher = watcher
  }

  /** Whether a box with this id or this key was removed. */
  has(node: NodeId, key = ''): boolean {
    return this.#keys.has(node) || (key !== '' && this.#byKey.has(key))
  }

  all(): Revocation[] {
    return [...this.#keys].map(([node, key]) => ({ node, key }))
  }

  get size(): number {
    return this.#keys.size
  }

  /**
   * Takes what is not known yet; it counts from now on. `done` gets null when all of `entries` are on disk. What goes
   * beyond the bound is refused: nobody may fill this table of another.
   */
  add(entries: readonly Revocation[], done: (error: HostError | null) => void): readonly Revocation[] {
    const fresh: Revocation[] = []
    for (const entry of entries) {
      const known = this.#keys.get(entry.node)
      // The key of a box may become known after it was removed.
      if (known !== undefined && (known !== '' || entry.key === '')) continue
      if (known === undefined && this.#keys.size >= REVOCATIONS_MAX) {
        this.#meter.count('revocations.full')
        continue
      }
      this.#put(entry)
      fresh.push(entry)
    }
    if (fresh.length > 0) this.#watcher(fresh)
    if (entries.some(({ node }) => !this.#keys.has(node))) {
      done(
        new HostError(
          'unavailable',
          `${REVOCATIONS_MAX} boxes were removed from this cluster: there is room for no more`,
        ),
      )
    } else if (this.#writtenVersion === this.#version) {
      done(null)
    } else {
      // Also when nothing is new: an earlier write may have failed, or be under way.
      this.#write(done)
    }
    return fresh
  }

  /** This box has left its cluster: what that removed is none of its business any more. */
  clear(): void {
    this.#keys.clear()
    this.#byKey.clear()
    this.#version++
    this.#write(() => {})
  }

  #put({ node, key }: Revocation): void {
    this.#version++
    this.#keys.set(node, key)
    if (key !== '') this.#byKey.set(key, node)
  }

  #write(done: (error: HostError | null) => void): void {
    const version = this.#version
    const text = `${JSON.stringify({ version: 1, removed: this.all() }, null, 2)}\n`
    this.#files.write(FILE, Buffer.from(text), false, (error) => {
      if (error === null) this.#writtenVersion = Math.max(this.#writtenVersion, version)
      else this.#log.error({ file: FILE, why: error.message }, 'removed boxes cannot be written')
      done(error)
    })
  }

  /** A damaged file is set aside: the other members tell what stood in it as soon as there is a link. */
  #read(): Revocation[] {
    const bytes = this.#files.read(FILE)
    if (bytes === null || bytes.length === 0) return []
    const found = parseRevocations(bytes.toString('utf8'))
    if (found !== null) return found
    this.#log.error({ file: FILE, keptAs: DAMAGED }, 'removed boxes cannot be read: the other members will tell')
    this.#files.write(DAMAGED, bytes, false, (error) => {
      if (error !== null) this.#log.error({ file: DAMAGED, why: error.message }, 'damaged file cannot be set aside')
    })
    return []
  }
}

/** Null: damaged. */
export function parseRevocations(text: string): Revocation[] | null {
  try {
    const file = JSON.parse(text) as { removed?: unknown } | null
    if (!Array.isArray(file?.removed)) return null
    const found: Revocation[] = []
    for (const each of file.removed.slice(0, REVOCATIONS_MAX) as unknown[]) {
      const { node, key } = (each ?? {}) as Record<string, unknown>
      if (typeof node !== 'string' || !isId(node) || typeof key !== 'string') return null
      found.push({ node: node as NodeId, key })
    }
    return found
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
