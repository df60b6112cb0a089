// Up to which record each box's copies had come when they were last complete: kept over a restart, so that a box that
// was cut off, or alone, knows then what nobody else can have.

import type { CopyMarks } from './copies.ts'

/** Values with names that outlive a run (the store's keyed records). */
export interface NamedValues {
  get(space: string, key: string): Buffer | null
  put(space: string, key: string, value: Buffer): unknown
  remove(space: string, key: string): void
  keys(space: string): readonly string[]
}

const SPACE = 'copies'
const BYTES = 6

export class KeptMarks implements CopyMarks {
  readonly #values: NamedValues

  constructor(values: NamedValues) {
    this.#values = values
  }

  get(name: string): number | null {
    const value = this.#values.get(SPACE, name)
    return value === null || value.length !== BYTES ? null : value.readUIntBE(0, BYTES)
  }

  put(name: string, recordId: number): void {
    const value = Buffer.alloc(BYTES)
    value.writeUIntBE(recordId, 0, BYTES)
    this.#values.put(SPACE, name, value)
  }

  remove(name: string): void {
    if (this.#values.get(SPACE, name) !== null) this.#values.remove(SPACE, name)
  }

  names(): readonly string[] {
    return this.#values.keys(SPACE)
  }
}

/** Without a store nothing outlives a run, so nothing has to be known of it then. */
export class PassingMarks implements CopyMarks {
  readonly #marks = new Map<string, number>()

  get(name: string): number | null {
    return this.#marks.get(name) ?? null
  }

  put(name: string, recordId: number): void {
    this.#marks.set(name, recordId)
  }

  remove(name: string): void {
    this.#marks.delete(name)
  }

  names(): readonly string[] {
    return [...this.#marks.keys()]
  }
}
