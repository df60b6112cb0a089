// TCP behind the Streams port. Accepted sockets read into one static buffer (`onread`): Node offers that in public only
// for sockets that dial, so a listener makes its sockets itself from the accepted handles. Where a Node version does not
// let it, the sockets come by the public way and speak by 'data' events; the contract tests run on both.

import {
  createServer,
  connect as netConnect,
  type OnReadOpts,
  type Server,
  Socket,
  type SocketConstructorOpts,
} from 'node:net'
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
import { type Arrival, Arrivals } from './arrivals.ts'
import { hostError } from './host-errors.ts'
import { BACKLOG, isPlain, listenError, listenThrough } from './listening.ts'
import { type OnRead, SocketStream } from './socket-stream.ts'

/** A client may ask for no MQTT keep alive at all; TCP's own then finds those that are gone. */
const KEEP_ALIVE_MS = 60_000

export interface TcpOptions {
  /** False: accepted sockets speak by 'data' events, as on a Node version that lets nobody take the handles. */
  readonly staticBuffers?: boolean
}

export class TcpStreams implements Streams {
  readonly #staticBuffers: boolean

  constructor(options: TcpOptions = {}) {
    this.#staticBuffers = options.staticBuffers ?? true
  }

  listen(
    at: Endpoint,
    accepted: (stream: ByteStream, visitor?: Visitor) => void,
    done: (result: Listening | HostError) => void,
    how?: ListenHow,
    refused: (from: string, why: string) => void = () => {},
  ): void {
    if (how !== undefined && !isPlain(how)) return listenThrough(at, how, accepted, refused, done)
    const server = createServer({ pauseOnConnect: true }, (socket) => accepted(acceptedStream(() => socket)))
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
        const arrivals = this.#staticBuffers ? acceptHandles(server, accepted) : null
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

/** `make` gives the accepted socket, paused. */
function acceptedStream(make: (onread: OnRead) => Socket, staticBuffer = false): SocketStream {
  const stream = new SocketStream(
    (onread) => {
      const socket = make(onread)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      return socket
    },
    { staticBuffer, copies: false, unheard: null },
  )
  void stream.remote
  return stream
}

/** What we use of a listening handle, if it is there. */
interface ListeningHandle {
  onconnection(status: number, handle: Arrival | undefined): void
}

function listeningHandle(server: Server): ListeningHandle | null {
  const handle: unknown = '_handle' in server ? server._handle : null
  const has = typeof handle === 'object' && handle !== null && 'onconnection' in handle
  return has && typeof handle.onconnection === 'function' ? (handle as ListeningHandle) : null
}

/** Takes accepted handles before the server makes sockets of them; null, and all as it was, where it cannot. */
function acceptHandles(server: Server, accepted: (stream: ByteStream) => void): Arrivals<Arrival> | null {
  const listening = listeningHandle(server)
  if (listening === null || !handlesTakeStaticBuffers()) return null
  const arrivals = new Arrivals((handle) => accepted(acceptedStream((onread) => socketOver(handle, onread), true)))
  listening.onconnection = (status, handle) => {
    if (status === 0 && handle !== undefined) arrivals.add(handle)
  }
  return arrivals
}

function socketOver(handle: unknown, onread: OnRead): Socket {
  const options = { handle, onread: onReadOptions(onread), pauseOnCreate: true, readable: true, writable: true }
  return new Socket(options as SocketConstructorOpts)
}

const onReadOptions = (onread: OnRead): OnReadOpts => ({ buffer: onread.buffer, callback: onread.callback })

/** Whether this Node hands our buffer to a handle that we give it: tried once, on a handle that only takes notes. */
let answer: boolean | null = null
function handlesTakeStaticBuffers(): boolean {
  if (answer !== null) return answer
  const buffer = Buffer.alloc(1)
  let given: unknown = null
  const probe = {
    useUserBuffer: (bytes: unknown) => (given = bytes),
    readStop: () => 0,
    getAsyncId: () => 0,
    close: () => {},
  }
  try {
    socketOver(probe, { buffer, callback: () => true })
  } catch {
    given = null
  }
  answer = given === buffer
  return answer
}
