// Peers remembered on disk, so that a LAN that filters broadcast after the first day still finds itself.

import { HostError } from '../../base/errors.ts'
import { isId, type NodeId } from '../../base/ids.ts'
import type { Clock, Timer } from '../../base/ports/clock.ts'
import type { StateFiles } from '../../base/ports/files.ts'
import type { Log } from '../../base/ports/log.ts'
import type { Endpoint } from '../../base/ports/streams.ts'

export interface Remembered {
  readonly node: NodeId
  readonly endpoint: Endpoint
}

const FILE = 'peers.json'
/** The peers linked last are kept, each with where it was linked last: a few kilobytes. */
const REMEMBERED_MAX = 64
const FILE_BYTES_MAX = 64 * 1024
/** SD cards wear out: changes of address of this time are written together. */
const WRITE_AFTER_MS = 5000

export interface MemoryWorld {
  readonly clock: Clock
  readonly files: StateFiles
  readonly log: Log
}

export class Memory {
  readonly #world: MemoryWorld
  /** Linked last comes last. */
  readonly #peers = new Map<NodeId, Endpoint>()
  #timer: Timer | null = null
  #writing = false
  #changed = false
  /** How long the change may wait. */
  #afterMs = WRITE_AFTER_MS

  constructor(world: MemoryWorld) {
    this.#world = world
  }

  /** Reads the file. A damaged one costs nothing but memory: it is passed over with a word in the log. */
  load(): readonly Remembered[] {
    try {
      const bytes = this.#world.files.read(FILE)
      for (const { node, endpoint } of parsePeers(bytes)) this.#peers.set(node, endpoint)
    } catch (error) {
      if (!(error instanceof HostError || error instanceof SyntaxError)) throw error
      this.#world.log.warn({ file: FILE, why: error.message }, 'remembered peers cannot be read, starting without')
    }
    return [...this.#peers].map(([node, endpoint]) => ({ node, endpoint }))
  }

  /** A link to `node` is up and can be dialled at `endpoint`. */
  linked(node: NodeId, endpoint: Endpoint): void {
    const known = this.#peers.get(node)
    if (known !== undefined && known.port === endpoint.port && known.address === endpoint.address) return
    this.#peers.delete(node)
    this.#peers.set(node, endpoint)
    const oldest = this.#peers.keys().next()
    if (this.#peers.size > REMEMBERED_MAX && oldest.done !== true) this.#peers.delete(oldest.value)
    // Whom it does not remember after a restart, a box keeps no messages for: no day is too early to write that down.
    this.#touch(known === undefined ? 0 : WRITE_AFTER_MS)
  }

  /** The node has left or was removed. */
  forget(node: NodeId): void {
    if (this.#peers.delete(node)) this.#touch()
  }

  /** This box has left its cluster. */
  clear(): void {
    this.#peers.clear()
    this.#touch()
  }

  /** Writes what is not written yet. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#write()
  }

  #touch(afterMs = WRITE_AFTER_MS): void {
    this.#changed = true
    this.#afterMs = Math.min(this.#afterMs, afterMs)
    if (this.#writing) return
    if (this.#timer !== null && afterMs > 0) return
    this.#timer?.cancel()
    this.#timer = this.#world.clock.after(this.#afterMs, 'cluster.memory', () => {
      this.#timer = null
      this.#write()
    })
  }

  #write(): void {
    if (!this.#changed || this.#writing) return
    this.#changed = false
    this.#afterMs = WRITE_AFTER_MS
    this.#writing = true
    const peers = [...this.#peers].map(([node, { address, port }]) => ({ node, address, port }))
    this.#world.files.write(FILE, Buffer.from(`${JSON.stringify({ peers }, null, 2)}\n`), false, (error) => {
      this.#writing = false
      if (error !== null) this.#world.log.warn({ file: FILE, why: error.message }, 'remembered peers cannot be written')
      // Also after an error: the next change tries again.
      if (this.#changed) this.#touch(this.#afterMs)
    })
  }
}

/** Throws SyntaxError for what is not JSON; passes over entries that make no sense. */
export function parsePeers(bytes: Buffer | null): Remembered[] {
  if (bytes === null || bytes.length === 0) return []
  if (bytes.length > FILE_BYTES_MAX) throw new SyntaxError(`${bytes.length} bytes are too many`)
  const file: unknown = JSON.parse(bytes.toString('utf8'))
  const peers: unknown = isRecord(file) ? file['peers'] : null
  if (!Array.isArray(peers)) throw new SyntaxError('no list of peers')
  const found: Remembered[] = []
  for (const peer of peers.slice(-REMEMBERED_MAX)) {
    if (!isRecord(peer)) continue
    const { node, address, port } = peer
    if (typeof node !== 'string' || !isId(node)) continue
    if (typeof address !== 'string' || address === '' || address.length > 255) continue
    if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 0xffff) continue
    found.push({ node: node as NodeId, endpoint: { address, port } })
  }
  return found
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
