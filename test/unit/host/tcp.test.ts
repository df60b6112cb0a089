import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { ByteStream, Listening } from '../../../src/base/ports/streams.ts'
import { TcpStreams } from '../../../src/host/tcp.ts'
import { Notes } from '../../contract/streams.ts'
import { until } from '../../contract/world.ts'

const endings: (() => void)[] = []
afterEach(() => {
  for (const end of endings.splice(0)) end()
})

async function listen(accepted: (stream: ByteStream) => void, streams = new TcpStreams(), port = 0) {
  const answers: (Listening | HostError)[] = []
  streams.listen({ address: '127.0.0.1', port }, accepted, (result) => answers.push(result))
  await until(() => answers.length > 0, 'listen')
  if (answers[0] instanceof HostError) throw answers[0]
  endings.push(() => (answers[0] as Listening).close())
  return (answers[0] as Listening).port
}

async function dial(address: string, port: number, timeoutMs = 2000): Promise<ByteStream | HostError> {
  const answers: (ByteStream | HostError)[] = []
  new TcpStreams().dial({ address, port }, timeoutMs, (result) => answers.push(result))
  await until(() => answers.length > 0, 'dial')
  const result = answers[0]!
  if (!(result instanceof HostError)) endings.push(() => result.destroy())
  return result
}

function raw(port: number): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  endings.push(() => socket.destroy())
  return socket
}

describe('accepted streams', () => {
  test('read into one static buffer where this Node allows it, and into fresh ones where not', async () => {
    for (const handles of [true, false]) {
      const buffers = new Set<ArrayBufferLike>()
      let sizes = 0
      let bytes = 0
      const port = await listen((stream) => {
        endings.push(() => stream.destroy())
        stream.open({
          received: (buffer, start, end) => {
            buffers.add(buffer.buffer)
            sizes = buffer.length
            bytes += end - start
          },
          drained: () => {},
          closed: () => {},
        })
      }, new TcpStreams({ handles }))
      raw(port).write('one')
      raw(port).write('two')
      await until(() => bytes === 6, 'both connections')
      // The broker`s speed rests on the first; if a new Node takes it away, this is where it is noticed.
      expect(sizes === 64 * 1024 && buffers.size === 1).toBe(handles)
    }
  })

  test('a reset is the reason of the end, and a write in its face is harmless', async () => {
    for (const handles of [true, false]) {
      const notes = new Notes()
      let accepted: ByteStream | null = null
      const port = await listen((stream) => {
        accepted = stream
        stream.open(notes)
      }, new TcpStreams({ handles }))
      const socket = raw(port)
      socket.write('hello')
      await until(() => notes.bytes === 5, 'the hello')
      for (let index = 0; index < 200; index++) accepted!.write(Buffer.alloc(64 * 1024))
      socket.resetAndDestroy()
      await until(() => notes.ends.length > 0, 'the end')
      expect(notes.ends).toEqual(['connection reset'])
      expect(accepted!.write(Buffer.from('x'))).toBe(true)
    }
  })

  test('one that ends its side gets what was written before, then the end', async () => {
    let accepted: ByteStream | null = null
    const notes = new Notes()
    const port = await listen((stream) => {
      accepted = stream
      stream.open(notes)
    })
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    endings.push(() => socket.destroy())
    let heard = 0
    let ended = false
    socket.on('data', (chunk) => {
      heard += chunk.length
    })
    socket.on('end', () => {
      ended = true
      socket.end()
    })
    notes.onBytes = () => {
      for (let index = 0; index < 64; index++) accepted!.write(Buffer.alloc(16 * 1024))
    }
    socket.write('bye')
    await until(() => notes.bytes === 3, 'the bye')
    socket.end()
    await until(() => ended && notes.ends.length > 0, 'both ends')
    expect(heard).toBe(1024 * 1024)
    expect(notes.ends).toEqual([null])
  })

  test('one that never ends its side after our end is closed all the same', async () => {
    const notes = new Notes()
    let accepted: ByteStream | null = null
    const port = await listen((stream) => {
      accepted = stream
      stream.open(notes)
    })
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => {})
    endings.push(() => socket.destroy())
    socket.write('hello')
    await until(() => notes.bytes === 5, 'the hello')
    const start = performance.now()
    accepted!.end()
    await until(() => notes.ends.length > 0, 'the end')
    expect(notes.ends).toEqual([null])
    expect(performance.now() - start).toBeLessThan(2000)
  })

  test('a thousand at once are each their own', async () => {
    const all: { stream: ByteStream; notes: Notes }[] = []
    const port = await listen((stream) => {
      const notes = new Notes()
      notes.onBytes = (bytes) => stream.write(bytes)
      stream.open(notes)
      all.push({ stream, notes })
    })
    const answers = new Map<number, string>()
    for (let index = 0; index < 1000; index++) {
      const socket = raw(port)
      socket.write(`client ${index}`)
      socket.on('data', (chunk) => answers.set(index, (answers.get(index) ?? '') + chunk))
    }
    await until(() => answers.size === 1000, 'a thousand answers')
    expect([...answers].every(([index, text]) => text === `client ${index}`)).toBe(true)
    for (const { stream } of all) stream.destroy()
    await until(() => all.every(({ notes }) => notes.ends.length === 1), 'a thousand ends')
    expect(new Set(all.map(({ stream }) => stream.remote.port)).size).toBe(1000)
  })
})

describe('listening', () => {
  test('names the process that holds the port, as far as it may know', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
    endings.push(() => holder.close())
    const { port } = holder.address() as { port: number }
    const failure = await listen(() => {}, new TcpStreams(), port).catch((error: unknown) => error)
    expect(failure).toMatchObject({ kind: 'unavailable' })
    const name = readFileSync('/proc/self/comm', 'utf8').trim()
    expect((failure as Error).message).toBe(`port ${port} on 127.0.0.1 is taken by ${name} (pid ${process.pid})`)
  })

  test('an address that this machine does not have, or a port that is none, is said to be so', async () => {
    const answers: unknown[] = []
    const streams = new TcpStreams()
    streams.listen(
      { address: '203.0.113.77', port: 0 },
      () => {},
      (result) => answers.push(result),
    )
    streams.listen(
      { address: '127.0.0.1', port: 70_000 },
      () => {},
      (result) => answers.push(result),
    )
    await until(() => answers.length === 2, 'both answers')
    const byMessage = answers.map((answer) => (answer as HostError).message).sort()
    expect(answers.every((answer) => answer instanceof HostError)).toBe(true)
    expect(byMessage.some((message) => message.includes('does not have that address'))).toBe(true)
    expect(byMessage.some((message) => message.includes('70000'))).toBe(true)
  })
})

describe('dialling', () => {
  test('a name is looked up, and one that nobody knows is said to be so', async () => {
    const port = await listen((stream) => endings.push(() => stream.destroy()))
    const known = await dial('localhost', port)
    expect(known).not.toBeInstanceOf(HostError)
    const unknown = await dial('no-such-host.invalid', port)
    expect(unknown).toBeInstanceOf(HostError)
    expect((unknown as HostError).message).toContain('no-such-host.invalid')
  })

  test('a refusal names the address, and a port that is none does not throw', async () => {
    const port = await listen(() => {})
    endings.pop()?.()
    const refused = await dial('127.0.0.1', port)
    expect(refused).toMatchObject({ kind: 'unavailable', message: `127.0.0.1:${port}: connection refused` })
    expect(await dial('127.0.0.1', 70_000)).toMatchObject({ kind: 'invalid' })
  })

  test('a machine that does not answer is given up after the timeout', async () => {
    // A listener whose process is busy for ever: once its queue is full, the kernel drops what knocks.
    const script = `
      const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
        require('node:fs').writeSync(1, String(server.address().port))
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      })`
    const deaf = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] })
    endings.push(() => deaf.kill('SIGKILL'))
    let told = ''
    deaf.stdout.on('data', (chunk) => {
      told += chunk
    })
    await until(() => told !== '', 'the deaf listener')
    for (let index = 0; index < 8; index++) raw(Number(told))
    const start = performance.now()
    let result: ByteStream | HostError
    do result = await dial('127.0.0.1', Number(told), 300)
    while (!(result instanceof HostError))
    expect(result).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('no answer within 0.3 s') })
    expect(performance.now() - start).toBeGreaterThan(250)
  })
})
