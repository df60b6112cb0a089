// The small files a node keeps in its state directory (identity, certificate, remembered peers): whole, named, written
// by replacing. What must survive per message is the store's, not this.

import type { HostError } from '../errors.ts'

export interface StateFiles {
  /** The file's bytes, or null when there is none. Throws HostError when it cannot be read. */
  read(name: string): Buffer | null
  /**
   * Replaces the file: temporary file, flush, rename, flush of the directory. `secret` files are readable by the
   * service alone (0600). Writes of one name keep their order; `done` gets null when it is on disk.
   */
  write(name: string, bytes: Buffer, secret: boolean, done: (error: HostError | null) => void): void
}
