// Simulated certificates and TLS: readable texts, signatures that only the holder of a key can make (the simulator
// looks after that), and a short handshake over the stream with TLS 1.3's asymmetry: the client is connected before
// the server has judged its certificate.
//
//   client -> hello               server -> certificate, proof
//   client judges; its own certificate and proof -> ; the client is done
//   server judges; the server is done, or the stream ends with an alert

import { HostError } from '../../src/base/errors.ts'
import type { ClusterId, NodeId } from '../../src/base/ids.ts'
import type { KeyedFailure, KeySide } from '../../src/base/ports/keyed.ts'
import type { ByteStream } from '../../src/base/ports/streams.ts'
import type {
  CertificateAuthority,
  CertificateFacts,
  Credentials,
  KeyPair,
  SecuredPeer,
  SecureFailure,
  Trust,
} from '../../src/base/ports/trust.ts'
import { digest, passwordKey, secretKey, secureByKey } from '../keyed.ts'
import type { SimClock } from './clock.ts'
import { type Dice, hash64 } from './random.ts'
import { type Sealable, sealable } from './sealed.ts'
import { SimStream } from './stream.ts'

interface Certificate {
  readonly kind: 'ca' | 'node'
  /** The cluster of a CA, the id of a node. */
  readonly subject: string
  readonly publicKey: string
  readonly issuer: string
  readonly signature: string
}

const PRIVATE = 'sim private key '
const PUBLIC = 'sim public key '

const publicOf = (privateKey: string): string => PUBLIC + hash64(`public of ${privateKey}`)
const bodyOf = (certificate: Certificate): string =>
  [certificate.kind, certificate.subject, certificate.publicKey, certificate.issuer].join('|')

function parse(text: string): Certificate | null {
  const fields = text.split('\n')
  if (fields.length !== 6 || fields[0] !== 'SIM CERTIFICATE') return null
  const [, kind, subject, publicKey, issuer, signature] = fields as [string, string, string, string, string, string]
  return kind === 'ca' || kind === 'node' ? { kind, subject, publicKey, issuer, signature } : null
}

const print = ({ kind, subject, publicKey, issuer, signature }: Certificate): string =>
  ['SIM CERTIFICATE', kind, subject, publicKey, issuer, signature].join('\n')

/** The laws of nature about keys, for the whole world: a signature needs the private key. */
export class Notary {
  readonly #privateKeys = new Map<string, string>()

  makeKeys(dice: Dice): KeyPair {
    const privateKey = PRIVATE + dice.bytes(8).toString('hex')
    const publicKey = publicOf(privateKey)
    this.#privateKeys.set(publicKey, privateKey)
    return { privateKey, publicKey }
  }

  makeAuthority(clusterId: ClusterId, dice: Dice): CertificateAuthority {
    const { privateKey, publicKey } = this.makeKeys(dice)
    const unsigned: Certificate = { kind: 'ca', subject: clusterId, publicKey, issuer: publicKey, signature: '' }
    return { certificate: print({ ...unsigned, signature: sign(privateKey, bodyOf(unsigned)) }), privateKey }
  }

  crossSign(ca: CertificateAuthority, certificate: string): string {
    const signed = parse(certificate)!
    const unsigned: Certificate = { ...signed, issuer: publicOf(ca.privateKey), signature: '' }
    return print({ ...unsigned, signature: sign(ca.privateKey, bodyOf(unsigned)) })
  }

  issue(ca: CertificateAuthority, nodeId: NodeId, publicKey: string): string {
    const issuer = publicOf(ca.privateKey)
    const unsigned: Certificate = { kind: 'node', subject: nodeId, publicKey, issuer, signature: '' }
    return print({ ...unsigned, signature: sign(ca.privateKey, bodyOf(unsigned)) })
  }

  verify(publicKey: string, text: string, signature: string): boolean {
    const privateKey = this.#privateKeys.get(publicKey)
    return privateKey !== undefined && sign(privateKey, text) === signature
  }

  signedBy(certificate: Certificate, ca: Certificate): boolean {
    if (ca.kind !== 'ca' || certificate.issuer !== ca.publicKey) return false
    return this.verify(ca.publicKey, bodyOf(certificate), certificate.signature)
  }
}

const sign = (privateKey: string, text: string): string => hash64(`${privateKey} signs ${text}`)

export class SimTrust implements Trust {
  readonly #notary: Notary
  readonly #clock: SimClock
  readonly #dice: Dice

  constructor(notary: Notary, clock: SimClock, dice: Dice) {
    this.#notary = notary
    this.#clock = clock
    this.#dice = dice
  }

  makeKeys(done: (keys: KeyPair | HostError) => void): void {
    this.#later('trust.keys', 40, 400, () => done(this.#notary.makeKeys(this.#dice)))
  }

  makeAuthority(clusterId: ClusterId, done: (ca: CertificateAuthority | HostError) => void): void {
    this.#later('trust.authority', 40, 400, () => done(this.#notary.makeAuthority(clusterId, this.#dice)))
  }

  issue(
    ca: CertificateAuthority,
    nodeId: NodeId,
    publicKey: string,
    done: (certificate: string | HostError) => void,
  ): void {
    const fits = this.matches(ca.certificate, ca.privateKey) === true
    const refusal = new HostError('invalid', 'the key is not that of the CA certificate')
    this.#later('trust.issue', 2, 20, () => done(fits ? this.#notary.issue(ca, nodeId, publicKey) : refusal))
  }

  crossSign(ca: CertificateAuthority, certificate: string, done: (cross: string | HostError) => void): void {
    this.#later('trust.cross', 2, 20, () => done(this.#notary.crossSign(ca, certificate)))
  }

  publicKey(privateKey: string): string | HostError {
    return privateKey.startsWith(PRIVATE) ? publicOf(privateKey) : new HostError('invalid', 'not a private key')
  }

  read(text: string): CertificateFacts | HostError {
    const certificate = parse(text)
    if (certificate === null) return new HostError('invalid', 'not a certificate')
    return certificate.kind === 'ca'
      ? { kind: 'ca', clusterId: certificate.subject as ClusterId, fingerprint: hash64(text) }
      : { kind: 'node', nodeId: certificate.subject as NodeId, keyFingerprint: hash64(certificate.publicKey) }
  }

  matches(certificate: string, privateKey: string): boolean | HostError {
    const parsed = parse(certificate)
    if (parsed === null) return new HostError('invalid', 'not a certificate')
    if (!privateKey.startsWith(PRIVATE)) return new HostError('invalid', 'not a private key')
    return parsed.publicKey === publicOf(privateKey)
  }

  signedBy(certificate: string, ca: string): boolean {
    const parsed = parse(certificate)
    const parsedCa = parse(ca)
    return parsed !== null && parsedCa !== null && this.#notary.signedBy(parsed, parsedCa)
  }

  secure(
    plain: ByteStream,
    role: 'server' | 'client',
    credentials: Credentials,
    timeoutMs: number,
    done: (result: { stream: ByteStream; peer: SecuredPeer } | SecureFailure) => void,
  ): void {
    const stream = sealable(plain, this.#clock)
    if (stream.gone) {
      this.#clock.after(0, 'tls.closed', () => done('closed'))
      return
    }
    new Handshake(this.#notary, this.#clock, this.#dice, stream, role, credentials, timeoutMs, done)
  }

  digest = digest
  secretKey = secretKey

  passwordKey(password: string, cluster: ClusterId, done: (key: Buffer | HostError) => void): void {
    this.#later('trust.password', 100, 1500, () => done(passwordKey(password, cluster)))
  }

  secureByKey(
    stream: ByteStream,
    side: KeySide,
    timeoutMs: number,
    done: (result: { stream: ByteStream; identity: string } | KeyedFailure) => void,
  ): void {
    if (!(stream instanceof SimStream)) throw new TypeError('only simulated streams can be secured here')
    if (stream.gone) {
      this.#clock.after(0, 'tls.closed', () => done('closed'))
      return
    }
    const release = (rest: Buffer) => {
      stream.unread(rest)
      stream.detach()
    }
    secureByKey(this.#clock, stream, side, timeoutMs, release, done)
  }

  #later(name: string, lowMs: number, highMs: number, run: () => void): void {
    this.#clock.after(this.#dice.between(lowMs, highMs), name, run)
  }
}

/** A record of the handshake: a byte that is not text, two bytes of length, the text. */
const RECORD = 0x16
const ALERTS: readonly SecureFailure[] = ['foreign CA', 'no certificate', 'bad certificate']

class Handshake {
  readonly #notary: Notary
  readonly #clock: SimClock
  readonly #dice: Dice
  readonly #stream: Sealable
  readonly #role: 'server' | 'client'
  readonly #credentials: Credentials
  readonly #done: (result: { stream: ByteStream; peer: SecuredPeer } | SecureFailure) => void
  readonly #timer: { cancel(): void }
  #heard: Buffer = Buffer.alloc(0)
  #over = false

  constructor(
    notary: Notary,
    clock: SimClock,
    dice: Dice,
    stream: Sealable,
    role: 'server' | 'client',
    credentials: Credentials,
    timeoutMs: number,
    done: (result: { stream: ByteStream; peer: SecuredPeer } | SecureFailure) => void,
  ) {
    this.#notary = notary
    this.#clock = clock
    this.#dice = dice
    this.#stream = stream
    this.#role = role
    this.#credentials = credentials
    this.#done = done
    this.#timer = clock.after(timeoutMs, 'tls.timeout', () => this.#fail('timeout'))
    stream.open({
      received: (buffer, start, end) => this.#received(buffer, start, end),
      drained: () => {},
      closed: (why) => this.#closed(why),
    })
    if (role === 'client') this.#say('hello')
  }

  #received(buffer: Buffer, start: number, end: number): void {
    if (this.#over) return
    this.#heard = Buffer.concat([this.#heard, buffer.subarray(start, end)])
    if (this.#heard[0] !== RECORD) return this.#fail('not TLS')
    if (this.#heard.length < 3) return
    const length = this.#heard.readUInt16BE(1)
    if (this.#heard.length < 3 + length) return
    const text = this.#heard.toString('utf8', 3, 3 + length)
    const rest = this.#heard.subarray(3 + length)
    this.#heard = Buffer.alloc(0)
    // Nothing more is read until this is judged: what came with it stays in the kernel, for the next reader.
    this.#stream.pause()
    this.#stream.unread(rest)
    this.#clock.after(this.#dice.between(0.5, 6), 'tls.judge', () => {
      if (!this.#over) this.#judge(text)
    })
  }

  #judge(text: string): void {
    if (this.#role === 'server' && text === 'hello') {
      this.#stream.resume()
      this.#show()
      return
    }
    // A client shows its certificate whatever it thinks of the server's: each side judges for itself.
    const peer = this.#examine(text)
    if (this.#role === 'client') this.#show()
    if (typeof peer === 'string') return this.#fail(peer)
    this.#over = true
    this.#timer.cancel()
    this.#stream.detach()
    this.#done({ stream: this.#stream, peer })
  }

  #examine(text: string): SecuredPeer | SecureFailure {
    const [shown, proof] = text.split('\f')
    if (shown === undefined || proof === undefined) return 'not TLS'
    if (shown === '') return 'no certificate'
    const [own, ...chain] = shown.split('\v').map(parse)
    if (own === null || own === undefined || own.kind !== 'node') return 'bad certificate'
    const certificate = own
    const anchors = this.#credentials.anchors.map(parse)
    if (!this.#leads(certificate, chain, anchors)) return 'foreign CA'
    if (!this.#notary.verify(certificate.publicKey, shown, proof)) return 'bad certificate'
    const nodeId = certificate.subject as NodeId
    return { nodeId, certificate: print(certificate), keyFingerprint: hash64(certificate.publicKey) }
  }

  /** From a certificate over what was shown with it to an anchor. */
  #leads(
    certificate: Certificate,
    chain: readonly (Certificate | null)[],
    anchors: readonly (Certificate | null)[],
  ): boolean {
    if (anchors.some((ca) => ca !== null && this.#notary.signedBy(certificate, ca))) return true
    const [next, ...rest] = chain
    if (next === undefined || next === null) return false
    return this.#notary.signedBy(certificate, next) && this.#leads(next, rest, anchors)
  }

  #show(): void {
    const { certificate, privateKey, chain = [] } = this.#credentials
    const shown = [certificate, ...chain].join('\v')
    this.#say(`${shown}\f${sign(privateKey, shown)}`)
  }

  #say(text: string): void {
    const length = Buffer.byteLength(text)
    const record = Buffer.alloc(3 + length)
    record[0] = RECORD
    record.writeUInt16BE(length, 1)
    record.write(text, 3)
    this.#stream.write(record)
  }

  #fail(why: SecureFailure): void {
    if (this.#over) return
    this.#over = true
    this.#timer.cancel()
    if (this.#role === 'client') this.#stream.end()
    else if (ALERTS.includes(why)) this.#stream.refuse('refused by peer')
    else this.#stream.destroy()
    this.#done(why)
  }

  #closed(why: string | null): void {
    if (this.#over) return
    this.#over = true
    this.#timer.cancel()
    this.#done(why === 'refused by peer' ? 'refused by peer' : 'closed')
  }
}
