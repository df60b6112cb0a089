// The listeners of a node: opened at start, followed through a reload, tried again when they fail, and kept shut while they
// have no certificate to show.
//
//   shut -> opening -> open
//             |  ^
//             v  | 30 s
//            failed

import { HostError } from '../base/errors.ts'
import type { Meter } from '../base/meter.ts'
import type { Clock, Timer } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import {
  type ByteStream,
  endpointText,
  type ListenHow,
  type Listening,
  PLAIN_VISITOR,
  type Streams,
  type TlsService,
  type Visitor,
} from '../base/ports/streams.ts'
import type { ListenerTerms } from './guest.ts'

export type ListenerType = 'mqtt' | 'mqtts' | 'ws' | 'wss' | 'unix'

/** One of them in `status`. */
export interface ListenerStatus {
  readonly name: string
  readonly type: string
  readonly bind: string
  readonly port: number
  readonly connections: number
}

export interface ListenerSettings extends ListenerTerms {
  readonly type: ListenerType
  readonly bind: string
  readonly port: number
  /** Of the HTTP upgrade, or of the unix socket. */
  readonly path: string | null
  readonly proxyProtocol: boolean
  readonly tls: ListenerTls
}

export interface ListenerTls {
  /** Null: the certificate that this node has from its cluster's CA. */
  readonly own: { readonly certificate: string; readonly privateKey: string } | null
  /** What clients' certificates must end in; null: the cluster's CA. */
  readonly anchors: string | null
  readonly revocations: string | null
  readonly clientCertificates: TlsService['clientCertificates']
}

export const NO_TLS: ListenerTls = { own: null, anchors: null, revocations: null, clientCertificates: 'none' }

/** A listener of plain MQTT without anything special. */
export const plainListener = (name: string, bind: string, port: number): ListenerSettings => ({
  name,
  type: 'mqtt',
  bind,
  port,
  path: null,
  maxConnections: null,
  mountPoint: '',
  allowEmptyClientId: true,
  certificateNames: false,
  proxyProtocol: false,
  tls: NO_TLS,
})

/** What this node has from its cluster's CA. */
export interface NodeCertificate {
  readonly certificate: string
  readonly privateKey: string
}

export interface ListenerBounds {
  readonly maxPacketSize: number
  readonly connectTimeoutMs: number
}

export interface ListenersWorld {
  readonly clock: Clock
  readonly streams: Streams
  readonly log: Log
  readonly meter: Meter
}

/** What becomes of connections. */
export interface Entrance {
  accept(stream: ByteStream, terms: ListenerTerms, visitor: Visitor): void
  /** The listener is no more: its connections go. */
  closeAll(listener: string): void
  /** Other ports are open than before. */
  changed(): void
}

interface Door {
  settings: ListenerSettings
  /** Another value for each attempt: an answer that comes late finds another one. */
  attempt: object
  listening: Listening | null
  /** What it was opened with. */
  how: ListenHow | null
  failure: string | null
  retry: Timer | null
}

const RETRY_MS = 30_000
const WEBSOCKET_FRAME_BYTES_MIN = 64 * 1024
const DEFAULT_PATH = '/mqtt'

const isSecure = ({ type }: ListenerSettings): boolean => type === 'mqtts' || type === 'wss'
const isWebSocket = ({ type }: ListenerSettings): boolean => type === 'ws' || type === 'wss'

export class Listeners {
  readonly #world: ListenersWorld
  readonly #entrance: Entrance
  readonly #doors = new Map<string, Door>()
  #bounds: ListenerBounds
  #certificate: NodeCertificate | null = null
  /** CAs of the cluster, for the certificates of clients. */
  #authorities: readonly string[] = []
  #noCertificate: string | null = null
  #stopped = false

  constructor(world: ListenersWorld, bounds: ListenerBounds, entrance: Entrance) {
    this.#world = world
    this.#bounds = bounds
    this.#entrance = entrance
  }

  /**
   * One after the other, so that the first that fails is the one that is told. A WebSocket that fails does not: it is
   * tried again, as is whatever waits for this node's certificate.
   */
  start(left: readonly ListenerSettings[], done: (failed: HostError | null) => void): void {
    const [settings, ...rest] = left
    if (settings === undefined || this.#stopped) return done(null)
    const door = this.#add(settings)
    this.#open(door, (failed) => {
      if (failed === null || isWebSocket(settings)) return this.start(rest, done)
      done(new HostError(failed.kind, failed.message))
    })
  }

  /** Follows new settings; connections stay, but for those of listeners that are gone. */
  configure(wanted: readonly ListenerSettings[], bounds: ListenerBounds): void {
    this.#bounds = bounds
    const names = new Set(wanted.map(({ name }) => name))
    for (const [name, door] of this.#doors) {
      if (names.has(name)) continue
      this.#shut(door)
      this.#doors.delete(name)
      this.#entrance.closeAll(name)
      this.#world.log.info({ listener: name }, 'listener removed')
    }
    // Those that move first, so that a port one gives up is free for another.
    const moved = wanted.filter((settings) => {
      const door = this.#doors.get(settings.name)
      const moves = door === undefined || placeOf(door.settings) !== placeOf(settings)
      if (door !== undefined) {
        if (moves) this.#shut(door)
        door.settings = settings
      }
      return moves
    })
    for (const settings of moved) {
      const door = this.#doors.get(settings.name) ?? this.#add(settings)
      if (door.how === null) this.#open(door)
    }
    this.#renewAll()
    this.#entrance.changed()
  }

  /** The certificate that listeners without one of their own show from now on; null, with why: there is none. */
  certify(certificate: NodeCertificate | null, authorities: readonly string[], why: string | null): void {
    this.#certificate = certificate
    this.#authorities = authorities
    this.#noCertificate = why
    this.#renewAll()
  }

  stop(): void {
    this.#stopped = true
    for (const door of this.#doors.values()) this.#shut(door)
  }

  /** Those that are open, in the order of the configuration. */
  rows(): readonly { readonly settings: ListenerSettings; readonly port: number }[] {
    return [...this.#doors.values()].flatMap(({ settings, listening }) =>
      listening === null ? [] : [{ settings, port: listening.port }],
    )
  }

  problems(): readonly string[] {
    return [...this.#doors.values()].flatMap((door) => {
      if (door.failure !== null) return [door.failure]
      const waits = door.how === null && isSecure(door.settings) && door.settings.tls.own === null
      return waits && this.#noCertificate !== null ? [`listeners.${door.settings.name}: ${this.#noCertificate}`] : []
    })
  }

  #add(settings: ListenerSettings): Door {
    const door: Door = { settings, attempt: {}, listening: null, how: null, failure: null, retry: null }
    this.#doors.set(settings.name, door)
    return door
  }

  #open(door: Door, done: (failed: HostError | null) => void = () => {}): void {
    const { settings } = door
    const { name } = settings
    const how = this.#how(settings)
    if (how === null || this.#stopped) return done(null)
    const attempt = {}
    door.attempt = attempt
    door.how = how
    this.#world.streams.listen(
      { address: settings.bind, port: settings.port },
      // As the listener stands now: a reload counts from the next connection on.
      (stream, visitor = PLAIN_VISITOR) => this.#entrance.accept(stream, door.settings, visitor),
      (result) => {
        if (result instanceof HostError) {
          if (door.attempt !== attempt) return done(null)
          const key = settings.type === 'unix' ? 'path' : 'port'
          const failed = new HostError(result.kind, `listeners.${name}.${key}: ${result.message}`)
          this.#failed(door, `${failed.message}; tried again every ${RETRY_MS / 1000} s`)
          return done(failed)
        }
        if (door.attempt !== attempt) result.close()
        else {
          door.listening = result
          door.failure = null
          const at =
            settings.type === 'unix' ? settings.path : endpointText({ address: settings.bind, port: result.port })
          this.#world.log.info({ listener: name, type: settings.type, at }, 'listening')
          // What was reloaded while it opened.
          this.#renew(door)
          this.#entrance.changed()
        }
        done(null)
      },
      how,
      (from, why) => this.#refused(name, from, why),
    )
  }

  #failed(door: Door, why: string): void {
    if (door.failure !== why) this.#world.log.warn({ listener: door.settings.name, why }, 'listener does not open')
    door.failure = why
    door.retry?.cancel()
    door.retry = this.#world.clock.after(RETRY_MS, 'listeners.retry', () => this.#open(door))
  }

  #shut(door: Door): void {
    door.attempt = {}
    door.retry?.cancel()
    door.retry = null
    door.failure = null
    door.listening?.close()
    door.listening = null
    door.how = null
  }

  #renewAll(): void {
    for (const door of this.#doors.values()) {
      // One that is being opened, or failed, begins with what is known then.
      if (door.listening !== null) this.#renew(door)
      else if (door.how === null) this.#open(door)
    }
  }

  #renew(door: Door): void {
    const how = this.#how(door.settings)
    if (how === null || door.listening === null || door.how === null || same(how, door.how)) return
    if (door.listening.renew === undefined) {
      this.#shut(door)
      return this.#open(door)
    }
    const error = door.listening.renew(how)
    door.how = how
    if (error === null) {
      door.failure = null
      this.#world.log.info({ listener: door.settings.name }, 'listener renewed')
    } else {
      door.failure = `listeners.${door.settings.name}: ${error.message}; it goes on with what it had`
      this.#world.log.error({ listener: door.settings.name, why: error.message }, 'listener not renewed')
    }
  }

  /** Null: there is no certificate to show. */
  #how(settings: ListenerSettings): ListenHow | null {
    const { type, path, proxyProtocol: proxy } = settings
    const tls = isSecure(settings) ? this.#tls(settings.tls) : null
    if (tls === null && isSecure(settings)) return null
    const frameBytesMax = Math.max(this.#bounds.maxPacketSize, WEBSOCKET_FRAME_BYTES_MIN)
    return {
      unixPath: type === 'unix' ? path : null,
      proxy,
      tls,
      websocket: isWebSocket(settings) ? { path: path ?? DEFAULT_PATH, frameBytesMax } : null,
      arrivalMs: this.#bounds.connectTimeoutMs,
    }
  }

  #tls({ own, anchors, revocations, clientCertificates }: ListenerTls): TlsService | null {
    const shown = own ?? this.#certificate
    if (shown === null) return null
    const trusted = anchors === null ? this.#authorities : [anchors]
    const { certificate, privateKey } = shown
    // Without anchors Node would trust the whole public web.
    if (trusted.length === 0 && clientCertificates !== 'none') return null
    return { certificate, privateKey, anchors: trusted, revocations, clientCertificates }
  }

  #refused(listener: string, from: string, why: string): void {
    this.#world.meter.count(`listener.refused.${why.replaceAll(/[^A-Za-z0-9]+/g, '-').toLowerCase()}`)
    this.#world.log.debug({ listener, address: from, why }, 'connection turned away')
  }
}

const placeOf = ({ type, bind, port, path }: ListenerSettings): string =>
  type === 'unix' ? `unix ${path}` : endpointText({ address: bind, port })

const same = (a: ListenHow, b: ListenHow): boolean => JSON.stringify(a) === JSON.stringify(b)
