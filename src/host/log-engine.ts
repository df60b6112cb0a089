// The store's disk: a log in segments, each written over and over within room that was made before, and dropped whole.
// Every run begins a new segment, so that nothing is ever appended behind what a power cut tore.

import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostError } from '../base/errors.ts'
import type { OpenedEngine, StoreEngine } from '../base/ports/engine.ts'
import { hostError } from './host-errors.ts'
import {
  batchBytes,
  decodeSegmentHeader,
  encodeBatch,
  type LogFile,
  labelSegment,
  prepareSegment,
  readSegment,
  SEGMENT_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentFacts,
} from './log-segment.ts'

/** The file system as the log uses it; the tests bring one that remembers every write and flush. */
export interface LogDirectory {
  list(): Promise<readonly string[]>
  read(name: string): Promise<Buffer>
  open(name: string, make: boolean): Promise<LogFile>
  rename(from: string, to: string): Promise<void>
  remove(name: string): Promise<void>
  /** What was made, renamed and removed is so after a power cut too. */
  sync(): Promise<void>
}

interface Segment extends SegmentFacts {
  readonly name: string
  readonly length: number
  /** The number of its last batch; 0: none. */
  last: number
}

interface Current {
  readonly segment: Segment
  readonly file: LogFile
  at: number
}

const NAME = /^segment-(\d{12})$/
const SPARE = /^spare-(\d{12})$/
/** Segments kept for use again. */
const SPARES_MAX = 2

const nameOf = (number: number): string => `segment-${String(number).padStart(12, '0')}`

export class LogEngine implements StoreEngine {
  readonly #directory: LogDirectory
  /** Full ones, oldest first. */
  #segments: Segment[] = []
  #spares: { readonly name: string; readonly length: number }[] = []
  #current: Current | null = null
  #lastNumber = 0
  #lastBatch = 0
  #dropBelow = 0
  /** Work on the directory, one piece after the other. */
  #work: Promise<unknown> = Promise.resolve()

  constructor(directory: LogDirectory) {
    this.#directory = directory
  }

  get bytes(): number {
    const full = this.#segments.reduce((sum, { length }) => sum + length, 0)
    return full + (this.#current?.segment.length ?? 0)
  }

  open(batch: (number: number, bytes: Buffer) => void, done: (result: OpenedEngine | HostError) => void): void {
    this.#run(
      () => this.#open(batch),
      (result) => done(result),
    )
  }

  append(number: number, bytes: Buffer, done: (error: HostError | null) => void): void {
    this.#run(
      () => this.#append(number, bytes),
      (result) => done(result ?? null),
    )
  }

  drop(below: number): void {
    this.#dropBelow = below
    if (this.#segments[0] === undefined || this.#segments[0].last >= below) return
    // Room that cannot be given back is asked for again with the next drop.
    this.#run(
      () => this.#giveBack(),
      () => {},
    )
  }

  close(done: () => void): void {
    this.#run(
      () => this.#closeCurrent(),
      () => done(),
    )
  }

  /** One piece of work after the other; what it throws is the disk's word. `done` is called outside of the promise. */
  #run<T>(work: () => Promise<T>, done: (result: T | HostError) => void): void {
    this.#work = this.#work.then(work).then(
      (result) => setImmediate(done, result),
      (error: unknown) => setImmediate(done, hostError('the store', error)),
    )
  }

  async #open(batch: (number: number, bytes: Buffer) => void): Promise<OpenedEngine> {
    const damaged: string[] = []
    const names = [...(await this.#directory.list())].sort()
    for (const name of names) {
      const spare = SPARE.exec(name)
      const matched = NAME.exec(name)
      if (spare !== null) await this.#directory.remove(name)
      if (spare !== null) this.#lastNumber = Math.max(this.#lastNumber, Number(spare[1]))
      if (matched === null) continue
      const number = Number(matched[1])
      this.#lastNumber = Math.max(this.#lastNumber, number)
      const bytes = await this.#read(name, damaged)
      if (bytes === null) continue
      const facts = decodeSegmentHeader(bytes)
      if (facts === null || facts.number !== number) {
        // A segment is labelled before its first batch: one without a label that holds zeros was never used.
        if (bytes.some((byte) => byte !== 0) && facts === null) await this.#setAside(name, 'has no label', damaged)
        else await this.#directory.remove(name)
        continue
      }
      const { last, holes } = readSegment(bytes, facts.salt, this.#lastBatch, batch)
      if (holes > 0) damaged.push(`${name} is damaged in ${holes} places: what can be read was kept`)
      const used = last > this.#lastBatch
      this.#lastBatch = Math.max(this.#lastBatch, last)
      if (used) this.#segments.push({ ...facts, name, length: bytes.length, last })
      else await this.#directory.remove(name)
    }
    return { lastBatch: this.#lastBatch, damaged }
  }

  /** Null: it cannot be read, and was set aside. */
  async #read(name: string, damaged: string[]): Promise<Buffer | null> {
    try {
      return await this.#directory.read(name)
    } catch (error) {
      await this.#setAside(name, hostError(name, error).message, damaged)
      return null
    }
  }

  async #setAside(name: string, why: string, damaged: string[]): Promise<void> {
    const aside = `damaged-${name}`
    await this.#directory.rename(name, aside)
    damaged.push(`${name} ${why}: set aside as ${aside}`)
  }

  async #append(number: number, body: Buffer): Promise<void> {
    const length = batchBytes(body.length)
    if (this.#current === null || this.#current.at + length > this.#current.segment.length) await this.#next(length)
    const current = this.#current!
    const { file, segment } = current
    const bytes = encodeBatch(segment.salt, number, body)
    try {
      await writeAll(file, bytes, current.at)
      await file.datasync()
    } catch (error) {
      // What a failed flush left on the card nobody knows: nothing more is written here.
      await this.#closeCurrent().catch(() => {})
      throw error
    }
    current.at += length
    segment.last = number
    this.#lastBatch = number
  }

  /** Goes on in another segment, with room for `length` bytes. */
  async #next(length: number): Promise<void> {
    await this.#closeCurrent()
    const wanted = Math.max(SEGMENT_BYTES, Math.ceil((SEGMENT_HEADER_BYTES + length) / 4096) * 4096)
    const number = this.#lastNumber + 1
    const name = nameOf(number)
    const facts = { number, salt: randomBytes(4).readUInt32BE() }
    const spare = this.#spares.find((one) => one.length >= wanted)
    let file: LogFile
    let size = wanted
    this.#lastNumber = number
    if (spare === undefined) {
      file = await this.#directory.open(name, true)
      try {
        await prepareSegment(file, facts, wanted)
      } catch (error) {
        await file.close().catch(() => {})
        await this.#directory.remove(name).catch(() => {})
        throw error
      }
    } else {
      this.#spares = this.#spares.filter((one) => one !== spare)
      size = spare.length
      await this.#directory.rename(spare.name, name)
      file = await this.#directory.open(name, false)
      await labelSegment(file, facts)
    }
    await this.#directory.sync()
    this.#current = { segment: { ...facts, name, length: size, last: 0 }, file, at: SEGMENT_HEADER_BYTES }
  }

  async #closeCurrent(): Promise<void> {
    const current = this.#current
    if (current === null) return
    this.#current = null
    if (current.segment.last > 0) this.#segments.push(current.segment)
    await current.file.close()
    if (current.segment.last === 0) await this.#directory.remove(current.segment.name)
  }

  async #giveBack(): Promise<void> {
    for (let oldest = this.#segments[0]; oldest !== undefined && oldest.last < this.#dropBelow; ) {
      if (this.#spares.length < SPARES_MAX && oldest.length === SEGMENT_BYTES) {
        const spare = `spare-${oldest.name.slice(-12)}`
        await this.#directory.rename(oldest.name, spare)
        this.#spares.push({ name: spare, length: oldest.length })
      } else {
        await this.#directory.remove(oldest.name)
      }
      this.#segments.shift()
      oldest = this.#segments[0]
    }
  }
}

async function writeAll(file: LogFile, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done)
    done += bytesWritten
  }
}

/** The log's directory on a real disk. */
export function logDirectory(path: string): LogDirectory {
  const at = (name: string) => join(path, name)
  return {
    async list() {
      await mkdir(path, { recursive: true, mode: 0o700 })
      return readdir(path)
    },
    read: (name) => readFile(at(name)),
    open: (name, make) => open(at(name), make ? 'wx+' : 'r+', 0o600),
    rename: (from, to) => rename(at(from), at(to)),
    remove: (name) => rm(at(name), { force: true }),
    async sync() {
      const folder = await open(path, 'r')
      try {
        await folder.sync()
      } finally {
        await folder.close()
      }
    },
  }
}
