// The beginning of a link: one hello each way in the clear, then TLS.
//
//   acceptor                                   dialler
//      | ---------------- hello ---------------> |   within 2 s its first byte, within 5 s all of it; a foreign
//      |                                         |   cluster, itself or another version: hangs up, having said nothing
//      | <--------------- hello ---------------- |
//      | == TLS client ============ TLS server = |
//
// The dialler says nothing after its hello until the acceptor has begun TLS, and the acceptor begins TLS only after that
// hello: so no byte of TLS can ever arrive together with a hello, and more than 64 bytes in the clear are somebody's
// doing. A dialler that wants to be let in says so in its hello (`enrol`) and belongs to no cluster in it; what follows
// the hellos is then sealed with a key instead (see enrolattempt.ts and admissions.ts).

import { PeerError } from '../../base/errors.ts'
import type { ClusterId, InstanceId, NodeId } from '../../base/ids.ts'
import type { Clock, Timer } from '../../base/ports/clock.ts'
import type { Random } from '../../base/ports/random.ts'
import type { ByteStream, StreamHandler } from '../../base/ports/streams.ts'
import type { Credentials, SecuredPeer, SecureFailure, Trust } from '../../base/ports/trust.ts'
import {
  beginsHello,
  commonVersion,
  decodeHello,
  encodeHello,
  HELLO_BYTES,
  type Hello,
  type Intent,
  NONCE_BYTES,
  type Versions,
} from '../../wire/link/hello.ts'

/** A dialler that hears nothing for so long has reached something else, and hangs up without a word. */
export const MAGIC_MS = 2000
export const HELLO_MS = 5000
export const TLS_MS = 5000

export interface GreetingWorld {
  readonly clock: Clock
  readonly random: Random
  readonly trust: Trust
}

/** Who we are, at the moment of the greeting. */
export interface Greeter {
  readonly id: NodeId
  readonly instance: InstanceId
  readonly versions: Versions
  readonly cluster: ClusterId | null
  /** Null: waiting to be let in. */
  readonly credentials: Credentials | null
}

/** Both hellos as they were sent and received, for the confirmation inside TLS. */
export interface Hellos {
  readonly theirs: Hello
  readonly acceptorHello: Buffer
  readonly diallerHello: Buffer
}

export type Greeted =
  | (Hellos & {
      readonly at: 'secured'
      readonly stream: ByteStream
      readonly peer: SecuredPeer
      /** Of the protocol: the one that is spoken, unless a hello was changed on the way. */
      readonly version: number
    })
  /** The dialler wants to be let in; the stream is still in the clear, and nobody reads it. */
  | ({ readonly at: 'enrol'; readonly stream: ByteStream } & Hellos)
  /** `cluster` null: the box belongs to none yet. */
  | { readonly at: 'foreign'; readonly cluster: ClusterId | null }
  | { readonly at: 'self' }
  | { readonly at: 'refused'; readonly reason: RefusalReason }
  /** Nobody's decision: the other side went away. */
  | { readonly at: 'broken'; readonly why: string }

export type RefusalReason =
  | 'not a hello'
  | 'tampered'
  | 'other cluster'
  | 'version'
  | 'timeout'
  | 'not a member yet'
  | Exclude<SecureFailure, 'closed'>

type GreetingState = { at: 'hello'; deadline: Timer } | { at: 'securing' } | { at: 'done' }

export class Greeting implements StreamHandler {
  readonly #world: GreetingWorld
  readonly #greeter: Greeter
  readonly #stream: ByteStream
  readonly #role: 'acceptor' | 'dialler'
  readonly #intent: Intent
  readonly #done: (result: Greeted) => void
  readonly #ours: Hello
  readonly #ourBytes: Buffer
  readonly #theirBytes = Buffer.alloc(HELLO_BYTES)
  readonly #begunMs: number
  #heard = 0
  #state: GreetingState

  /** `done` is called once; unless it gets a stream, the stream is closed. `intent` is a dialler's. */
  constructor(
    world: GreetingWorld,
    greeter: Greeter,
    stream: ByteStream,
    role: 'acceptor' | 'dialler',
    done: (result: Greeted) => void,
    intent: Intent = 'link',
  ) {
    this.#world = world
    this.#greeter = greeter
    this.#stream = stream
    this.#role = role
    this.#intent = intent
    this.#done = done
    this.#ours = {
      ...greeter.versions,
      intent,
      cluster: intent === 'enrol' ? null : greeter.cluster,
      node: greeter.id,
      instance: greeter.instance,
      nonce: world.random.bytes(NONCE_BYTES),
    }
    this.#ourBytes = encodeHello(this.#ours)
    this.#begunMs = world.clock.now()
    const firstMs = role === 'dialler' ? MAGIC_MS : HELLO_MS
    this.#state = { at: 'hello', deadline: this.#deadline(firstMs) }
  }

  start(): void {
    this.#stream.open(this)
    if (this.#role === 'acceptor') this.#stream.write(this.#ourBytes)
  }

  /** Gives up silently. */
  abandon(): void {
    this.#finish({ at: 'broken', why: 'stopped' })
  }

  received(buffer: Buffer, start: number, end: number): void {
    if (this.#state.at !== 'hello') return
    const first = this.#heard === 0
    const taken = buffer.copy(this.#theirBytes, this.#heard, start, Math.min(end, start + HELLO_BYTES - this.#heard))
    this.#heard += taken
    if (!beginsHello(this.#theirBytes, this.#heard)) return this.#refuse('not a hello')
    if (start + taken < end) return this.#refuse('tampered')
    if (this.#heard === HELLO_BYTES) return this.#answer(this.#state.deadline)
    if (!first || this.#role === 'acceptor') return
    this.#state.deadline.cancel()
    this.#state = { at: 'hello', deadline: this.#deadline(this.#begunMs + HELLO_MS - this.#world.clock.now()) }
  }

  drained(): void {}

  closed(why: string | null): void {
    this.#finish({ at: 'broken', why: why ?? 'closed' })
  }

  #answer(deadline: Timer): void {
    const theirs = decodeHello(this.#theirBytes)
    if (theirs instanceof PeerError) return this.#refuse('not a hello')
    const { cluster, credentials } = this.#greeter
    if (theirs.node === this.#ours.node && theirs.instance === this.#ours.instance) return this.#finish({ at: 'self' })
    if (this.#intent === 'enrol') return this.#enrol(theirs, deadline, theirs.cluster)
    if (credentials === null || cluster === null) return this.#refuse('not a member yet')
    if (theirs.intent === 'enrol') {
      return this.#role === 'acceptor' ? this.#enrol(theirs, deadline, cluster) : this.#refuse('not a hello')
    }
    if (theirs.cluster !== cluster) return this.#finish({ at: 'foreign', cluster: theirs.cluster })
    const version = commonVersion(this.#ours, theirs)
    if (version === null) return this.#refuse('version')
    deadline.cancel()
    this.#state = { at: 'securing' }
    if (this.#role === 'dialler') this.#stream.write(this.#ourBytes)
    const tlsRole = this.#role === 'dialler' ? 'server' : 'client'
    this.#world.trust.secure(this.#stream, tlsRole, credentials, TLS_MS, (result) => {
      this.#secured(theirs, version, result)
    })
  }

  /** `into`: the cluster that one of the two is a member of. */
  #enrol(theirs: Hello, deadline: Timer, into: ClusterId | null): void {
    if (into === null) return this.#refuse('not a member yet')
    if (commonVersion(this.#ours, theirs) === null) return this.#refuse('version')
    deadline.cancel()
    this.#state = { at: 'done' }
    if (this.#role === 'dialler') this.#stream.write(this.#ourBytes)
    this.#done({ at: 'enrol', stream: this.#stream, ...this.#hellos(theirs) })
  }

  #secured(theirs: Hello, version: number, result: { stream: ByteStream; peer: SecuredPeer } | SecureFailure): void {
    if (this.#state.at === 'done') {
      if (typeof result === 'object') result.stream.destroy()
      return
    }
    if (result === 'closed') return this.#finish({ at: 'broken', why: 'closed during TLS' })
    if (typeof result === 'string') return this.#finish({ at: 'refused', reason: result })
    this.#state = { at: 'done' }
    this.#done({ at: 'secured', ...result, version, ...this.#hellos(theirs) })
  }

  #hellos(theirs: Hello): Hellos {
    const accepted = this.#role === 'acceptor'
    return {
      theirs,
      acceptorHello: accepted ? this.#ourBytes : this.#theirBytes,
      diallerHello: accepted ? this.#theirBytes : this.#ourBytes,
    }
  }

  #refuse(reason: RefusalReason): void {
    this.#finish({ at: 'refused', reason })
  }

  #finish(result: Greeted): void {
    if (this.#state.at === 'done') return
    if (this.#state.at === 'hello') this.#state.deadline.cancel()
    this.#state = { at: 'done' }
    this.#stream.destroy()
    this.#done(result)
  }

  #deadline(afterMs: number): Timer {
    return this.#world.clock.after(afterMs, 'cluster.greeting', () => this.#refuse('timeout'))
  }
}
