// The state directory behind the StateFiles port: whole files, replaced so that a power cut leaves the old or the new.

import { readFileSync } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { assert, type HostError } from '../base/errors.ts'
import type { StateFiles } from '../base/ports/files.ts'
import { errorCode, hostError } from './host-errors.ts'

const SECRET = 0o600
const OPEN = 0o644

export class HostFiles implements StateFiles {
  readonly #directory: string
  /** The last write of each name that is under way; the next one waits for it. */
  readonly #writing = new Map<string, Promise<void>>()

  constructor(directory: string) {
    this.#directory = directory
  }

  read(name: string): Buffer | null {
    const path = this.#path(name)
    try {
      return readFileSync(path)
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return null
      throw hostError(path, error)
    }
  }

  write(name: string, bytes: Buffer, secret: boolean, done: (error: HostError | null) => void): void {
    const path = this.#path(name)
    const content = Buffer.from(bytes)
    const before = this.#writing.get(name) ?? Promise.resolve()
    const written = before
      .then(() => replace(this.#directory, name, content, secret ? SECRET : OPEN))
      .then(
        () => null,
        (error: unknown) => hostError(path, error),
      )
      .then((error) => {
        if (this.#writing.get(name) === written) this.#writing.delete(name)
        // Outside of the promise: what `done` throws is not this file's failure.
        setImmediate(done, error)
      })
    this.#writing.set(name, written)
  }

  #path(name: string): string {
    assert(/^[\w][\w.-]*$/.test(name), `not a plain file name: ${name}`)
    return join(this.#directory, name)
  }
}

/** The old content or the new, never a part: the rename is what makes it so, the two flushes make it last. */
async function replace(directory: string, name: string, bytes: Buffer, mode: number): Promise<void> {
  await makeDirectory(directory)
  const temporary = join(directory, `.${name}.new`)
  // What a power cut left behind may have another mode.
  await rm(temporary, { force: true })
  const file = await open(temporary, 'wx', mode)
  try {
    // The mode asked for at opening is narrowed by the umask of whoever started us.
    await file.chmod(mode)
    await file.writeFile(bytes)
    await file.sync()
  } catch (error) {
    await file.close()
    await rm(temporary, { force: true })
    throw error
  }
  await file.close()
  await rename(temporary, join(directory, name))
  const folder = await open(directory, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Not by `recursive`: where the kernel answers "no such directory" to making one (/proc), that tries for ever. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return
    if (errorCode(error) !== 'ENOENT' || dirname(path) === path) throw error
    await makeDirectory(dirname(path))
    await mkdir(path, { mode: 0o700 })
  }
}
