// Keys and certificates: made and signed by node:crypto in libuv's threads, read back through X509Certificate.
//
// Our keys are P-256: made in a millisecond even on a small box, where RSA takes seconds and its signatures make a
// handshake ten times as dear. The CA of people's own may have any key that TLS 1.3 knows: RSA, elliptic curve, Ed25519.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { HostError } from '../base/errors.ts'
import { type ClusterId, ID_BYTES, isId, type NodeId } from '../base/ids.ts'
import type { CertificateAuthority, CertificateFacts, KeyPair, ServiceSubject } from '../base/ports/trust.ts'
import {
  type Asn1Module,
  authorityTbs,
  certificatePem,
  crossTbs,
  nodeTbs,
  type SignatureAlgorithm,
  serviceTbs,
} from './certificate.ts'
import { addressBytes } from './interfaces.ts'

/** RFC 5280 4.1.2.2: positive, at most 20 octets. */
const SERIAL_BYTES = 16

interface Signer extends SignatureAlgorithm {
  readonly digest: string | null
}

/** By `asymmetricKeyType`, for curves also by `namedCurve`. */
const SIGNERS: Readonly<Record<string, Signer>> = {
  rsa: { oid: '1.2.840.113549.1.1.11', nullParameters: true, digest: 'sha256' },
  'ec prime256v1': { oid: '1.2.840.10045.4.3.2', nullParameters: false, digest: 'sha256' },
  'ec secp384r1': { oid: '1.2.840.10045.4.3.3', nullParameters: false, digest: 'sha384' },
  'ec secp521r1': { oid: '1.2.840.10045.4.3.4', nullParameters: false, digest: 'sha512' },
  ed25519: { oid: '1.3.101.112', nullParameters: false, digest: null },
  ed448: { oid: '1.3.101.113', nullParameters: false, digest: null },
}

export async function makeKeys(): Promise<KeyPair> {
  return new Promise((resolve, reject) => {
    const options = {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    } as const
    generateKeyPair('ec', options, (error, publicKey, privateKey) => {
      if (error === null) resolve({ publicKey, privateKey })
      else reject(error)
    })
  })
}

export async function makeAuthority(clusterId: ClusterId): Promise<CertificateAuthority> {
  const [asn1, keys] = await Promise.all([loadAsn1(), makeKeys()])
  const key = createPrivateKey(keys.privateKey)
  const algorithm = signerOf(key)
  const publicKey = spki(createPublicKey(keys.publicKey))
  const tbs = authorityTbs(asn1, { clusterId, serial: serialNumber(), publicKey, algorithm })
  return {
    certificate: certificatePem(asn1, tbs, algorithm, await signed(tbs, key, algorithm)),
    privateKey: keys.privateKey,
  }
}

export async function issue(ca: CertificateAuthority, nodeId: NodeId, publicKeyPem: string): Promise<string> {
  return issued(ca, publicKeyPem, (asn1, common, authority) =>
    nodeTbs(asn1, { ...common, nodeId, clusterId: clusterIdOf(authority) }),
  )
}

/** The CA of `certificate` as certified by `ca`. */
export async function crossSign(ca: CertificateAuthority, certificate: string): Promise<string> {
  const signed = parseCertificate(certificate)
  if (!signed.ca) throw new HostError('invalid', 'the certificate is not that of a CA')
  const publicKey = signed.publicKey.export({ type: 'spki', format: 'pem' }) as string
  return issued(ca, publicKey, (asn1, common) => crossTbs(asn1, { ...common, signed: signed.raw }))
}

export function publicKeyOf(privateKey: string): string {
  return createPublicKey(parsePrivateKey(privateKey)).export({ type: 'spki', format: 'pem' }) as string
}

/** A certificate for a listener, or, without names and addresses, for a device. */
export async function issueService(
  ca: CertificateAuthority,
  subject: ServiceSubject,
  publicKeyPem: string,
): Promise<string> {
  const { commonName, names, fromMs, toMs } = subject
  const addresses = subject.addresses.flatMap((address) => addressBytes(address) ?? [])
  const validity = fromMs === null || toMs === null ? null : { from: timeText(fromMs), to: timeText(toMs) }
  return issued(ca, publicKeyPem, (asn1, common, authority) =>
    serviceTbs(asn1, { ...common, clusterId: clusterIdOf(authority), commonName, names, addresses, validity }),
  )
}

interface CommonStructure {
  readonly algorithm: SignatureAlgorithm
  readonly serial: Buffer
  readonly publicKey: Buffer
  readonly authority: Buffer
}

async function issued(
  ca: CertificateAuthority,
  publicKeyPem: string,
  tbsOf: (asn1: Asn1Module, common: CommonStructure, authority: X509Certificate) => Buffer,
): Promise<string> {
  const authority = parseCertificate(ca.certificate)
  if (!authority.ca) throw new HostError('invalid', 'the certificate is not that of a CA')
  const key = parsePrivateKey(ca.privateKey)
  if (!authority.checkPrivateKey(key))
    throw new HostError('invalid', 'the private key is not that of the CA certificate')
  const asn1 = await loadAsn1()
  const algorithm = signerOf(key)
  const publicKey = spki(createPublicKey(publicKeyPem))
  const tbs = tbsOf(asn1, { serial: serialNumber(), publicKey, algorithm, authority: authority.raw }, authority)
  return certificatePem(asn1, tbs, algorithm, await signed(tbs, key, algorithm))
}

/** `260131235959Z`; with four digits of the year from 2050 on. */
function timeText(ms: number): string {
  const text = `${new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`
  return Number(text.slice(0, 4)) < 2050 ? text.slice(2) : text
}

/** What a certificate says of itself; throws HostError when it is neither a CA's nor a node's. */
export function factsOf(certificate: X509Certificate): CertificateFacts {
  if (certificate.ca) {
    return { kind: 'ca', clusterId: clusterIdOf(certificate), fingerprint: hash(certificate.raw) }
  }
  const nodeId = nodeIdOf(certificate)
  if (nodeId === null) throw new HostError('invalid', 'the certificate is neither that of a CA nor that of a node')
  return { kind: 'node', nodeId, keyFingerprint: hash(spki(certificate.publicKey)) }
}

export function parseCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw new HostError('invalid', `not a certificate in PEM form (${(error as Error).message})`)
  }
}

export function parsePrivateKey(pem: string): KeyObject {
  // An encrypted key makes OpenSSL ask for its passphrase, and fail in words that say nothing of it.
  if (/ENCRYPTED/.test(pem))
    throw new HostError('invalid', 'the private key is encrypted: a daemon cannot ask for its passphrase')
  try {
    return createPrivateKey(pem)
  } catch (error) {
    throw new HostError('invalid', `not a private key in PEM form (${(error as Error).message})`)
  }
}

/** Whether `certificate` names `ca` as its issuer and bears its signature. Dates are not looked at. */
export function isSignedBy(certificate: X509Certificate, ca: X509Certificate): boolean {
  return ca.ca && certificate.checkIssued(ca) && certificate.verify(ca.publicKey)
}

/**
 * The cluster id stands in the subject of every CA of ours. A CA of people's own has none: its key stands in, so that
 * all boxes with that CA agree, and go on agreeing when the CA certificate is renewed.
 */
function clusterIdOf(ca: X509Certificate): ClusterId {
  const id = lines(ca.subject, 'OU=cluster:').find(isId)
  return (id ?? hash(spki(ca.publicKey)).slice(0, 2 * ID_BYTES)) as ClusterId
}

/** A node is who its subject and its alternative name both say: a CA also signs certificates that are not nodes'. */
function nodeIdOf(certificate: X509Certificate): NodeId | null {
  const [id] = lines(certificate.subject, 'CN=')
  if (id === undefined || !isId(id)) return null
  const names = (certificate.subjectAltName ?? '').split(', ')
  const ours = names.some((name) => /^URI:edge-mqtt:\/\/[0-9a-f]{16}\/[0-9a-f]{16}$/.test(name) && name.endsWith(id))
  return ours ? (id as NodeId) : null
}

const lines = (text: string, prefix: string): string[] =>
  text.split('\n').flatMap((line) => (line.startsWith(prefix) ? [line.slice(prefix.length)] : []))

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

const spki = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })

function serialNumber(): Buffer {
  const serial = randomBytes(SERIAL_BYTES)
  // Neither negative nor with a leading zero, which DER forbids.
  serial[0] = (serial[0]! & 0x3f) | 0x40
  return serial
}

function signerOf(key: KeyObject): Signer {
  const curve = key.asymmetricKeyDetails?.namedCurve
  const kind = `${key.asymmetricKeyType}${curve === undefined ? '' : ` ${curve}`}`
  const signer = SIGNERS[kind]
  if (signer === undefined) throw new HostError('invalid', `cannot sign certificates with a key of type ${kind}`)
  return signer
}

function signed(tbs: Buffer, key: KeyObject, { digest }: Signer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign(digest, tbs, key, (error, signature) => (error === null ? resolve(signature) : reject(error)))
  })
}

/** node-forge's ASN.1 alone: the whole of it takes more than twice as long to load. */
let asn1Once: Promise<Asn1Module> | null = null
function loadAsn1(): Promise<Asn1Module> {
  asn1Once ??= import('node-forge/lib/asn1.js').then((loaded) => loaded.default)
  return asn1Once
}
