// A record as it was found on disk, until somebody knows what it means; of a kind from a later version, for ever.

import type { ByteWriter } from '../base/bytes.ts'
import type { Recordable } from '../wire/record/batch.ts'

export class Raw implements Recordable {
  readonly kind: number
  readonly body: Buffer
  /** The store's age when it was written. */
  readonly ageMs: number

  constructor(kind: number, body: Buffer, ageMs: number) {
    this.kind = kind
    this.body = body
    this.ageMs = ageMs
  }

  write(into: ByteWriter): void {
    into.raw(this.body)
  }
}
