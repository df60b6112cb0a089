// A batch of stored records: what one commit writes, whole or not at all.
//
//   batch  1 | flags u8 | age u48 | wall u48 | item ...
//   item   kind u8 | id u48 | length u32 | body          kind 0: the record `id` is removed, no length, no body
//
// flags: bit 0: the wall clock was synchronised. age: milliseconds on the store's own clock, which runs while the node
// runs and over a pause only where both its ends had a synchronised clock; what is left of durations in bodies is
// counted from here. A record written again under its id replaces the earlier one. Unknown kinds are kept as they are.
// A body may be longer than its reader knows: later versions add fields at the end (copy positions, stand-in state).

import { ByteReader, ByteWriter } from '../../base/bytes.ts'

const VERSION = 1
const SYNCHRONISED = 0x01

/** Kinds of records; numbers are only ever added. */
export const RecordKind = {
  removed: 0,
  keyed: 1,
  session: 2,
  subscription: 3,
  message: 4,
  delivery: 5,
  begun: 6,
  retained: 7,
  shared: 8,
  horizon: 9,
  parked: 10,
  arrival: 11,
  completed: 12,
  route: 13,
  unsubscribed: 14,
} as const

/** A record: a number for life, and what is to be written under it; null: it was removed. */
export interface Numbered {
  readonly id: number
  readonly value: Recordable | null
}

/** A value that can be written as the body of a record, at any time and again. */
export interface Recordable {
  readonly kind: number
  /** The record of the session that it belongs to, if it is part of one: copied and moved with that. */
  readonly sessionRecord?: Numbered | null
  /** The record of the message that it is about, if it is about one. */
  readonly messageRecord?: Numbered | undefined
  /** `nowMs`: monotonic, for what is left of durations. */
  write(into: ByteWriter, nowMs: number): void
}

export interface BatchTime {
  readonly ageMs: number
  readonly wallMs: number
  readonly synchronised: boolean
}

export class BatchWriter {
  readonly #writer = new ByteWriter(4096)
  readonly #nowMs: number
  #empty = true

  constructor(time: BatchTime, nowMs: number) {
    this.#nowMs = nowMs
    this.#writer
      .u8(VERSION)
      .u8(time.synchronised ? SYNCHRONISED : 0)
      .u48(Math.max(0, Math.floor(time.ageMs)))
      .u48(Math.max(0, Math.floor(time.wallMs)))
  }

  get empty(): boolean {
    return this.#empty
  }

  /** Returns the bytes that it took. */
  put(id: number, value: Recordable): number {
    this.#empty = false
    const at = this.#writer.u8(value.kind).u48(id).length32()
    value.write(this.#writer, this.#nowMs)
    return this.#writer.behind(at) + 11
  }

  remove(id: number): void {
    this.#empty = false
    this.#writer.u8(RecordKind.removed).u48(id)
  }

  done(): Buffer {
    return this.#writer.done()
  }
}

export interface BatchReading {
  /** `body` is a view: copy what outlives the batch. */
  put(id: number, kind: number, body: Buffer): void
  removed(id: number): void
}

/** Reads a batch; null when it is not one of ours, or when its end is missing. */
export function readBatch(bytes: Buffer, reading: BatchReading): BatchTime | null {
  const reader = new ByteReader(bytes)
  if (reader.u8() !== VERSION) return null
  const flags = reader.u8()
  const time = { ageMs: reader.u48(), wallMs: reader.u48(), synchronised: (flags & SYNCHRONISED) !== 0 }
  while (reader.remaining > 0 && !reader.broken) {
    const kind = reader.u8()
    const id = reader.u48()
    if (kind === RecordKind.removed) {
      if (!reader.broken) reading.removed(id)
      continue
    }
    const body = reader.view(reader.u32())
    if (!reader.broken) reading.put(id, kind, body)
  }
  return reader.broken ? null : time
}
