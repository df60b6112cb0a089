// The control sockets on real unix sockets in a temporary directory.

import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { ask, askAt, ending } from '../../../src/ops/control/client.ts'
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from '../../../src/ops/control/protocol.ts'
import { type Commands, ControlServer } from '../../../src/ops/control/server.ts'
import { reachable, SUN_PATH_MAX } from '../../../src/ops/control/socketpath.ts'
import { Ending } from '../../../src/ops/exit.ts'
import { type Places, places } from '../../../src/ops/places.ts'

let directory: string
let open: ControlServer[]
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-control-'))
  open = []
})
afterEach(() => {
  for (const server of open) server.close()
  rmSync(directory, { recursive: true, force: true })
})

const commands: Commands = {
  version: { everybody: true, run: () => ({ version: '1' }) },
  status: { everybody: true, run: () => ({ text: 'ä'.repeat(100_000) }) },
  echo: { everybody: false, run: (args) => Promise.resolve(args) },
  refuse: {
    everybody: false,
    run: () => {
      throw new HostError('invalid', 'not like this')
    },
  },
}

function at(dataDir = directory): Places {
  const where = places({ dataDir }, {})
  mkdirSync(where.runDir, { recursive: true })
  return where
}

async function serve(where: Places): Promise<ControlServer> {
  const server = new ControlServer(commands, silentLog)
  open.push(server)
  await server.open(where)
  return server
}

const all = { everybody: false, timeoutMs: 5_000 }

describe('protocol', () => {
  test('round trips', () => {
    expect(decodeRequest(encodeRequest({ command: 'a', args: { b: 1 } }).trim())).toEqual({
      command: 'a',
      args: { b: 1 },
    })
    expect(decodeResponse(encodeResponse({ ok: true, result: [1] }))).toEqual({ ok: true, result: [1] })
    expect(decodeResponse(encodeResponse({ ok: false, error: 'no' }))).toEqual({ ok: false, error: 'no' })
  })
  for (const [line, words] of [
    ['', /not a request/],
    ['[]', /not a request/],
    ['{"edge-mqtt":1}', /command or args are missing/],
    ['{"edge-mqtt":1,"command":"a","args":[]}', /command or args are missing/],
    ['{"edge-mqtt":2,"command":"a"}', /speaks version 1/],
    ['GET / HTTP/1.1', /not a request/],
  ] as const) {
    test(`${JSON.stringify(line)} is answered in words`, () => expect(decodeRequest(line)).toMatch(words))
  }
  test('an answer of another version is none', () => {
    expect(decodeResponse('{"edge-mqtt":2,"ok":true}')).toBe(null)
    expect(decodeResponse('{"edge-mqtt":1}')).toBe(null)
    expect(decodeResponse('x')).toBe(null)
  })
})

describe('sockets', () => {
  test('answer commands; status.sock only those for everybody', async () => {
    const where = at()
    await serve(where)
    expect(await ask(where, { command: 'echo', args: { a: 1 } }, all)).toEqual({ a: 1 })
    expect(await ask(where, { command: 'status', args: {} }, { ...all, everybody: true })).toEqual({
      text: 'ä'.repeat(100_000),
    })
    expect(await askAt(where.statusSocket, { command: 'echo', args: {} }, 5_000)).toEqual({
      ok: false,
      error: '"echo" is not for everybody: use the control socket (sudo)',
    })
    expect(await askAt(where.controlSocket, { command: 'toString', args: {} }, 5_000)).toEqual({
      ok: false,
      error: 'this daemon knows no command "toString"',
    })
    await expect(ask(where, { command: 'refuse', args: {} }, all)).rejects.toThrow('not like this')
  })

  test('have the modes that the contract gives them, and are gone after a close', async () => {
    const where = at()
    const server = await serve(where)
    expect(statSync(where.controlSocket).mode & 0o777).toBe(0o660)
    expect(statSync(where.statusSocket).mode & 0o777).toBe(0o666)
    server.close()
    expect([existsSync(where.controlSocket), existsSync(where.statusSocket)]).toEqual([false, false])
  })

  test('a second daemon at the same place is told so, and the first goes on', async () => {
    const where = at()
    await serve(where)
    const second = serve(where)
    await expect(second).rejects.toMatchObject({ kind: 'unavailable', message: /already running here/ })
    open.pop()!.close()
    expect(await ask(where, { command: 'version', args: {} }, all)).toEqual({ version: '1' })
  })

  test("a killed daemon's sockets are replaced", async () => {
    const where = at()
    // A socket file without its listener, as kill -9 leaves it: closing by the handle of a copy does the same.
    await abandonedSocket(where.controlSocket)
    expect(existsSync(where.controlSocket)).toBe(true)
    await serve(where)
    expect(await ask(where, { command: 'version', args: {} }, all)).toEqual({ version: '1' })
  })

  test('a file of another kind in the way is not touched', async () => {
    const where = at()
    writeFileSync(where.controlSocket, 'mine')
    await expect(serve(where)).rejects.toMatchObject({ kind: 'unavailable', message: /not a socket: remove it/ })
    expect(existsSync(where.controlSocket)).toBe(true)
  })

  test('a path longer than an address of a unix socket works all the same', async () => {
    const where = at(join(directory, 'x'.repeat(90), 'y'.repeat(90)))
    expect(Buffer.byteLength(where.controlSocket)).toBeGreaterThan(SUN_PATH_MAX)
    const server = await serve(where)
    expect(await ask(where, { command: 'version', args: {} }, all)).toEqual({ version: '1' })
    expect(statSync(where.controlSocket).mode & 0o777).toBe(0o660)
    await expect(serve(where)).rejects.toMatchObject({ kind: 'unavailable' })
    server.close()
    expect(existsSync(where.controlSocket)).toBe(false)
  })

  test('a short path is taken as it is', () => {
    expect(reachable('/run/a.sock').path).toBe('/run/a.sock')
  })

  test('an endless request is refused, and nobody else is disturbed', async () => {
    const where = at()
    await serve(where)
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(where.statusSocket, () => socket.write('x'.repeat(70_000)))
      let text = ''
      socket.on('data', (bytes) => {
        text += bytes.toString()
      })
      socket.on('error', () => {})
      socket.on('close', () => resolve(text))
    })
    expect(answer).toContain('at most 65536 bytes')
    expect(await ask(where, { command: 'version', args: {} }, all)).toEqual({ version: '1' })
  })
})

describe('nobody there', () => {
  const end = async (where: Places, timeoutMs = 5_000): Promise<Ending> => {
    const request = { command: 'status', args: {} }
    const error: unknown = await ask(where, request, { everybody: true, timeoutMs }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(Ending)
    return error as Ending
  }

  test('exit 69, and what to type, by the way it was asked for', async () => {
    const elsewhere = await end(at())
    expect(elsewhere.status).toBe(69)
    expect(elsewhere.message).toContain('is not running here')
    expect(elsewhere.message).toContain(`edge-mqtt start --data-dir ${directory}`)
    const service = await end({ ...at(), reachedBy: '' })
    expect(service.message).toContain('sudo systemctl start edge-mqtt')
  })

  test('one that does not answer is said to be silent', async () => {
    const where = at()
    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(where.statusSocket, resolve))
    const { status, message } = await end(where, 10)
    expect([status, message]).toEqual([69, expect.stringContaining('did not answer within 0.01 s')])
    silent.close()
  })

  test('one that speaks otherwise is named', async () => {
    const where = at()
    const other = createServer((socket) => socket.end('{"edge-mqtt":9}\n'))
    await new Promise<void>((resolve) => other.listen(where.statusSocket, resolve))
    expect((await end(where)).message).toContain('an answer of another version')
    other.close()
  })

  test('one that may not be asked says how it may', () => {
    const { status, message } = ending({ at: 'denied' }, at())
    expect([status, message]).toEqual([77, expect.stringContaining('usermod -aG edge-mqtt')])
  })
})

/** Leaves a socket file that nobody listens on. */
async function abandonedSocket(path: string): Promise<void> {
  const { execFileSync } = await import('node:child_process')
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  try {
    execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' })
  } catch {
    // It was killed: that is the point.
  }
}
