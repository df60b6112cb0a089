import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { ClusterId, NodeId } from '../../../src/base/ids.ts'
import { HostTrust } from '../../../src/host/trust.ts'
import { factsOf, isSignedBy, issue, makeAuthority, makeKeys, parseCertificate } from '../../../src/host/x509.ts'

const CLUSTER = '0123456789abcdef' as ClusterId
const NODE = 'aaaaaaaaaaaaaaa1' as NodeId

const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-x509-'))
afterAll(() => rmSync(directory, { recursive: true }))

const openssl = (...args: string[]): string =>
  execFileSync('openssl', args, { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const put = (name: string, text: string): string => {
  writeFileSync(join(directory, name), text)
  return name
}
const get = (name: string): string => readFileSync(join(directory, name), 'utf8')

describe('what we make', () => {
  test('is accepted by openssl, strictly, from 1970 to the last second of 9999', async () => {
    const ca = await makeAuthority(CLUSTER)
    const { publicKey } = await makeKeys()
    put('ca.pem', ca.certificate)
    put('node.pem', await issue(ca, NODE, publicKey))
    for (const at of ['0', '4102444800', '253402300798']) {
      for (const purpose of ['sslserver', 'sslclient']) {
        const args = ['-x509_strict', '-attime', at, '-purpose', purpose, '-CAfile', 'ca.pem', 'node.pem']
        expect(openssl('verify', ...args)).toContain('OK')
      }
    }
  })

  test('says of itself what it is for', async () => {
    const ca = await makeAuthority(CLUSTER)
    const { publicKey } = await makeKeys()
    const authority = openssl('x509', '-noout', '-text', '-in', put('ca.pem', ca.certificate))
    expect(authority).toMatch(/Subject: OU ?= ?cluster:0123456789abcdef, CN ?= ?edge-mqtt CA/)
    expect(authority).toMatch(/Not Before: Jan +1 00:00:00 1970 GMT/)
    expect(authority).toMatch(/Not After : Dec 31 23:59:59 9999 GMT/)
    expect(authority).toMatch(/Basic Constraints: critical\s+CA:TRUE/)
    expect(authority).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign/)
    const node = openssl('x509', '-noout', '-text', '-in', put('node.pem', await issue(ca, NODE, publicKey)))
    expect(node).toMatch(/Basic Constraints: critical\s+CA:FALSE/)
    expect(node).toMatch(/Key Usage: critical\s+Digital Signature/)
    expect(node).toMatch(/TLS Web Server Authentication, TLS Web Client Authentication/)
    expect(node).toContain(`URI:edge-mqtt://${CLUSTER}/${NODE}`)
    expect(node).toContain(`DNS:${NODE}.edge-mqtt`)
    const identifier = (text: string, of: string) =>
      new RegExp(`${of} Key Identifier:\\s+(?:keyid:)?([0-9A-F:]{59})`).exec(text)?.[1]
    expect(identifier(node, 'Authority')).toBe(identifier(authority, 'Subject'))
  })

  test('has serial numbers that are positive and never the same', async () => {
    const ca = await makeAuthority(CLUSTER)
    const { publicKey } = await makeKeys()
    const serials = await Promise.all(
      Array.from({ length: 20 }, async () => new X509Certificate(await issue(ca, NODE, publicKey)).serialNumber),
    )
    expect(new Set(serials).size).toBe(20)
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/)
  })
})

describe('a CA of people`s own', () => {
  const kinds: [string, string[]][] = [
    ['RSA', ['rsa:2048']],
    ['P-256', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
    ['P-384', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['Ed25519', ['ed25519']],
  ]

  test.each(kinds)('with a key of kind %s issues node certificates', async (_kind, newkey) => {
    const self = ['-keyout', 'own.key', '-out', 'own.pem', '-subj', '/O=Müller & Söhne/CN=Own CA', '-utf8']
    openssl('req', '-x509', '-newkey', ...newkey, '-nodes', '-days', '10', ...self)
    const ca = { certificate: get('own.pem'), privateKey: get('own.key') }
    const { publicKey } = await makeKeys()
    const certificate = await issue(ca, NODE, publicKey)
    expect(openssl('verify', '-CAfile', 'own.pem', put('node.pem', certificate))).toContain('OK')
    const [node, own] = [parseCertificate(certificate), parseCertificate(ca.certificate)]
    expect(isSignedBy(node, own)).toBe(true)
    expect(isSignedBy(own, own)).toBe(true)
    expect(factsOf(node)).toMatchObject({ kind: 'node', nodeId: NODE })
  })

  test('gives its cluster an id by its key: the same on all boxes, and when the certificate is renewed', () => {
    openssl('genpkey', '-algorithm', 'ed25519', '-out', 'own.key')
    const ids = ['/CN=One', '/CN=Two'].map((subject) => {
      openssl('req', '-x509', '-key', 'own.key', '-days', '10', '-out', 'own.pem', '-subj', subject)
      return factsOf(parseCertificate(get('own.pem')))
    })
    expect(ids[0]).toMatchObject({ kind: 'ca', clusterId: expect.stringMatching(/^[0-9a-f]{16}$/) })
    expect(ids[0]).toHaveProperty('clusterId', (ids[1] as { clusterId: string }).clusterId)
  })

  test('without a key identifier is good enough', async () => {
    const config = '[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\n'
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'own.key',
      '-out',
      'own.pem',
      '-subj',
      '/CN=Bare',
      '-days',
      '10',
      '-config',
      put('bare.cnf', config),
      '-extensions',
      'ca',
      '-addext',
      'subjectKeyIdentifier=none',
    )
    const { publicKey } = await makeKeys()
    const certificate = await issue({ certificate: get('own.pem'), privateKey: get('own.key') }, NODE, publicKey)
    expect(openssl('verify', '-CAfile', 'own.pem', put('node.pem', certificate))).toContain('OK')
  })
})

describe('what is refused, and in which words', () => {
  const trust = new HostTrust()

  test('a private key behind a passphrase', async () => {
    const ca = await makeAuthority(CLUSTER)
    const { privateKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
    })
    expect(trust.matches(ca.certificate, privateKey)).toMatchObject({
      kind: 'invalid',
      message: expect.stringContaining('passphrase'),
    })
  })

  test('a certificate that is neither a CA`s nor a node`s', async () => {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ed25519',
      '-nodes',
      '-keyout',
      'd.key',
      '-out',
      'd.pem',
      '-days',
      '1',
      '-subj',
      '/CN=aaaaaaaaaaaaaaa1',
      '-addext',
      'basicConstraints=critical,CA:FALSE',
    )
    expect(trust.read(get('d.pem'))).toMatchObject({ kind: 'invalid', message: expect.stringContaining('neither') })
  })

  test('a certificate whose subject and alternative name are of two minds', () => {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ed25519',
      '-nodes',
      '-keyout',
      'd.key',
      '-out',
      'd.pem',
      '-days',
      '1',
      '-subj',
      '/CN=aaaaaaaaaaaaaaa1',
      '-addext',
      'basicConstraints=critical,CA:FALSE',
      '-addext',
      'subjectAltName=URI:edge-mqtt://0123456789abcdef/bbbbbbbbbbbbbbb2',
    )
    expect(trust.read(get('d.pem'))).toMatchObject({ kind: 'invalid' })
  })

  test('an issuer that is no CA, and a key that is not the issuer`s', async () => {
    const ca = await makeAuthority(CLUSTER)
    const keys = await makeKeys()
    const node = { certificate: await issue(ca, NODE, keys.publicKey), privateKey: keys.privateKey }
    await expect(issue(node, NODE, keys.publicKey)).rejects.toMatchObject({ message: expect.stringContaining('CA') })
    const mixed = { ...ca, privateKey: keys.privateKey }
    await expect(issue(mixed, NODE, keys.publicKey)).rejects.toMatchObject({ message: expect.stringContaining('key') })
  })
})
