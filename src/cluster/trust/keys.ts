// The key last seen for each node id, kept on disk: the same id with another key is somebody else with a certificate of
// ours, or a box that was set up again behind our back. Only a box that has said so over a link of its own may come back
// with another one.

import { HostError } from '../../base/errors.ts'
import { isId, type NodeId } from '../../base/ids.ts'
import type { StateFiles } from '../../base/ports/files.ts'
import type { Log } from '../../base/ports/log.ts'

const FILE = 'keys.json'
const KEYS_MAX = 1024

interface Known {
  readonly key: string
  /** The one it has announced over a link of its own. */
  readonly next: string | null
}

export class KnownKeys {
  readonly #files: StateFiles
  readonly #log: Log
  readonly #keys = new Map<NodeId, Known>()

  constructor(files: StateFiles, log: Log) {
    this.#files = files
    this.#log = log
    for (const [id, known] of readKeys(files, log)) this.#keys.set(id, known)
  }

  /** Nodes whose key is known: those that were ever linked or let in. */
  get size(): number {
    return this.#keys.size
  }

  /** The key last seen; null: this id was never linked. */
  of(id: NodeId): string | null {
    return this.#keys.get(id)?.key ?? null
  }

  /** Whether `key` is the one known for `id`, the one it has announced, or the first. What is new is remembered. */
  agrees(id: NodeId, key: string): boolean {
    const known = this.#keys.get(id)
    if (known?.key === key) return true
    if (known !== undefined && known.next !== key) return false
    this.#set(id, { key, next: null })
    return true
  }

  /** Over a link of `id` itself: its next certificate may be for this key. */
  expect(id: NodeId, key: string): void {
    const known = this.#keys.get(id)
    if (known === undefined || known.key === key || known.next === key) return
    this.#set(id, { key: known.key, next: key })
  }

  /** The id is no member any more. */
  forget(id: NodeId): void {
    if (this.#keys.delete(id)) this.#write()
  }

  /** This box has left: whoever it meets next, it meets for the first time. */
  clear(): void {
    this.#keys.clear()
    this.#write()
  }

  #set(id: NodeId, known: Known): void {
    this.#keys.set(id, known)
    if (this.#keys.size > KEYS_MAX) {
      for (const oldest of this.#keys.keys()) {
        this.#keys.delete(oldest)
        break
      }
    }
    this.#write()
  }

  #write(): void {
    const entries = [...this.#keys].map(([id, { key, next }]) => [id, next === null ? key : [key, next]])
    const text = `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`
    this.#files.write(FILE, Buffer.from(text), false, (error) => {
      if (error !== null) this.#log.warn({ file: FILE, error: error.message }, 'keys of members not written')
    })
  }
}

/** A damaged file costs the memory of keys, not the start: links are proven by certificates. */
function readKeys(files: StateFiles, log: Log): [NodeId, Known][] {
  try {
    const bytes = files.read(FILE)
    if (bytes === null) return []
    const entries: [string, unknown][] = Object.entries(JSON.parse(bytes.toString('utf8')) as object)
    return entries
      .flatMap(([id, value]): [NodeId, Known][] => {
        const known = isId(id) ? readKnown(value) : null
        return known === null ? [] : [[id as NodeId, known]]
      })
      .slice(-KEYS_MAX)
  } catch (error) {
    if (!(error instanceof HostError || error instanceof SyntaxError || error instanceof TypeError)) throw error
    log.warn({ file: FILE, error: error.message }, 'keys of members not read; starting with none')
    return []
  }
}

/** `"key"`, or `["key", "next"]` while a renewal is under way. */
function readKnown(value: unknown): Known | null {
  if (typeof value === 'string') return { key: value, next: null }
  if (!Array.isArray(value)) return null
  const [key, next] = value as unknown[]
  return typeof key === 'string' && typeof next === 'string' ? { key, next } : null
}
