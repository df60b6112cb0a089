// TCP behind the Streams port. A listener takes the accepted handles before Node makes sockets of them (handle-stream.ts).
// Where a Node version does not let it, the sockets come by the public way and speak by 'data' events; the contract tests
// run on both.

import { createServer, connect as netConnect, type OnReadOpts, type Server, type Socket } from 'node:net'
import { HostError } from '../base/errors.ts'
import {
  type ByteStream,
  type Endpoint,
  endpointText,
  type ListenHow,
  type Listening,
  type Streams,
  type Visitor,
} from '../base/ports/streams.ts'
import { Arrivals } from './arrivals.ts'
import { HandleStream } from './handle-stream.ts'
import { handles, type TcpHandle, takeHandles } from './handles.ts'
import { hostError } from './host-errors.ts'
import { BACKLOG, isPlain, listenError, listenThrough } from './listening.ts'
import { type OnRead, SocketStream } from './socket-stream.ts'

/** A client may ask for no MQTT keep alive at all; TCP's own then finds those that are gone. */
const KEEP_ALIVE_MS = 60_000

export interface TcpOptions {
  /** False: accepted connections are public sockets, as on a Node version that lets nobody take the handles. */
  readonly handles?: boolean
}

export class TcpStreams implements Streams {
  readonly #handles: boolean

  constructor(options: TcpOptions = {}) {
    this.#handles = options.handles ?? true
  }

  listen(
    at: Endpoint,
    accepted: (stream: ByteStream, visitor?: Visitor) => void,
    done: (result: Listening | HostError) => void,
    how?: ListenHow,
    refused: (from: string, why: string) => void = () => {},
  ): void {
    if (how !== undefined && !isPlain(how)) return listenThrough(at, how, accepted, refused, done)
    const server = createServer({ pauseOnConnect: true }, (socket) => accepted(acceptedSocket(socket)))
    let told = false
    server.on('error', (error) => {
      // Once it listens only accepting can fail (too many open files): that connection is lost, the listener goes on.
      if (told) return
      told = true
      done(listenError(at, error))
    })
    try {
      server.listen({ host: at.address, port: at.port, backlog: BACKLOG }, () => {
        told = true
        const arrivals = this.#handles ? arrivalsAt(server, accepted) : null
        const bound = server.address()
        const port = typeof bound === 'object' && bound !== null ? bound.port : at.port
        const close = () => {
          server.close()
          arrivals?.close()
        }
        done({ port, close })
      })
    } catch (error) {
      // A port that is no port.
      told = true
      const failure = new HostError('invalid', `${endpointText(at)}: ${(error as Error).message}`)
      setImmediate(() => done(failure))
    }
  }

  dial(to: Endpoint, timeoutMs: number, done: (result: ByteStream | HostError) => void): () => void {
    let stream: SocketStream | null = null
    let settled = false
    const settle = (result: ByteStream | HostError | null): void => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      if (result === null || result instanceof HostError) stream?.destroy()
      if (result !== null) done(result)
    }
    const timer = setTimeout(
      () => settle(new HostError('unavailable', `${endpointText(to)}: no answer within ${timeoutMs / 1000} s`)),
      timeoutMs,
    )
    try {
      stream = new SocketStream(
        (onread) => {
          const socket = netConnect({ host: to.address, port: to.port, noDelay: true, onread: onReadOptions(onread) })
          socket.pause()
          socket.setKeepAlive(true, KEEP_ALIVE_MS)
          socket.on('error', (error) => settle(hostError(endpointText(to), error)))
          socket.on('connect', () => {
            // The addresses are asked for now: a socket that the other side has reset forgets them.
            if (stream !== null && stream.remote.port !== 0) settle(stream)
          })
          return socket
        },
        { staticBuffer: true, copies: false, unheard: null },
      )
    } catch (error) {
      const failure = new HostError('invalid', `${endpointText(to)}: ${(error as Error).message}`)
      setImmediate(() => settle(failure))
    }
    return () => settle(null)
  }
}

/** An accepted socket, paused. */
function acceptedSocket(socket: Socket): SocketStream {
  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  const stream = new SocketStream(() => socket, { staticBuffer: false, copies: false, unheard: null })
  // Asked for now: a socket that the other side has reset forgets it.
  void stream.remote
  return stream
}

/** Null, and all is as it was: this Node's handles are not those we know. */
function arrivalsAt(server: Server, accepted: (stream: ByteStream) => void): Arrivals<TcpHandle> | null {
  const known = handles()
  if (known === null) return null
  const arrivals = new Arrivals<TcpHandle>((handle) => {
    handle.setNoDelay(true)
    handle.setKeepAlive(true, KEEP_ALIVE_MS / 1000)
    accepted(new HandleStream(handle, known))
  })
  return takeHandles(server, (handle) => arrivals.add(handle)) ? arrivals : null
}

const onReadOptions = (onread: OnRead): OnReadOpts => ({ buffer: onread.buffer, callback: onread.callback })
