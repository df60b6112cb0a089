// What we use of Node's own handles of TCP connections. They are not public: the shapes that are used here are looked for
// once, and where this Node has others, connections are public sockets (socket-stream.ts).

import { type OnReadOpts, type Server, Socket, type SocketConstructorOpts } from 'node:net'

export interface TcpHandle {
  /** Called when something was read, or nothing more will be: `Handles.read` says how much, or what went wrong. */
  onread: () => void
  useUserBuffer(buffer: Buffer): void
  readStart(): number
  readStop(): number
  /** Whether it was all handed to the kernel, `Handles.waits` says; if not, the request hears when. */
  writeBuffer(request: WriteRequest, bytes: Buffer): number
  shutdown(request: ShutdownRequest): number
  close(closed?: () => void): void
  getpeername(into: Name): number
  getsockname(into: Name): number
  setNoDelay(on: boolean): number
  setKeepAlive(on: boolean, afterSec: number): number
}

export interface Name {
  address?: string
  port?: number
}

export interface WriteRequest {
  oncomplete: (status: number) => void
  /** Kept from the collector until it has left. */
  bytes: Buffer | null
}

export interface ShutdownRequest {
  oncomplete: (status: number) => void
}

/** A handle that listens. */
interface ListeningHandle {
  onconnection(status: number, handle: TcpHandle | undefined): void
}

/** What belongs to no single handle: every call leaves its answer at one place. */
export interface Handles {
  newWrite(): WriteRequest
  newShutdown(): ShutdownRequest
  /** Bytes that were just read, or the negative number of an error. */
  read(): number
  /** Whether what was just written waits for the kernel. */
  waits(): boolean
}

interface StreamBinding {
  readonly streamBaseState: Int32Array
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
  readonly WriteWrap: new () => WriteRequest
  readonly ShutdownWrap: new () => ShutdownRequest
}

function bindingOf(name: string): unknown {
  const { binding } = process as { binding?: (name: string) => unknown }
  if (typeof binding !== 'function') return null
  try {
    return binding.call(process, name)
  } catch {
    // A Node that gives it to nobody, or not with the permissions it was started with.
    return null
  }
}

const isStreamBinding = (found: unknown): found is StreamBinding =>
  typeof found === 'object' &&
  found !== null &&
  'streamBaseState' in found &&
  found.streamBaseState instanceof Int32Array &&
  ['kReadBytesOrError', 'kLastWriteWasAsync'].every((key) => typeof Reflect.get(found, key) === 'number') &&
  ['WriteWrap', 'ShutdownWrap'].every((key) => typeof Reflect.get(found, key) === 'function')

const METHODS = [
  ...['useUserBuffer', 'readStart', 'readStop', 'writeBuffer', 'shutdown', 'close'],
  ...['getpeername', 'getsockname', 'setNoDelay', 'setKeepAlive'],
]

let known: Handles | null | undefined
/** Null: this Node has none that we know. */
export function handles(): Handles | null {
  if (known !== undefined) return known
  const stream = bindingOf('stream_wrap')
  const tcp = bindingOf('tcp_wrap')
  const TCP: unknown = typeof tcp === 'object' && tcp !== null ? Reflect.get(tcp, 'TCP') : null
  const has = (key: string) => typeof TCP === 'function' && typeof TCP.prototype[key] === 'function'
  if (!isStreamBinding(stream) || !METHODS.every(has)) return (known = null)
  const { streamBaseState: answers, kReadBytesOrError, kLastWriteWasAsync, WriteWrap, ShutdownWrap } = stream
  return (known = {
    newWrite: () => new WriteWrap(),
    newShutdown: () => new ShutdownWrap(),
    read: () => answers[kReadBytesOrError]!,
    waits: () => answers[kLastWriteWasAsync] !== 0,
  })
}

/** Gives `taken` accepted handles before the server makes sockets of them; false, and all as it was: it cannot. */
export function takeHandles(server: Server, taken: (handle: TcpHandle) => void): boolean {
  const found: unknown = '_handle' in server ? server._handle : null
  if (typeof found !== 'object' || found === null || !('onconnection' in found)) return false
  if (typeof found.onconnection !== 'function') return false
  const listening = found as ListeningHandle
  listening.onconnection = (status, handle) => {
    if (status === 0 && handle !== undefined) taken(handle)
  }
  return true
}

/** A public socket of a handle, paused. */
export function socketOver(handle: TcpHandle, onread: OnReadOpts): Socket {
  const options = { handle, onread, pauseOnCreate: true, readable: true, writable: true }
  return new Socket(options as SocketConstructorOpts)
}
