// The structure of our certificates (RFC 5280), laid out with node-forge's ASN.1; nothing here signs. node-forge's own
// certificates know RSA only and are signed in JavaScript on the main thread, so keys and signatures are node:crypto's
// and this file puts their bytes in place. It is loaded when a certificate is made: once in a box's life.
//
//   Certificate     = SEQUENCE { TBSCertificate, AlgorithmIdentifier, BIT STRING signature }
//   TBSCertificate  = SEQUENCE { [0] version, serial, AlgorithmIdentifier, issuer, validity, subject, key, [3] extensions }

import { createHash } from 'node:crypto'
import type forge from 'node-forge'
import type { ClusterId, NodeId } from '../base/ids.ts'

export type Asn1Module = typeof forge.asn1
type Asn1 = forge.asn1.Asn1

/** No clock may lock a box out: RFC 5280 4.1.2.5 has 9999-12-31 for "no well-defined expiration date". */
const NOT_BEFORE = '700101000000Z'
const NOT_AFTER = '99991231235959Z'

const OID = {
  commonName: '2.5.4.3',
  organizationalUnit: '2.5.4.11',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

/** Bits of KeyUsage, from the most significant one (RFC 5280 4.2.1.3), with the number of unused bits before them. */
const KEY_USAGE = { digitalSignature: '\x07\x80', certificateAndCrlSign: '\x01\x06' } as const
const TAG_DNS = 2
const TAG_URI = 6
const TAG_ADDRESS = 7

/** How a signing key marks its signatures. */
export interface SignatureAlgorithm {
  readonly oid: string
  /** RSA's algorithm identifiers carry a NULL (RFC 4055); those of elliptic curves carry nothing (RFC 5758, 8410). */
  readonly nullParameters: boolean
}

export interface AuthorityStructure {
  readonly clusterId: ClusterId
  readonly serial: Buffer
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Buffer
  readonly algorithm: SignatureAlgorithm
}

export interface NodeStructure extends AuthorityStructure {
  readonly nodeId: NodeId
  /** The certificate of the CA, whose name and key identifier are repeated byte for byte. */
  readonly authority: Buffer
}

/** A certificate of our CA for somebody who is not a node: a listener's own, or a device's. */
export interface ServiceStructure extends AuthorityStructure {
  readonly commonName: string
  /** What a server is reached by; a client has none. */
  readonly names: readonly string[]
  readonly addresses: readonly Buffer[]
  /** UTCTime or GeneralizedTime texts; null: from 1970 to 9999. */
  readonly validity: { readonly from: string; readonly to: string } | null
  readonly authority: Buffer
}

export const CA_NAME = 'edge-mqtt CA'
export const clusterUnit = (clusterId: string): string => `cluster:${clusterId}`
export const nodeUri = (clusterId: string, nodeId: string): string => `edge-mqtt://${clusterId}/${nodeId}`

/** TBSCertificate of a CA that signs itself. */
export function authorityTbs(asn1: Asn1Module, of: AuthorityStructure): Buffer {
  const der = writer(asn1)
  const name = der.sequence(
    der.nameText(OID.organizationalUnit, clusterUnit(of.clusterId)),
    der.nameText(OID.commonName, CA_NAME),
  )
  const extensions = [
    der.extension(OID.basicConstraints, true, der.sequence(der.boolean(true))),
    der.extension(OID.keyUsage, true, der.bits(KEY_USAGE.certificateAndCrlSign)),
    der.extension(OID.subjectKeyIdentifier, false, der.octets(keyIdentifier(of.publicKey))),
  ]
  return der.bytes(der.tbs(of, name, name, extensions))
}

export interface CrossStructure extends Omit<AuthorityStructure, 'clusterId' | 'publicKey'> {
  /** The certificate of the CA that signs. */
  readonly authority: Buffer
  /** The certificate of the CA that is signed, whose name, key and key identifier are repeated. */
  readonly signed: Buffer
  readonly publicKey: Buffer
}

/** TBSCertificate of a CA whose name and key are certified by another CA. */
export function crossTbs(asn1: Asn1Module, of: CrossStructure): Buffer {
  const der = writer(asn1)
  const issuer = readAuthority(asn1, of.authority)
  const subject = readAuthority(asn1, of.signed)
  const extensions = [
    der.extension(OID.basicConstraints, true, der.sequence(der.boolean(true))),
    der.extension(OID.keyUsage, true, der.bits(KEY_USAGE.certificateAndCrlSign)),
    der.extension(OID.subjectKeyIdentifier, false, der.octets(subject.identifier ?? keyIdentifier(of.publicKey))),
  ]
  if (issuer.identifier !== null) {
    extensions.push(der.extension(OID.authorityKeyIdentifier, false, der.sequence(der.tagged(0, issuer.identifier))))
  }
  return der.bytes(der.tbs(of, issuer.subject, subject.subject, extensions))
}

/** TBSCertificate of a node, to be signed by the CA whose certificate is `of.authority`. */
export function nodeTbs(asn1: Asn1Module, of: NodeStructure): Buffer {
  const der = writer(asn1)
  const { subject, identifier } = readAuthority(asn1, of.authority)
  const alternatives = der.sequence(
    der.tagged(TAG_URI, nodeUri(of.clusterId, of.nodeId)),
    der.tagged(TAG_DNS, `${of.nodeId}.edge-mqtt`),
  )
  const extensions = [
    der.extension(OID.basicConstraints, true, der.sequence()),
    der.extension(OID.keyUsage, true, der.bits(KEY_USAGE.digitalSignature)),
    der.extension(OID.extendedKeyUsage, false, der.sequence(der.oid(OID.serverAuth), der.oid(OID.clientAuth))),
    der.extension(OID.subjectAltName, false, alternatives),
    der.extension(OID.subjectKeyIdentifier, false, der.octets(keyIdentifier(of.publicKey))),
  ]
  if (identifier !== null) {
    extensions.push(der.extension(OID.authorityKeyIdentifier, false, der.sequence(der.tagged(0, identifier))))
  }
  return der.bytes(der.tbs(of, subject, der.sequence(der.nameText(OID.commonName, of.nodeId)), extensions))
}

/** TBSCertificate of a listener (with names or addresses) or of a device (without), to be signed by `of.authority`. */
export function serviceTbs(asn1: Asn1Module, of: ServiceStructure): Buffer {
  const der = writer(asn1)
  const { subject, identifier } = readAuthority(asn1, of.authority)
  const server = of.names.length + of.addresses.length > 0
  const alternatives = [
    ...of.names.map((name) => der.tagged(TAG_DNS, name)),
    ...of.addresses.map((address) => der.tagged(TAG_ADDRESS, address.toString('latin1'))),
  ]
  const extensions = [
    der.extension(OID.basicConstraints, true, der.sequence()),
    der.extension(OID.keyUsage, true, der.bits(KEY_USAGE.digitalSignature)),
    der.extension(OID.extendedKeyUsage, false, der.sequence(der.oid(server ? OID.serverAuth : OID.clientAuth))),
    ...(server ? [der.extension(OID.subjectAltName, false, der.sequence(...alternatives))] : []),
    der.extension(OID.subjectKeyIdentifier, false, der.octets(keyIdentifier(of.publicKey))),
  ]
  if (identifier !== null) {
    extensions.push(der.extension(OID.authorityKeyIdentifier, false, der.sequence(der.tagged(0, identifier))))
  }
  const name = der.sequence(der.nameText(OID.commonName, Buffer.from(of.commonName, 'utf8').toString('latin1')))
  return der.bytes(der.tbs(of, subject, name, extensions, of.validity))
}

/** The certificate as PEM, once the bytes of its TBSCertificate are signed. */
export function certificatePem(
  asn1: Asn1Module,
  tbs: Buffer,
  algorithm: SignatureAlgorithm,
  signature: Buffer,
): string {
  const der = writer(asn1)
  const whole = der.sequence(der.raw(tbs), der.algorithm(algorithm), der.bits(`\x00${signature.toString('latin1')}`))
  const lines =
    der
      .bytes(whole)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

/** RFC 7093 2, method 1: the leftmost 160 bits of a SHA-256; here of the whole SubjectPublicKeyInfo. */
function keyIdentifier(publicKey: Buffer): string {
  return createHash('sha256').update(publicKey).digest().subarray(0, 20).toString('latin1')
}

/** Name and key identifier of a CA; a CA made by hand may have no identifier. */
function readAuthority(asn1: Asn1Module, certificate: Buffer): { subject: Asn1; identifier: string | null } {
  const fields = children(children(parse(asn1, certificate.toString('latin1')))[0])
  // The version is left out of a version 1 certificate, and everything moves up by one.
  const first = fields[0]?.tagClass === asn1.Class.CONTEXT_SPECIFIC ? 1 : 0
  const subject = fields[first + 4]
  if (subject === undefined) throw new Error('no subject')
  const last = fields[fields.length - 1]
  const extensions =
    last?.tagClass === asn1.Class.CONTEXT_SPECIFIC && last.type === 3 ? children(children(last)[0]) : []
  for (const extension of extensions) {
    const [id, ...rest] = children(extension)
    const value = rest[rest.length - 1]
    if (typeof id?.value !== 'string' || asn1.derToOid(id.value) !== OID.subjectKeyIdentifier) continue
    if (typeof value?.value !== 'string') continue
    const identifier = parse(asn1, value.value)
    if (typeof identifier.value === 'string') return { subject, identifier: identifier.value }
  }
  return { subject, identifier: null }
}

const parse = (asn1: Asn1Module, der: string): Asn1 =>
  asn1.fromDer(der, { strict: true, decodeBitStrings: false } as never)

const children = (of: Asn1 | undefined): Asn1[] => (Array.isArray(of?.value) ? of.value : [])

/** Short words for the pieces of DER that a certificate is made of. */
function writer(asn1: Asn1Module) {
  const { Class, Type } = asn1
  const plain = (type: forge.asn1.Type, value: string): Asn1 => asn1.create(Class.UNIVERSAL, type, false, value)
  const sequence = (...parts: Asn1[]): Asn1 => asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, parts)
  const bytes = (of: Asn1): Buffer => Buffer.from(asn1.toDer(of).getBytes(), 'latin1')
  const oid = (id: string): Asn1 => plain(Type.OID, asn1.oidToDer(id).getBytes())
  const octets = (content: string): Asn1 => plain(Type.OCTETSTRING, content)
  const boolean = (value: boolean): Asn1 => plain(Type.BOOLEAN, value ? '\xff' : '\x00')
  const explicit = (tag: number, part: Asn1): Asn1 => asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [part])
  // RFC 5280 4.1.2.5: two digits of the year until 2049, four from then on.
  const time = (text: string): Asn1 => plain(text.length === 13 ? Type.UTCTIME : Type.GENERALIZEDTIME, text)
  const raw = (der: Buffer): Asn1 => parse(asn1, der.toString('latin1'))
  const algorithm = (of: SignatureAlgorithm): Asn1 =>
    of.nullParameters ? sequence(oid(of.oid), plain(Type.NULL, '')) : sequence(oid(of.oid))
  return {
    sequence,
    bytes,
    oid,
    octets,
    boolean,
    raw,
    algorithm,
    bits: (content: string): Asn1 => plain(Type.BITSTRING, content),
    tagged: (tag: number, content: string): Asn1 => asn1.create(Class.CONTEXT_SPECIFIC, tag, false, content),
    /** One RelativeDistinguishedName. */
    nameText: (id: string, value: string): Asn1 =>
      asn1.create(Class.UNIVERSAL, Type.SET, true, [sequence(oid(id), plain(Type.UTF8, value))]),
    extension: (id: string, critical: boolean, value: Asn1): Asn1 => {
      const content = octets(bytes(value).toString('latin1'))
      return critical ? sequence(oid(id), boolean(true), content) : sequence(oid(id), content)
    },
    tbs: (
      of: Omit<AuthorityStructure, 'clusterId'>,
      issuer: Asn1,
      subject: Asn1,
      extensions: Asn1[],
      validity: ServiceStructure['validity'] = null,
    ): Asn1 =>
      sequence(
        explicit(0, plain(Type.INTEGER, '\x02')),
        plain(Type.INTEGER, of.serial.toString('latin1')),
        algorithm(of.algorithm),
        issuer,
        validity === null
          ? sequence(plain(Type.UTCTIME, NOT_BEFORE), plain(Type.GENERALIZEDTIME, NOT_AFTER))
          : sequence(time(validity.from), time(validity.to)),
        subject,
        raw(of.publicKey),
        explicit(3, sequence(...extensions)),
      ),
  }
}
