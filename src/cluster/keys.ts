// The key last seen for each node id, kept on disk: the same id with another key is somebody else with a certificate of
// ours, or a box that was set up again behind our back.

import { HostError } from '../base/errors.ts'
import { isId, type NodeId } from '../base/ids.ts'
import type { StateFiles } from '../base/ports/files.ts'
import type { Log } from '../base/ports/log.ts'

const FILE = 'keys.json'
const KEYS_MAX = 1024

export class KnownKeys {
  readonly #files: StateFiles
  readonly #log: Log
  readonly #keys = new Map<NodeId, string>()

  constructor(files: StateFiles, log: Log) {
    this.#files = files
    this.#log = log
    for (const [id, key] of readKeys(files, log)) this.#keys.set(id, key)
  }

  /** Whether `key` is the one known for `id`, or the first. A first one is remembered. */
  agrees(id: NodeId, key: string): boolean {
    const known = this.#keys.get(id)
    if (known !== undefined) return known === key
    this.#keys.set(id, key)
    if (this.#keys.size > KEYS_MAX) {
      for (const oldest of this.#keys.keys()) {
        this.#keys.delete(oldest)
        break
      }
    }
    this.#write()
    return true
  }

  #write(): void {
    const text = `${JSON.stringify(Object.fromEntries(this.#keys), null, 2)}\n`
    this.#files.write(FILE, Buffer.from(text), false, (error) => {
      if (error !== null) this.#log.warn({ file: FILE, error: error.message }, 'keys of members not written')
    })
  }
}

/** A damaged file costs the memory of keys, not the start: links are proven by certificates. */
function readKeys(files: StateFiles, log: Log): [NodeId, string][] {
  try {
    const bytes = files.read(FILE)
    if (bytes === null) return []
    const entries: [string, unknown][] = Object.entries(JSON.parse(bytes.toString('utf8')) as object)
    return entries
      .filter((entry): entry is [NodeId, string] => isId(entry[0]) && typeof entry[1] === 'string')
      .slice(-KEYS_MAX)
  } catch (error) {
    if (!(error instanceof HostError || error instanceof SyntaxError || error instanceof TypeError)) throw error
    log.warn({ file: FILE, error: error.message }, 'keys of members not read; starting with none')
    return []
  }
}
