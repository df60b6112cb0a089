// What every Streams must do. Each suite is a function of the world it runs in, called for the host and the simulator.

import { afterEach, describe, expect, test } from 'vitest'
import { HostError } from '../../src/base/errors.ts'
import type { ByteStream, Listening, StreamHandler, Streams } from '../../src/base/ports/streams.ts'
import type { World } from './world.ts'

export interface StreamsWorld extends World {
  /** Of the machine that listens, and of the one that dials; they may be one. */
  readonly server: Streams
  readonly client: Streams
  /** Where the first is reached. */
  readonly address: string
  /** TLS takes the next write when the last one has left. */
  readonly oneWriteAtATime?: boolean
}

const MiB = 1024 * 1024

/** Keeps what it is told, and checks that nothing comes after `closed`. */
export class Notes implements StreamHandler {
  readonly chunks: Buffer[] = []
  bytes = 0
  drains = 0
  ends: (string | null)[] = []
  onBytes: (bytes: Buffer) => void = () => {}

  received(buffer: Buffer, start: number, end: number): void {
    expect(this.ends).toEqual([])
    expect(end).toBeGreaterThan(start)
    // Copied as the contract demands: the buffer is the host's.
    const copy = Buffer.from(buffer.subarray(start, end))
    this.chunks.push(copy)
    this.bytes += copy.length
    this.onBytes(copy)
  }

  drained(): void {
    expect(this.ends).toEqual([])
    this.drains++
  }

  closed(why: string | null): void {
    this.ends.push(why)
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }
}

export interface Pair {
  readonly accepted: ByteStream
  readonly dialled: ByteStream
}

/** Listens on a free port, dials it, and gives both ends, not yet opened. */
export async function connectedPair(world: StreamsWorld): Promise<Pair> {
  const accepted: ByteStream[] = []
  const listening = await listen(world, world.address, 0, (stream) => accepted.push(stream))
  if (listening instanceof HostError) throw listening
  const dialled = await dial(world, listening.port)
  if (dialled instanceof HostError) throw dialled
  await world.until(() => accepted.length === 1, 'the connection to be accepted')
  listening.close()
  return { accepted: accepted[0]!, dialled }
}

async function listen(
  world: StreamsWorld,
  address: string,
  port: number,
  accepted: (stream: ByteStream) => void,
): Promise<Listening | HostError> {
  let result: Listening | HostError | null = null
  world.server.listen({ address, port }, accepted, (listening) => {
    expect(result).toBeNull()
    result = listening
  })
  await world.until(() => result !== null, 'listen to answer')
  return result!
}

async function dial(world: StreamsWorld, port: number, timeoutMs = 2000): Promise<ByteStream | HostError> {
  let result: ByteStream | HostError | null = null
  world.client.dial({ address: world.address, port }, timeoutMs, (stream) => {
    expect(result).toBeNull()
    result = stream
  })
  await world.until(() => result !== null, 'dial to answer')
  return result!
}

export function streamsContract(name: string, make: () => StreamsWorld): void {
  describe(`Streams of ${name}`, () => {
    let world: StreamsWorld
    const streams: ByteStream[] = []
    const begin = async (): Promise<Pair> => {
      world = make()
      const pair = await connectedPair(world)
      streams.push(pair.accepted, pair.dialled)
      return pair
    }
    afterEach(() => {
      for (const stream of streams.splice(0)) stream.destroy()
      world.close()
    })

    test('a listener on port 0 tells the port it was given', async () => {
      world = make()
      const listening = await listen(world, world.address, 0, () => {})
      if (listening instanceof HostError) throw listening
      expect(listening.port).toBeGreaterThan(0)
      listening.close()
    })

    test('a port that is taken is unavailable, and the error names it', async () => {
      world = make()
      const first = await listen(world, world.address, 0, () => {})
      if (first instanceof HostError) throw first
      const second = await listen(world, world.address, first.port, () => {})
      expect(second).toBeInstanceOf(HostError)
      expect(second).toMatchObject({ kind: 'unavailable', message: expect.stringContaining(String(first.port)) })
      first.close()
    })

    test('both ends agree on who is where', async () => {
      const { accepted, dialled } = await begin()
      expect(dialled.remote).toEqual(accepted.local)
      expect(accepted.remote).toEqual(dialled.local)
      expect(dialled.remote.address).toBe(world.address)
    })

    test('bytes arrive whole and in order, both ways', async () => {
      const { accepted, dialled } = await begin()
      const [left, right] = [new Notes(), new Notes()]
      accepted.open(left)
      dialled.open(right)
      for (const part of ['a', 'bc', 'def']) dialled.write(Buffer.from(part))
      accepted.write(Buffer.from('xyz'))
      await world.until(() => left.bytes === 6 && right.bytes === 3, 'the bytes')
      expect([left.text, right.text]).toEqual(['abcdef', 'xyz'])
    })

    test('what is sent before the other end opens is kept for it', async () => {
      const { accepted, dialled } = await begin()
      const [left, right] = [new Notes(), new Notes()]
      dialled.open(right)
      dialled.write(Buffer.from('early'))
      accepted.write(Buffer.from('first'))
      await world.until(() => right.bytes === 5, 'the bytes of the end that was not opened')
      accepted.open(left)
      await world.until(() => left.bytes === 5, 'the early bytes')
      expect(left.text).toBe('early')
    })

    test('a small write is taken at once, and the buffer may be used again', async () => {
      const { accepted, dialled } = await begin()
      const notes = new Notes()
      accepted.open(notes)
      dialled.open(new Notes())
      const buffer = Buffer.from('one')
      expect(dialled.write(buffer)).toBe(true)
      if (world.oneWriteAtATime === true) await world.until(() => dialled.pendingBytes === 0, 'the first to leave')
      buffer.write('two')
      expect(dialled.write(buffer)).toBe(true)
      await world.until(() => notes.bytes === 6, 'both writes')
      expect(notes.text).toBe('onetwo')
      expect(dialled.pendingBytes).toBe(0)
    })

    test('a paused reader holds 10 MiB back at the writer, and loses none of it', async () => {
      const { accepted, dialled } = await begin()
      const [reader, writer] = [new Notes(), new Notes()]
      accepted.open(reader)
      dialled.open(writer)
      accepted.pause()
      const piece = (index: number) => Buffer.alloc(64 * 1024, index)
      let refused = 0
      for (let index = 0; index < 160; index++) {
        if (!dialled.write(piece(index))) refused++
      }
      expect(refused).toBeGreaterThan(0)
      expect(dialled.pendingBytes).toBeGreaterThan(0)
      expect(writer.drains).toBe(0)
      expect(reader.bytes).toBeLessThan(10 * MiB)
      accepted.resume()
      await world.until(() => reader.bytes === 10 * MiB && writer.drains > 0, '10 MiB and a drain')
      expect(dialled.pendingBytes).toBe(0)
      const all = Buffer.concat(reader.chunks)
      for (let index = 0; index < 160; index++) expect(all[index * 64 * 1024]).toBe(index)
    })

    test('pause within received stops at once; resume goes on', async () => {
      const { accepted, dialled } = await begin()
      const notes = new Notes()
      notes.onBytes = () => accepted.pause()
      accepted.open(notes)
      dialled.open(new Notes())
      dialled.write(Buffer.from('one'))
      await world.until(() => notes.bytes === 3, 'the first bytes')
      dialled.write(Buffer.from('two'))
      const echo = new Notes()
      dialled.open(echo)
      accepted.write(Buffer.from('still writing'))
      await world.until(() => echo.bytes === 13, 'the other direction')
      expect(notes.text).toBe('one')
      accepted.resume()
      await world.until(() => notes.bytes === 6, 'the rest')
      expect(notes.text).toBe('onetwo')
    })

    test('a second open changes hands: only the new handler hears the rest', async () => {
      const { accepted, dialled } = await begin()
      const [first, second] = [new Notes(), new Notes()]
      first.onBytes = () => accepted.open(second)
      accepted.open(first)
      dialled.open(new Notes())
      dialled.write(Buffer.from('hello'))
      await world.until(() => first.bytes === 5, 'the first hand')
      dialled.write(Buffer.from('again'))
      await world.until(() => second.bytes === 5, 'the second hand')
      dialled.end()
      await world.until(() => second.ends.length === 1, 'the end')
      expect([first.text, second.text, first.ends, second.ends]).toEqual(['hello', 'again', [], [null]])
    })

    test('end flushes what was written; both sides close in good order', async () => {
      const { accepted, dialled } = await begin()
      const [left, right] = [new Notes(), new Notes()]
      accepted.open(left)
      dialled.open(right)
      for (let index = 0; index < 32; index++) dialled.write(Buffer.alloc(64 * 1024, 1))
      dialled.end()
      await world.until(() => left.ends.length === 1 && right.ends.length === 1, 'both ends to close')
      expect(left.bytes).toBe(2 * MiB)
      expect([left.ends, right.ends]).toEqual([[null], [null]])
    })

    test('after end nothing more is received, whatever the other side still sends', async () => {
      const { accepted, dialled } = await begin()
      const [left, right] = [new Notes(), new Notes()]
      accepted.open(left)
      dialled.open(right)
      accepted.end()
      dialled.write(Buffer.from('too late'))
      await world.until(() => left.ends.length === 1 && right.ends.length === 1, 'both ends to close')
      expect(left.text).toBe('')
    })

    test('destroy within received: nothing more comes, and closed comes once', async () => {
      const { accepted, dialled } = await begin()
      const [left, right] = [new Notes(), new Notes()]
      left.onBytes = () => accepted.destroy()
      accepted.open(left)
      dialled.open(right)
      dialled.write(Buffer.from('a'))
      await world.until(() => left.ends.length === 1 && right.ends.length === 1, 'both ends to close')
      dialled.write(Buffer.from('b'))
      expect([left.text, left.ends, right.ends.length]).toEqual(['a', [null], 1])
    })

    test('destroy does not call closed from within', async () => {
      const { accepted, dialled } = await begin()
      const notes = new Notes()
      accepted.open(notes)
      dialled.open(new Notes())
      accepted.destroy()
      expect(notes.ends).toEqual([])
      await world.until(() => notes.ends.length === 1, 'the close')
      expect(notes.ends).toEqual([null])
    })

    test('everything is harmless after closing', async () => {
      const { accepted, dialled } = await begin()
      const notes = new Notes()
      accepted.open(notes)
      dialled.open(new Notes())
      accepted.destroy()
      await world.until(() => notes.ends.length === 1, 'the close')
      expect(accepted.write(Buffer.from('nobody'))).toBe(true)
      expect(accepted.pendingBytes).toBe(0)
      accepted.pause()
      accepted.resume()
      accepted.end()
      accepted.destroy()
      expect(notes.ends).toEqual([null])
    })

    test('a stream that was closed before it is opened says so then', async () => {
      const { accepted, dialled } = await begin()
      const right = new Notes()
      dialled.open(right)
      accepted.destroy()
      await world.until(() => right.ends.length === 1, 'the other end to close')
      const late = new Notes()
      accepted.open(late)
      await world.until(() => late.ends.length === 1, 'the late handler to hear of it')
      expect(late.ends).toEqual([null])
    })

    test('a dial to a closed port is unavailable', async () => {
      world = make()
      const listening = await listen(world, world.address, 0, () => {})
      if (listening instanceof HostError) throw listening
      listening.close()
      const result = await dial(world, listening.port)
      expect(result).toBeInstanceOf(HostError)
      expect(result).toMatchObject({ kind: 'unavailable' })
    })

    test('a dial given up never answers', async () => {
      world = make()
      let answers = 0
      const listening = await listen(world, world.address, 0, (stream) => streams.push(stream))
      if (listening instanceof HostError) throw listening
      const giveUp = world.client.dial({ address: world.address, port: listening.port }, 2000, () => answers++)
      giveUp()
      const second = await dial(world, listening.port)
      if (second instanceof HostError) throw second
      streams.push(second)
      listening.close()
      expect(answers).toBe(0)
    })

    test('a listener that was closed leaves its streams alone', async () => {
      const { accepted, dialled } = await begin()
      const notes = new Notes()
      accepted.open(notes)
      dialled.open(new Notes())
      dialled.write(Buffer.from('still here'))
      await world.until(() => notes.bytes === 10, 'bytes after the listener closed')
      expect(notes.ends).toEqual([])
    })
  })
}
