// A card and its file system as a power cut finds them: every write, flush, rename and removal of the log's directory is
// remembered in order, and what the card may hold after a cut at any of them can be built. Flushed bytes are there; of
// those not flushed all, none, or sectors of 512 bytes by chance; of changes to the directory since its last flush, those
// up to some moment, as a journal keeps them.

import type { LogDirectory } from '../src/host/log-engine.ts'
import type { LogFile } from '../src/host/log-segment.ts'

type Step =
  | { readonly at: 'write'; readonly inode: number; readonly offset: number; readonly bytes: Buffer }
  | { readonly at: 'flush'; readonly inode: number }
  | { readonly at: 'make' | 'remove'; readonly name: string; readonly inode: number }
  | { readonly at: 'rename'; readonly from: string; readonly to: string }
  | { readonly at: 'flush-directory' }

export type Unflushed = 'kept' | 'dropped' | 'torn'

const SECTOR = 512

class Inode {
  bytes = Buffer.alloc(0)
  readonly number: number
  constructor(number: number) {
    this.number = number
  }

  write(offset: number, bytes: Buffer): void {
    if (offset + bytes.length > this.bytes.length) {
      this.bytes = Buffer.concat([this.bytes, Buffer.alloc(offset + bytes.length - this.bytes.length)])
    }
    bytes.copy(this.bytes, offset)
  }
}

export class Card implements LogDirectory {
  readonly steps: Step[] = []
  readonly #names = new Map<string, Inode>()
  readonly #flushes: boolean
  #inodes = 0
  /** What the disk says to the next writes; null: they succeed. */
  failing: NodeJS.ErrnoException | null = null

  /** `flushes` false: a liar of a card that acknowledges flushes and does not do them. */
  constructor(flushes = true, files: ReadonlyMap<string, Buffer> = new Map()) {
    this.#flushes = flushes
    for (const [name, bytes] of files) this.#make(name).bytes = Buffer.from(bytes)
  }

  list(): Promise<readonly string[]> {
    return Promise.resolve([...this.#names.keys()])
  }

  read(name: string): Promise<Buffer> {
    return Promise.resolve(Buffer.from(this.#names.get(name)!.bytes))
  }

  open(name: string, make: boolean): Promise<LogFile> {
    if (make && this.failing !== null) return Promise.reject(this.failing)
    if (make) {
      const inode = this.#make(name)
      this.steps.push({ at: 'make', name, inode: inode.number })
    }
    return Promise.resolve(this.#file(this.#names.get(name)!))
  }

  rename(from: string, to: string): Promise<void> {
    this.#names.set(to, this.#names.get(from)!)
    this.#names.delete(from)
    this.steps.push({ at: 'rename', from, to })
    return Promise.resolve()
  }

  remove(name: string): Promise<void> {
    const inode = this.#names.get(name)
    if (inode !== undefined) this.steps.push({ at: 'remove', name, inode: inode.number })
    this.#names.delete(name)
    return Promise.resolve()
  }

  sync(): Promise<void> {
    if (this.#flushes) this.steps.push({ at: 'flush-directory' })
    return Promise.resolve()
  }

  /** Spoils `length` bytes of a file, as a worn cell does. */
  spoil(name: string, offset: number, length: number): void {
    this.#names.get(name)!.bytes.fill(0x5a, offset, offset + length)
  }

  /** What is on the card when the power goes before step `cut`. */
  after(cut: number, unflushed: Unflushed, chance: () => number): Card {
    return new Card(true, this.#filesAt(cut, unflushed, chance))
  }

  #filesAt(cut: number, unflushed: Unflushed, chance: () => number): Map<string, Buffer> {
    const steps = this.steps.slice(0, cut)
    const flushed = new Map<number, number>()
    let directory = 0
    for (const [index, step] of steps.entries()) {
      if (step.at === 'flush') flushed.set(step.inode, index)
      if (step.at === 'flush-directory') directory = index
    }
    const until =
      unflushed === 'kept'
        ? cut
        : unflushed === 'dropped'
          ? directory
          : directory + Math.floor(chance() * (cut - directory + 1))
    const names = new Map<string, Inode>()
    const inodes = new Map<number, Inode>()
    for (const [index, step] of steps.entries()) {
      if (step.at === 'write') {
        const inode = inodes.get(step.inode)!
        if (index < (flushed.get(step.inode) ?? -1) || unflushed === 'kept') inode.write(step.offset, step.bytes)
        else if (unflushed === 'torn') tear(inode, step.offset, step.bytes, chance)
        continue
      }
      // An inode is there as soon as it is written to; whether it has a name is the directory's word.
      if (step.at === 'make') inodes.set(step.inode, new Inode(step.inode))
      if (index >= until) continue
      if (step.at === 'make') names.set(step.name, inodes.get(step.inode)!)
      if (step.at === 'remove') names.delete(step.name)
      if (step.at === 'rename') {
        names.set(step.to, names.get(step.from)!)
        names.delete(step.from)
      }
    }
    return new Map([...names].map(([name, { bytes }]) => [name, bytes]))
  }

  #make(name: string): Inode {
    const inode = new Inode(++this.#inodes)
    this.#names.set(name, inode)
    return inode
  }

  #file(inode: Inode): LogFile {
    const flush = () => {
      if (this.failing !== null) return Promise.reject(this.failing)
      if (this.#flushes) this.steps.push({ at: 'flush', inode: inode.number })
      return Promise.resolve()
    }
    const write = (bytes: Buffer, start: number, length: number, offset: number) => {
      if (this.failing !== null) return Promise.reject(this.failing)
      const copy = Buffer.from(bytes.subarray(start, start + length))
      inode.write(offset, copy)
      this.steps.push({ at: 'write', inode: inode.number, offset, bytes: copy })
      return Promise.resolve({ bytesWritten: length, buffer: bytes })
    }
    return { write, datasync: flush, sync: flush, close: () => Promise.resolve() } as unknown as LogFile
  }
}

function tear(inode: Inode, offset: number, bytes: Buffer, chance: () => number): void {
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + SECTOR - ((offset + at) % SECTOR))
    if (chance() < 0.6) inode.write(offset + at, bytes.subarray(at, end))
    at = end
  }
}
