// Streams in memory on a virtual clock, and a handshake that looks like TLS from above, for tests of links.

import { HostError } from '../../../src/base/errors.ts'
import type { NodeId } from '../../../src/base/ids.ts'
import type { ByteStream, Endpoint, Listening, StreamHandler, Streams } from '../../../src/base/ports/streams.ts'
import { endpointText } from '../../../src/base/ports/streams.ts'
import type { Credentials, SecuredPeer, SecureFailure, Trust } from '../../../src/base/ports/trust.ts'
import { secureByKey } from '../../keyed.ts'
import type { VirtualClock } from '../../virtual-clock.ts'

/** One end of a connection. What is written arrives `delayMs` later, in order, and is spoilt after the call. */
export class MemoryStream implements ByteStream {
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly #net: Net
  other: MemoryStream | null = null
  #handler: StreamHandler | null = null
  #early: Buffer[] = []
  #state: 'open' | 'ended' | 'closed' = 'open'
  /** While true the kernel takes nothing. */
  #held = false
  #waiting: Buffer[] = []
  #closedWhy: string | null | undefined
  /** Everything that arrived here. */
  arrivedBytes = 0

  constructor(net: Net, local: Endpoint, remote: Endpoint) {
    this.#net = net
    this.local = local
    this.remote = remote
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  open(handler: StreamHandler): void {
    this.#handler = handler
    const early = this.#early
    this.#early = []
    for (const bytes of early) this.#handler.received(bytes, 0, bytes.length)
    if (this.#closedWhy !== undefined) handler.closed(this.#closedWhy)
  }

  write(bytes: Buffer): boolean {
    if (this.#state !== 'open') return true
    const copy = Buffer.from(bytes)
    if (this.#held) {
      this.#waiting.push(copy)
      return false
    }
    this.#send(copy)
    return true
  }

  get pendingBytes(): number {
    return this.#waiting.reduce((sum, bytes) => sum + bytes.length, 0)
  }

  hold(): void {
    this.#held = true
  }

  /** The kernel takes what waits, up to `bytes` whole writes. */
  release(writes = Number.POSITIVE_INFINITY): void {
    for (let count = 0; count < writes && this.#waiting.length > 0; count++) this.#send(this.#waiting.shift()!)
    this.#held = this.#waiting.length > 0
    if (this.#held) return
    this.#handler?.drained()
    if (this.#state === 'ended') this.#finish()
  }

  pause(): void {}
  resume(): void {}

  end(): void {
    if (this.#state !== 'open') return
    this.#state = 'ended'
    if (this.#waiting.length === 0) this.#finish()
  }

  #finish(): void {
    this.#net.arrive(this, () => this.other?.shut(null))
    this.#net.clock.soon(() => this.shut(null))
  }

  destroy(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#waiting = []
    this.#net.arrive(this, () => this.other?.shut('reset'))
    this.#net.clock.soon(() => this.#tellClosed(null))
  }

  shut(why: string | null): void {
    if (this.#state === 'closed') return
    // The other side has ended: ours ends behind what is still to be written.
    if (why === null && this.#waiting.length > 0) {
      this.#state = 'ended'
      return
    }
    this.#state = 'closed'
    this.#tellClosed(why)
  }

  #tellClosed(why: string | null): void {
    if (this.#closedWhy !== undefined) return
    this.#closedWhy = why
    this.#handler?.closed(why)
  }

  #send(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length) {
      const end = Math.min(bytes.length, at + this.#net.chunk())
      const part = bytes.subarray(at, end)
      at = end
      this.#net.arrive(this, () => this.other?.take(part))
    }
  }

  take(bytes: Buffer): void {
    if (this.#state === 'closed') return
    this.arrivedBytes += bytes.length
    if (this.#handler === null) {
      this.#early.push(bytes)
      return
    }
    this.#handler.received(bytes, 0, bytes.length)
    bytes.fill(0xee)
  }
}

export class Net {
  readonly clock: VirtualClock
  readonly #listeners = new Map<string, (stream: ByteStream) => void>()
  readonly #cut = new Set<string>()
  /** What arrives after a heal, in order. */
  #late: { from: MemoryStream; run: () => void }[] = []
  readonly streams: MemoryStream[] = []
  delayMs = 1
  /** Largest part in which bytes arrive. */
  chunk = (): number => 64 * 1024
  #port = 40_000

  constructor(clock: VirtualClock) {
    this.clock = clock
  }

  /** Nothing gets from one address to the other any more; nobody is told. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`)
  }

  heal(): void {
    this.#cut.clear()
    const late = this.#late
    this.#late = []
    for (const { from, run } of late) this.arrive(from, run)
  }

  arrive(from: MemoryStream, run: () => void): void {
    this.clock.after(this.delayMs, 'test.net', () => {
      if (this.#cut.has(`${from.local.address}>${from.remote.address}`)) this.#late.push({ from, run })
      else run()
    })
  }

  pair(dialler: string, acceptor: Endpoint): [MemoryStream, MemoryStream] {
    const source = { address: dialler, port: this.#port++ }
    const near = new MemoryStream(this, source, acceptor)
    const far = new MemoryStream(this, acceptor, source)
    near.other = far
    far.other = near
    this.streams.push(near, far)
    return [near, far]
  }

  /** The ports of the box at `address`. */
  at(address: string): Streams {
    return {
      listen: (at, accepted, done) => {
        const port = at.port || this.#port++
        const key = endpointText({ address, port })
        if (this.#listeners.has(key)) return done(new HostError('unavailable', `port ${port} is taken`))
        this.#listeners.set(key, accepted)
        const listening: Listening = { port, close: () => this.#listeners.delete(key) }
        done(listening)
      },
      dial: (to, timeoutMs, done) => {
        let given = false
        const isCut = this.#cut.has(`${address}>${to.address}`) || this.#cut.has(`${to.address}>${address}`)
        this.clock.after(isCut ? timeoutMs : this.delayMs, 'test.dial', () => {
          if (given) return
          const accepted = this.#listeners.get(endpointText(to))
          if (isCut) return done(new HostError('unavailable', 'timed out'))
          if (accepted === undefined) return done(new HostError('unavailable', 'refused'))
          const [near, far] = this.pair(address, to)
          accepted(far)
          done(near)
        })
        return () => {
          given = true
        }
      },
    }
  }
}

/**
 * As TLS 1.3: the client speaks first, the server shows its certificate, the client is through when it has judged that
 * and shown its own; the server is through, or closes, later. Certificates are those of FakeTrust.
 */
export class FakeTls implements Trust {
  readonly #trust: Omit<Trust, 'secure' | 'secureByKey'>
  readonly #clock: VirtualClock
  constructor(trust: Omit<Trust, 'secure' | 'secureByKey'>, clock: VirtualClock) {
    this.#trust = trust
    this.#clock = clock
  }

  makeKeys: Trust['makeKeys'] = (done) => this.#trust.makeKeys(done)
  makeAuthority: Trust['makeAuthority'] = (cluster, done) => this.#trust.makeAuthority(cluster, done)
  issue: Trust['issue'] = (ca, id, key, done) => this.#trust.issue(ca, id, key, done)
  crossSign: Trust['crossSign'] = (ca, certificate, done) => this.#trust.crossSign(ca, certificate, done)
  publicKey: Trust['publicKey'] = (privateKey) => this.#trust.publicKey(privateKey)
  read: Trust['read'] = (text) => this.#trust.read(text)
  matches: Trust['matches'] = (certificate, key) => this.#trust.matches(certificate, key)
  signedBy: Trust['signedBy'] = (certificate, ca) => this.#trust.signedBy(certificate, ca)
  digest: Trust['digest'] = (bytes) => this.#trust.digest(bytes)
  secretKey: Trust['secretKey'] = (secret, salt) => this.#trust.secretKey(secret, salt)
  passwordKey: Trust['passwordKey'] = (password, cluster, done) => this.#trust.passwordKey(password, cluster, done)
  secureByKey: Trust['secureByKey'] = (stream, side, timeoutMs, done) =>
    secureByKey(this.#clock, stream, side, timeoutMs, () => {}, done)

  secure(
    stream: ByteStream,
    role: 'server' | 'client',
    credentials: Credentials,
    timeoutMs: number,
    done: (result: { stream: ByteStream; peer: SecuredPeer } | SecureFailure) => void,
  ): void {
    let heard = ''
    let over = false
    const finish = (result: { stream: ByteStream; peer: SecuredPeer } | SecureFailure) => {
      if (over) return
      over = true
      timer.cancel()
      if (typeof result === 'string') stream.destroy()
      done(result)
    }
    const timer = this.#clock.after(timeoutMs, 'test.tls', () => finish('timeout'))
    const judge = (shown: string): SecuredPeer | SecureFailure => {
      const [certificate = '', ...chain] = shown.split(' ')
      const facts = this.#trust.read(certificate)
      if (certificate === '') return 'no certificate'
      if (facts instanceof HostError || facts.kind !== 'node') return 'bad certificate'
      if (!this.#leads(certificate, chain, credentials.anchors)) return 'foreign CA'
      return { nodeId: facts.nodeId as NodeId, certificate, keyFingerprint: facts.keyFingerprint }
    }
    const heardLine = (line: string): void => {
      if (role === 'server' && line === 'client hello') return void stream.write(mine)
      if (!line.startsWith('certificate ')) return finish('not TLS')
      const verdict = judge(line.slice('certificate '.length))
      if (typeof verdict === 'string') return finish(verdict)
      if (role === 'client') stream.write(mine)
      finish({ stream, peer: verdict })
    }
    const mine = Buffer.from(`certificate ${[credentials.certificate, ...(credentials.chain ?? [])].join(' ')}\n`)
    stream.open({
      received: (bytes, start, end) => {
        heard += bytes.toString('latin1', start, end)
        const at = heard.indexOf('\n')
        if (at < 0 && heard.length > 4000) return finish('not TLS')
        if (at < 0) return
        const line = heard.slice(0, at)
        heard = heard.slice(at + 1)
        if (heard !== '' && !over && role === 'client') return finish('not TLS')
        heardLine(line)
      },
      drained: () => {},
      closed: () => finish(role === 'client' ? 'refused by peer' : 'closed'),
    })
    if (role === 'client') stream.write(Buffer.from('client hello\n'))
  }

  /** From the certificate over what was shown with it to an anchor. */
  #leads(certificate: string, chain: readonly string[], anchors: readonly string[]): boolean {
    if (anchors.some((anchor) => this.#trust.signedBy(certificate, anchor))) return true
    const [next, ...rest] = chain
    return next !== undefined && this.#trust.signedBy(certificate, next) && this.#leads(next, rest, anchors)
  }
}
