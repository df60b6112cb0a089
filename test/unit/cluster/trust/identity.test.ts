import { beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import type { ClusterId } from '../../../../src/base/ids.ts'
import type { Bundle, HardwareTies } from '../../../../src/cluster/settings.ts'
import { clusterOf, type Identity, loadIdentity, renewIdentity } from '../../../../src/cluster/trust/identity.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { cluster, FakeTrust, MemoryFiles, node, SeededRandom } from '../fakes.ts'

let files: MemoryFiles
let trust: FakeTrust
const random = new SeededRandom(5)
const hardware: HardwareTies = { machineId: 'm1', boardSerial: 's1', firstMac: 'a1' }

beforeEach(() => {
  const clock = new VirtualClock()
  files = new MemoryFiles(clock)
  trust = new FakeTrust(clock, random)
})

const CA = { certificate: `ca|${cluster('a')}|one`, privateKey: 'key|one' }
const OTHER = { certificate: `ca|${cluster('f')}|two`, privateKey: 'key|two' }
const NEWER = { certificate: `ca|${cluster('a')}|three`, privateKey: 'key|three' }
const member = {
  'node.crt': `node|${node('5')}|mine|one`,
  'node.key': 'key|mine',
  'ca.crt': CA.certificate,
  'hardware.json': JSON.stringify(hardware),
}

function load(texts: Record<string, string>, bundle: Bundle | null = null, ties = hardware): Identity | HostError {
  for (const [name, text] of Object.entries(texts)) files.texts.set(name, text)
  return loadIdentity({ files, trust, random }, { bundle, hardware: ties })
}

function loaded(...given: Parameters<typeof load>): Identity {
  const identity = load(...given)
  if (identity instanceof HostError) throw identity
  return identity
}

function refused(...given: Parameters<typeof load>): string {
  const error = load(...given)
  expect(error).toBeInstanceOf(HostError)
  expect((error as HostError).kind).toBe('invalid')
  return (error as HostError).message
}

describe('a fresh box', () => {
  test('has a new id and nothing else', () => {
    const identity = loaded({})
    expect(identity).toMatchObject({ own: null, authority: null, origin: 'new', waitingFor: null })
    expect(identity.id).toMatch(/^[0-9a-f]{16}$/)
  })

  test('keeps the id that it had while it waited, and what it waits for', () => {
    const text = JSON.stringify({ id: node('7'), waitingFor: cluster('a') })
    expect(loaded({ 'node.json': text })).toMatchObject({ id: node('7'), origin: 'kept', waitingFor: cluster('a') })
  })

  test.each(['', '{', '[]', 'null', '{"id":"x"}'])('with a damaged node.json (%s) has a new id', (text) => {
    expect(loaded({ 'node.json': text }).origin).toBe('new')
  })

  test('with a bundle knows its CA', () => {
    expect(loaded({}, CA).authority).toMatchObject({ ...CA, clusterId: cluster('a') })
    expect(loaded({}, { ...CA, privateKey: null }).authority?.privateKey).toBeNull()
  })

  test('whose setup was cut off between the key and the certificate of a CA begins again', () => {
    expect(loaded({ 'ca.key': CA.privateKey }).authority).toBeNull()
    expect(loaded({ 'ca.crt': OTHER.certificate, 'ca.key': CA.privateKey }).authority).toBeNull()
  })
})

describe('a member', () => {
  test('is who its certificate says', () => {
    expect(loaded(member)).toMatchObject({
      id: node('5'),
      own: { certificate: member['node.crt'], privateKey: 'key|mine' },
      authority: { certificate: CA.certificate, privateKey: null },
      origin: 'kept',
    })
  })

  test('takes the key of its CA from the bundle', () => {
    expect(loaded(member, CA).authority).toMatchObject(CA)
  })

  test('stays with its CA when the bundle has another one of the same cluster', () => {
    expect(loaded(member, NEWER).authority?.certificate).toBe(CA.certificate)
  })

  test.each([
    ['an unreadable certificate', { 'node.crt': 'rubbish' }, /^node\.crt: not a certificate in PEM form; .*remove/],
    ['the certificate of a CA', { 'node.crt': CA.certificate }, /^node\.crt: not the certificate of a node/],
    ['no key', { 'node.key': '' }, /^node\.key: missing beside node\.crt/],
    ['an unreadable key', { 'node.key': 'rubbish' }, /^node\.key: not a private key in PEM form/],
    ['another key', { 'node.key': 'key|other' }, /^node\.key: not the key of node\.crt/],
    ['the certificate of another CA', { 'ca.crt': NEWER.certificate }, /^node\.crt: not issued by ca\.crt/],
    ['no CA', { 'ca.crt': '' }, /^ca\.crt: missing beside node\.crt/],
    ['an unreadable CA', { 'ca.crt': 'rubbish' }, /^ca\.crt: not a certificate in PEM form/],
    ['the key of another CA', { 'ca.key': 'key|two' }, /^ca\.key: not the key of ca\.crt/],
  ])('with %s is told which file and what to do', (_what, differs, message) => {
    expect(refused({ ...member, ...differs })).toMatch(message)
  })

  test('of another cluster than its bundle does not start', () => {
    const message = refused(member, OTHER)
    expect(message).toContain(`certs/ca.crt: of cluster ${cluster('f')}`)
    expect(message).toContain(`belongs to cluster ${cluster('a')}`)
  })

  test('whose file cannot be read says what the disk said', () => {
    files.read = () => {
      throw new HostError('denied', 'node.crt: permission denied')
    }
    expect(load({})).toMatchObject({ kind: 'denied' })
  })
})

describe('a bundle', () => {
  test.each([
    ['rubbish', { certificate: 'rubbish', privateKey: null }, /^certs\/ca\.crt: not a certificate/],
    ['no CA', { certificate: member['node.crt'], privateKey: null }, /^certs\/ca\.crt: not the certificate of a CA/],
    ['a key of another', { ...CA, privateKey: 'key|two' }, /^certs\/ca\.key: not the key of certs\/ca\.crt/],
    ['a key that is none', { ...CA, privateKey: 'rubbish' }, /^certs\/ca\.key: not a private key/],
  ])('with %s is refused', (_what, bundle, message) => {
    expect(refused({}, bundle)).toMatch(message)
  })

  test('of another cluster does not replace the only key of a CA', () => {
    expect(refused({ 'ca.crt': CA.certificate, 'ca.key': CA.privateKey }, OTHER)).toMatch(/of cluster/)
  })

  test('of another cluster is what a waiting box is given to change its mind', () => {
    expect(loaded({ 'ca.crt': CA.certificate }, OTHER).authority?.clusterId).toBe(cluster('f'))
  })

  test('of people who made their own CA has a cluster id from its fingerprint', () => {
    const fingerprint = 'AB:CD:EF:01:23:45:67:89:aa:bb'
    expect(clusterOf({ clusterId: '' as ClusterId, fingerprint })).toBe('abcdef0123456789')
    expect(clusterOf({ clusterId: '0'.repeat(16) as ClusterId, fingerprint })).toBe('abcdef0123456789')
    expect(clusterOf({ clusterId: cluster('a'), fingerprint })).toBe(cluster('a'))
  })
})

describe('a copied card', () => {
  const elsewhere = { machineId: 'm1', boardSerial: 's2', firstMac: 'a2' }

  test('has a new identity, and the CA that is on it', () => {
    const identity = loaded({ ...member, 'ca.key': CA.privateKey }, null, elsewhere)
    expect(identity).toMatchObject({ own: null, origin: 'copied card', hardware: elsewhere, authority: CA })
    expect(identity.id).not.toBe(node('5'))
  })

  test('of a box that was still waiting has a new id too', () => {
    const texts = { 'node.json': JSON.stringify({ id: node('7') }), 'hardware.json': member['hardware.json'] }
    expect(loaded(texts, null, elsewhere).id).not.toBe(node('7'))
  })

  test('is none where nothing was written down', () => {
    expect(loaded({ ...member, 'hardware.json': '' }, null, elsewhere).id).toBe(node('5'))
  })
})

test('a living copy makes itself a new identity under the same CA', () => {
  loaded(member)
  const identity = renewIdentity({ files, trust, random }, { bundle: null, hardware })
  if (identity instanceof HostError) throw identity
  expect(identity).toMatchObject({ own: null, origin: 'live clone', authority: { certificate: CA.certificate } })
  expect(identity.id).not.toBe(node('5'))
})
