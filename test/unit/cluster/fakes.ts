// A small outside world for tests of discovery and setup: files in memory, certificates as readable text, a LAN that
// delivers at once.

import { HostError } from '../../../src/base/errors.ts'
import type { ClusterId, InstanceId, NodeId } from '../../../src/base/ids.ts'
import type { DatagramPort, Datagrams, NetInterface } from '../../../src/base/ports/datagrams.ts'
import type { StateFiles } from '../../../src/base/ports/files.ts'
import type { Announcement, FoundService, Names, ServiceType } from '../../../src/base/ports/names.ts'
import type { Random } from '../../../src/base/ports/random.ts'
import type { Endpoint } from '../../../src/base/ports/streams.ts'
import type { CertificateFacts, KeyPair, Trust } from '../../../src/base/ports/trust.ts'
import { Positions } from '../../../src/base/positions.ts'
import { NoKeeper } from '../../../src/broker/ports.ts'
import { CopiedRecords } from '../../../src/cluster/sessions/copiedrecords.ts'
import { digest, passwordKey, secretKey } from '../../keyed.ts'
import type { VirtualClock } from '../../virtual-clock.ts'

export const node = (digit: string): NodeId => digit.repeat(16) as NodeId
export const instance = (digit: string): InstanceId => digit.repeat(16) as InstanceId
export const cluster = (digit: string): ClusterId => digit.repeat(16) as ClusterId
export const at = (address: string, port = 4883): Endpoint => ({ address, port })

/** mulberry32 */
export class SeededRandom implements Random {
  #state: number
  constructor(seed: number) {
    this.#state = seed
  }
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let value = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296
  }
  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => Math.floor(this.fraction() * 256)))
  }
}

/** Writes reach the disk a moment later; `cutAfter` loses everything behind so many of them, as a power cut does. */
export class MemoryFiles implements StateFiles {
  readonly texts = new Map<string, string>()
  readonly secrets = new Set<string>()
  readonly writes: string[] = []
  readonly #clock: VirtualClock
  cutAfter = Number.POSITIVE_INFINITY
  failing: HostError | null = null

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }
  read(name: string): Buffer | null {
    const text = this.texts.get(name)
    return text === undefined ? null : Buffer.from(text)
  }
  write(name: string, bytes: Buffer, secret: boolean, done: (error: HostError | null) => void): void {
    const text = bytes.toString('utf8')
    this.#clock.after(5, 'test.disk', () => {
      if (this.failing !== null) return done(this.failing)
      if (this.writes.length >= this.cutAfter) return
      this.writes.push(name)
      this.texts.set(name, text)
      if (secret) this.secrets.add(name)
      done(null)
    })
  }
}

/** `ca|<cluster>|<key>` and `node|<id>|<key>|<key of the CA>`; a private key is `key|<number>`. */
export class FakeTrust implements Trust {
  readonly #clock: VirtualClock
  readonly #random: Random
  made = 0
  constructor(clock: VirtualClock, random: Random) {
    this.#clock = clock
    this.#random = random
  }
  makeKeys(done: (keys: KeyPair | HostError) => void): void {
    const name = this.#random.bytes(6).toString('hex')
    this.#clock.after(300, 'test.keys', () => done({ privateKey: `key|${name}`, publicKey: name }))
  }
  makeAuthority(id: ClusterId, done: (ca: { certificate: string; privateKey: string } | HostError) => void): void {
    this.made++
    this.makeKeys((keys) => {
      if (keys instanceof HostError) return done(keys)
      done({ certificate: `ca|${id}|${keys.publicKey}`, privateKey: keys.privateKey })
    })
  }
  issue(
    ca: { certificate: string; privateKey: string },
    id: NodeId,
    publicKey: string,
    done: (certificate: string | HostError) => void,
  ): void {
    this.#clock.after(20, 'test.issue', () => done(`node|${id}|${publicKey}|${ca.privateKey.slice(4)}`))
  }
  /** `ca|<cluster>|<key>|<key of the CA that signs>` */
  crossSign(
    ca: { certificate: string; privateKey: string },
    certificate: string,
    done: (cross: string | HostError) => void,
  ): void {
    this.#clock.after(20, 'test.cross', () => done(`${certificate}|${ca.privateKey.slice(4)}`))
  }
  publicKey(privateKey: string): string | HostError {
    return privateKey.startsWith('key|') ? privateKey.slice(4) : new HostError('invalid', 'not a private key')
  }
  read(text: string): CertificateFacts | HostError {
    const [kind, subject = '', key = ''] = text.split('|')
    if (kind === 'ca') return { kind, clusterId: subject as ClusterId, fingerprint: Buffer.from(key).toString('hex') }
    if (kind === 'node') return { kind, nodeId: subject as NodeId, keyFingerprint: key }
    return new HostError('invalid', 'not a certificate in PEM form')
  }
  matches(certificate: string, privateKey: string): boolean | HostError {
    if (!privateKey.startsWith('key|')) return new HostError('invalid', 'not a private key in PEM form')
    return certificate.split('|')[2] === privateKey.slice(4)
  }
  signedBy(certificate: string, ca: string): boolean {
    const [, , key, by] = certificate.split('|')
    // A CA that nobody else signed has signed itself.
    return (by ?? key) === ca.split('|')[2]
  }
  secure(): void {
    throw new Error('nothing is secured in these tests')
  }
  secureByKey(): void {
    throw new Error('nothing is secured in these tests')
  }
  digest = digest
  secretKey = secretKey
  passwordKey(password: string, id: ClusterId, done: (key: Buffer | HostError) => void): void {
    this.#clock.after(100, 'test.password', () => done(passwordKey(password, id)))
  }
}

export const eth0 = (last: number, name = 'eth0'): NetInterface => ({
  name,
  address: `10.0.0.${last}`,
  netmask: '255.255.255.0',
  broadcast: '10.0.0.255',
  loopback: false,
})

export const lo: NetInterface = {
  name: 'lo',
  address: '127.0.0.1',
  netmask: '255.0.0.0',
  broadcast: '127.255.255.255',
  loopback: true,
}

/** One cable: a datagram reaches every bound box at the end of the turn, the sender's own too. */
export class Cable {
  readonly boxes = new Set<(bytes: Buffer, from: Endpoint) => void>()
  readonly clock: VirtualClock
  constructor(clock: VirtualClock) {
    this.clock = clock
  }
}

export class FakeDatagrams implements Datagrams {
  faces: NetInterface[]
  readonly sent: { readonly from: string; readonly to: string; readonly bytes: Buffer }[] = []
  bindError: HostError | null = null
  /** Interfaces that cannot send. */
  readonly broken = new Set<string>()
  open = 0
  asked = 0
  readonly #cable: Cable
  #received: ((bytes: Buffer, from: Endpoint) => void) | null = null
  fail: (where: NetInterface | null, error: HostError) => void = () => {}

  constructor(cable: Cable, faces: NetInterface[]) {
    this.#cable = cable
    this.faces = faces
  }
  interfaces(): readonly NetInterface[] {
    this.asked++
    return this.faces
  }
  /** A datagram from anybody. */
  deliver(bytes: Buffer, address: string): void {
    this.#received?.(bytes, { address, port: 4883 })
  }
  bind(
    _port: number,
    received: (bytes: Buffer, from: Endpoint) => void,
    failed: (where: NetInterface | null, error: HostError) => void,
    done: (result: DatagramPort | HostError) => void,
  ): void {
    this.#cable.clock.soon(() => {
      if (this.bindError !== null) return done(this.bindError)
      this.open++
      this.#received = received
      this.fail = failed
      this.#cable.boxes.add(received)
      done({
        send: (from, to, bytes) => {
          if (this.broken.has(from.name)) return failed(from, new HostError('failed', 'ENETUNREACH'))
          this.sent.push({ from: from.address, to: to.address, bytes: Buffer.from(bytes) })
          this.#cable.clock.soon(() => {
            for (const box of this.#cable.boxes) box(bytes, { address: from.address, port: to.port })
          })
        },
        close: () => {
          this.open--
          this.#received = null
          this.#cable.boxes.delete(received)
        },
      })
    })
  }
}

export class FakeNames implements Names {
  readonly published: ServiceType[] = []
  readonly events: string[] = []
  readonly shared: string[] = []
  found: (service: FoundService) => void = () => {}
  browsing = false
  announce(service: ServiceType): Announcement {
    this.published.push(service)
    this.events.push(`announce ${service.name}`)
    return {
      withdraw: (done) => {
        this.published.splice(this.published.indexOf(service), 1)
        this.events.push(`withdraw ${service.name}`)
        done()
      },
    }
  }
  share(name: string): Announcement {
    this.shared.push(name)
    return {
      withdraw: (done) => {
        this.shared.splice(this.shared.indexOf(name), 1)
        done()
      },
    }
  }
  browse(_type: string, _wants: (name: string) => boolean, found: (service: FoundService) => void): () => void {
    this.browsing = true
    this.found = found
    return () => {
      this.browsing = false
    }
  }
  problem(): string | null {
    return null
  }
}

/** What a cluster's sessions stand on where nothing is kept. */
export function sessionGround(clock: VirtualClock) {
  const positions = new Positions(clock)
  return { positions, records: new CopiedRecords(new NoKeeper(positions), positions), named: null }
}
