// State files that count only all together: a certificate, its key and its CA. They are written into one file first, so
// that a power cut at any moment leaves all of the old or all of the new; what was cut off is finished at the next start.

import { HostError } from '../../base/errors.ts'
import type { StateFiles } from '../../base/ports/files.ts'
import type { Log } from '../../base/ports/log.ts'

const FILE = 'together.json'

export interface Write {
  readonly name: string
  /** Empty: as if there were no such file. */
  readonly text: string
  readonly secret: boolean
}

type Done = (error: HostError | null) => void

export class Together {
  readonly #files: StateFiles
  #last: readonly Write[] | null = null
  readonly #waiting: { readonly writes: readonly Write[]; readonly done: Done }[] = []

  constructor(files: StateFiles) {
    this.#files = files
  }

  /** `done` gets null when all of it counts, also after a power cut from then on. */
  write(writes: readonly Write[], done: Done): void {
    this.#waiting.push({ writes, done })
    if (this.#waiting.length === 1) this.#next()
  }

  /** Finishes what an earlier run was cut off in; whoever read `settledFiles` has read what will stand there. */
  finish(log: Log, then: () => void): void {
    const failed = (error: HostError | null) => {
      if (error !== null) log.error({ why: error.message }, 'a renewal of certificates cannot be finished')
      then()
    }
    let left: readonly Write[]
    try {
      left = unfinished(this.#files)
    } catch (error) {
      if (error instanceof HostError) return failed(error)
      throw error
    }
    if (left.length === 0) then()
    else this.write(left, failed)
  }

  #next(): void {
    const job = this.#waiting[0]
    if (job === undefined) return
    // What was begun before and failed half-way still has to be written, unless it is written anew.
    const names = new Set(job.writes.map(({ name }) => name))
    const writes = [...(this.#last ?? []).filter(({ name }) => !names.has(name)), ...job.writes]
    this.#files.write(FILE, Buffer.from(JSON.stringify({ version: 1, writes })), true, (error) => {
      if (error !== null) return this.#ended(job.done, error)
      this.#last = writes
      // It counts from here on; that the files follow is for the next start to see to, if not for this one.
      this.#each(writes, (failed) => {
        if (failed !== null) return this.#ended(job.done, null)
        this.#files.write(FILE, Buffer.alloc(0), true, (left) => {
          if (left === null) this.#last = null
          this.#ended(job.done, null)
        })
      })
    })
  }

  #ended(done: Done, error: HostError | null): void {
    // Still the first of the line meanwhile: what is asked for in there must not begin beside the next one.
    done(error)
    this.#waiting.shift()
    this.#next()
  }

  #each([first, ...rest]: readonly Write[], done: Done): void {
    if (first === undefined) return done(null)
    this.#files.write(first.name, Buffer.from(first.text), first.secret, (error) =>
      error === null ? this.#each(rest, done) : done(error),
    )
  }
}

/** The files as they stand once what was cut off is finished. Throws HostError. */
export function settledFiles(files: Pick<StateFiles, 'read'>): Pick<StateFiles, 'read'> {
  const left = new Map(unfinished(files).map(({ name, text }) => [name, text]))
  return {
    read: (name) => {
      const text = left.get(name)
      return text === undefined ? files.read(name) : Buffer.from(text)
    },
  }
}

/** The file is replaced whole or not at all: one that makes no sense was changed by hand. */
function unfinished(files: Pick<StateFiles, 'read'>): readonly Write[] {
  const bytes = files.read(FILE)
  if (bytes === null || bytes.length === 0) return []
  const writes = parse(bytes.toString('utf8'))
  if (writes !== null) return writes
  throw new HostError('invalid', `${FILE}: damaged; it holds what a renewal of certificates was cut off in: remove it`)
}

function parse(text: string): readonly Write[] | null {
  try {
    const file = JSON.parse(text) as { writes?: unknown } | null
    const writes: unknown = file?.writes
    if (!Array.isArray(writes)) return null
    const whole = writes.every((each: Partial<Write> | null) => {
      return typeof each?.name === 'string' && typeof each.text === 'string' && typeof each.secret === 'boolean'
    })
    return whole ? (writes as Write[]) : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
