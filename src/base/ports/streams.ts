// Byte streams as the core sees them: TCP connections accepted and dialled. A stream hands over bytes by call, not by
// event emitter, because every MQTT message passes here (DESIGN 7).

import type { HostError } from '../errors.ts'

export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** `address:port`, with brackets around an IPv6 address. */
export function endpointText(endpoint: Endpoint): string {
  return endpoint.address.includes(':')
    ? `[${endpoint.address}]:${endpoint.port}`
    : `${endpoint.address}:${endpoint.port}`
}

export interface StreamHandler {
  /** Bytes [start, end) of `buffer`, valid during this call only: the host reuses the buffer. Copy what you keep. */
  received(buffer: Buffer, start: number, end: number): void
  /** All that was written has left this process; follows a `write` that returned false. */
  drained(): void
  /** Called once, last; `why` is null for an orderly end by the other side or by our own `end`/`destroy`. */
  closed(why: string | null): void
}

export interface ByteStream {
  readonly local: Endpoint
  readonly remote: Endpoint
  /** Installs the handler and begins to read. A stream reads nothing before; may be called again to change hands. */
  open(handler: StreamHandler): void
  /**
   * Sends `bytes`. True: they have all been handed to the kernel and the caller may reuse the buffer. False: the
   * stream still holds the buffer, which must not be touched again until `drained`.
   */
  write(bytes: Buffer): boolean
  /** Bytes accepted by `write` that the kernel has not taken yet. */
  readonly pendingBytes: number
  /** Stops and resumes reading: the other side's writes then fill its own buffers. */
  pause(): void
  resume(): void
  /** Flushes what was written, then closes both directions. */
  end(): void
  /** Closes at once; what is still pending is lost. */
  destroy(): void
}

/** The certificate that a TLS listener shows, and what it asks of its clients. PEM texts. */
export interface TlsService {
  readonly certificate: string
  readonly privateKey: string
  /** Certificates that a client's chain may end in. */
  readonly anchors: readonly string[]
  readonly revocations: string | null
  readonly clientCertificates: 'none' | 'optional' | 'required'
}

/** What stands between an accepted connection and its stream; `plainly` is nothing at all. */
export interface ListenHow {
  /** The path of a unix socket, instead of an address and a port. */
  readonly unixPath: string | null
  /** Whether each connection begins with a PROXY header (version 1 or 2) of a load balancer in front. */
  readonly proxy: boolean
  readonly tls: TlsService | null
  /** HTTP path of the upgrade, and the largest frame taken. */
  readonly websocket: { readonly path: string; readonly frameBytesMax: number } | null
  /** Time from accepting a connection to its stream: all handshakes together. */
  readonly arrivalMs: number
}

/** What is known of a client beyond its address. */
export interface Visitor {
  /** It came through a proxy or from a foreign web page: its address proves nothing about it. */
  readonly proxied: boolean
  /** Common name of its verified certificate. */
  readonly certificateName: string | null
}

export const PLAIN_VISITOR: Visitor = { proxied: false, certificateName: null }
/** The address of both ends of a unix socket. */
export const UNIX_ADDRESS = 'unix'

export interface Listening {
  /** The port listened on: the one chosen by the host when 0 was asked for. */
  readonly port: number
  /** Accepts no more; streams already accepted go on. */
  close(): void
  /** What counts from the next connection on; all but `unixPath` may change. A HostError: nothing has changed. */
  renew?(how: ListenHow): HostError | null
}

export interface Streams {
  /**
   * Listens for connections. `done` is called once, with the listener or with the error (port taken, not permitted).
   * Without `how`, and without a visitor: plain TCP. `refused` hears in a few words why a connection was turned away.
   */
  listen(
    at: Endpoint,
    accepted: (stream: ByteStream, visitor?: Visitor) => void,
    done: (result: Listening | HostError) => void,
    how?: ListenHow,
    refused?: (from: string, why: string) => void,
  ): void
  /** Connects. `done` is called once. Returns a function that gives up (`done` is then not called any more). */
  dial(to: Endpoint, timeoutMs: number, done: (result: ByteStream | HostError) => void): () => void
}
