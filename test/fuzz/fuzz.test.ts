import { describe, expect, test } from 'vitest'
import type { ByteStream, StreamHandler } from '../../src/base/ports/streams.ts'
import { Round } from './memory.ts'

const ROUNDS = 8
const MISSIONS = 200

test('good and spoilt packets: the answers of the standard, no crash, no leak, a neighbour undisturbed', () => {
  let packets = 0
  for (let round = 0; round < ROUNDS; round++) {
    const result = new Round(`seed test, round ${round}`, round % 3 === 2).run(MISSIONS)
    expect(result.problems).toEqual([])
    packets += result.packets
  }
  expect(packets).toBeGreaterThan(ROUNDS * MISSIONS * 4)
})

/** A stream between broker and client that is not quite honest. */
class Tampered implements ByteStream {
  readonly #inner: ByteStream
  readonly #change: Change

  constructor(inner: ByteStream, change: Change) {
    this.#inner = inner
    this.#change = change
  }
  get local() {
    return this.#inner.local
  }
  get remote() {
    return this.#inner.remote
  }
  get pendingBytes() {
    return this.#inner.pendingBytes
  }
  open(handler: StreamHandler): void {
    this.#inner.open(handler)
  }
  write(bytes: Buffer): boolean {
    return this.#inner.write(this.#change.write?.(bytes) ?? bytes)
  }
  pause(): void {
    this.#inner.pause()
  }
  resume(): void {
    this.#inner.resume()
  }
  end(): void {
    if (this.#change.keepsOpen !== true) this.#inner.end()
  }
  destroy(): void {
    if (this.#change.keepsOpen !== true) this.#inner.destroy()
  }
}

interface Change {
  readonly write?: (bytes: Buffer) => Buffer
  readonly keepsOpen?: boolean
}

describe('the fuzzer sees', () => {
  test.each<[string, Change, RegExp]>([
    ['a close that does not come', { keepsOpen: true }, /not closed/],
    [
      'an answer with another id',
      { write: changed(0x50, (packet) => packet.fill(9, 3, 4)) },
      /not asked for|neighbour/,
    ],
    [
      'a SUBACK that grants what was refused',
      { write: changed(0x90, (packet) => packet.fill(0, packet.length - 1)) },
      /not asked for/,
    ],
    ['half a packet', { write: (bytes) => bytes.subarray(0, bytes.length - 1) }, /not whole packets|neighbour/],
    ['a DISCONNECT that says all is well', { write: changed(0xe0, (packet) => packet.fill(0, 2, 3)) }, /with reason 0/],
    [
      'an answer twice',
      { write: (bytes) => (bytes[0] === 0xd0 ? Buffer.concat([bytes, bytes]) : bytes) },
      /not asked for/,
    ],
  ])('%s', (_name, change, expected) => {
    const problems: string[] = []
    for (let round = 0; round < 4 && problems.length === 0; round++) {
      const tampered = (stream: ByteStream) => new Tampered(stream, change)
      problems.push(...new Round(`planted, round ${round}`, false, tampered).run(MISSIONS).problems)
    }
    expect(problems.join()).toMatch(expected)
  })

  test('a broker that throws', () => {
    const broken = { write: () => raise() }
    expect(() => new Round('planted', false, (stream) => new Tampered(stream, broken)).run(1)).toThrow('planted')
  })
})

/** Packets of this first byte in a write, changed in place; a write holds whole packets. */
function changed(first: number, change: (packet: Buffer) => void): (bytes: Buffer) => Buffer {
  return (bytes) => {
    const out = Buffer.from(bytes)
    for (let at = 0; at < out.length; ) {
      let length = 0
      let index = at + 1
      for (let shift = 0; ; shift += 7) {
        length += (out[index]! & 127) << shift
        if (out[index++]! < 128) break
      }
      if (out[at] === first) change(out.subarray(at, index + length))
      at = index + length
    }
    return out
  }
}

function raise(): never {
  throw new Error('planted')
}
