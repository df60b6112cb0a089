// The daemon's side of the control sockets: control.sock for the service's group, status.sock for everybody.

import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { HostError } from '../../base/errors.ts'
import type { Log } from '../../base/ports/log.ts'
import type { Places } from '../places.ts'
import { askAt } from './client.ts'
import { decodeRequest, encodeResponse, REQUEST_BYTES_MAX, type Response } from './protocol.ts'
import { reachable } from './socketpath.ts'

export interface Command {
  /** Answered on status.sock too: nothing secret in it, nothing changed by it. */
  readonly everybody: boolean
  /** `everybody`: asked on status.sock. */
  run(args: Readonly<Record<string, unknown>>, everybody: boolean): unknown
}

export type Commands = Readonly<Record<string, Command>>

const CONNECTIONS_MAX = 32
/** A command sends its line at once; who does not is not one. */
const REQUEST_MS = 5_000
const PROBE_MS = 1_000

export class ControlServer {
  readonly #commands: Commands
  readonly #log: Log
  readonly #open = new Map<string, Server>()
  readonly #sockets = new Set<Socket>()

  constructor(commands: Commands, log: Log) {
    this.#commands = commands
    this.#log = log
  }

  /** Opens both sockets. Rejects with a HostError when a living daemon holds one or a place cannot be written. */
  async open(places: Places): Promise<void> {
    await this.#listen(places.controlSocket, 0o660, false)
    await this.#listen(places.statusSocket, 0o666, true)
  }

  close(): void {
    for (const [path, server] of this.#open) {
      server.close()
      remove(path)
    }
    this.#open.clear()
    for (const socket of this.#sockets) socket.destroy()
  }

  async #listen(path: string, mode: number, everybody: boolean): Promise<void> {
    await this.#clear(path)
    const server = createServer((socket) => this.#serve(socket, everybody))
    server.maxConnections = CONNECTIONS_MAX
    const way = reachable(path)
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(way.path, resolve)
      })
      chmodSync(path, mode)
    } catch (error) {
      throw hostError(path, error)
    } finally {
      way.release()
    }
    server.on('error', (error) => this.#log.warn({ path, why: error.message }, 'control socket failed'))
    this.#open.set(path, server)
  }

  /** Takes away what a killed daemon left behind; a living one's socket answers, and stays. */
  async #clear(path: string): Promise<void> {
    try {
      if (!lstatSync(path).isSocket())
        throw new HostError('unavailable', `${path} is there and not a socket: remove it`)
    } catch (error) {
      if (error instanceof HostError) throw error
      return
    }
    const answer = await askAt(path, { command: 'version', args: {} }, PROBE_MS)
    if (!('at' in answer) || answer.at === 'silent') {
      throw new HostError('unavailable', `the daemon is already running here: it answers at ${path}`)
    }
    if (answer.at === 'denied') throw new HostError('denied', `${path} belongs to another user's daemon`)
    remove(path)
  }

  #serve(socket: Socket, everybody: boolean): void {
    this.#sockets.add(socket)
    const pieces: Buffer[] = []
    let length = 0
    const answer = (response: Response) => {
      if (!socket.destroyed) socket.end(encodeResponse(response))
    }
    socket.setTimeout(REQUEST_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('data', (bytes: Buffer) => {
      const newline = bytes.indexOf(0x0a)
      const piece = newline === -1 ? bytes : bytes.subarray(0, newline)
      length += piece.length
      if (length > REQUEST_BYTES_MAX) {
        socket.pause()
        return answer({ ok: false, error: `a request is at most ${REQUEST_BYTES_MAX} bytes` })
      }
      pieces.push(piece)
      if (newline === -1) return
      socket.pause()
      // The answer may take its time (cluster join); from here on only a dead reader counts.
      socket.setTimeout(0)
      void this.#run(Buffer.concat(pieces).toString('utf8'), everybody).then(answer)
    })
  }

  async #run(line: string, everybody: boolean): Promise<Response> {
    const request = decodeRequest(line)
    if (typeof request === 'string') return { ok: false, error: request }
    const command = Object.hasOwn(this.#commands, request.command) ? this.#commands[request.command] : undefined
    if (command === undefined) return { ok: false, error: `this daemon knows no command "${request.command}"` }
    if (everybody && !command.everybody) {
      return { ok: false, error: `"${request.command}" is not for everybody: use the control socket (sudo)` }
    }
    try {
      return { ok: true, result: await command.run(request.args, everybody) }
    } catch (error) {
      if (!(error instanceof HostError)) throw error
      return { ok: false, error: error.message }
    }
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw hostError(path, error)
  }
}

function hostError(path: string, error: unknown): HostError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new HostError('denied', `${path}: cannot be written (${code})`)
  }
  if (code === 'EADDRINUSE')
    return new HostError('unavailable', `the daemon is already running here: it answers at ${path}`)
  return new HostError('failed', `${path}: ${code}`)
}
