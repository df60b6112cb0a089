// Certificates from whoever has the key of the CA, over links that come and go.

import { beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import type { CertificateAuthority, ServiceSubject } from '../../../../src/base/ports/trust.ts'
import { type Issued, Issuing, SERVICE_LIFE_MAX_MS } from '../../../../src/cluster/trust/issuing.ts'
import { KnownKeys } from '../../../../src/cluster/trust/keys.ts'
import { encodeIssue } from '../../../../src/wire/link/issue.ts'
import { Mesh, type MeshNode, nodeIdOf } from '../../../mesh.ts'
import { FakeTrust, MemoryFiles, SeededRandom } from '../fakes.ts'

const CA: CertificateAuthority = { certificate: 'ca|cccccccccccccccc|cakey', privateKey: 'key|cakey' }
const OTHER: CertificateAuthority = { certificate: 'ca|cccccccccccccccc|other', privateKey: 'key|other' }

let mesh: Mesh
beforeEach(() => {
  mesh = new Mesh()
})

class Box {
  readonly id: NodeId
  readonly node: MeshNode
  readonly issuing: Issuing
  readonly keys: KnownKeys
  readonly removed = new Set<NodeId>()
  readonly services: ServiceSubject[] = []
  ca: CertificateAuthority | null
  authority = CA
  stalls = false

  constructor(index: number, ca: CertificateAuthority | null) {
    this.id = nodeIdOf(index)
    this.node = mesh.start(this.id)
    this.ca = ca
    const trust = new FakeTrust(mesh.clock, new SeededRandom(index))
    this.keys = new KnownKeys(new MemoryFiles(mesh.clock), silentLog)
    const world = {
      ...this.node.world,
      trust: {
        issue: (...args: Parameters<FakeTrust['issue']>) => {
          if (!this.stalls) trust.issue(...args)
        },
        read: trust.read.bind(trust),
        signedBy: trust.signedBy.bind(trust),
      },
      issuer: {
        issueService: (
          by: CertificateAuthority,
          subject: ServiceSubject,
          publicKey: string,
          done: (certificate: string | HostError) => void,
        ) => {
          this.services.push(subject)
          done(`service|${subject.commonName}|${publicKey}|${by.privateKey.slice(4)}`)
        },
      },
    }
    this.issuing = new Issuing(world, this.node, this.node, this.keys, {
      standing: () => ({
        authority: { certificate: this.authority.certificate, fingerprint: this.authority.certificate.slice(20) },
        ca: this.ca,
        generation: 0,
        inBundle: false,
      }),
      name: (member) => `gw-${Number.parseInt(member, 16)}`,
      removed: (id) => this.removed.has(id),
    })
  }

  own(publicKey = `k${this.id.at(-1)}`, by: Parameters<Issuing['own']>[2] = null): (Issued | HostError)[] {
    const results: (Issued | HostError)[] = []
    this.issuing.own(publicKey, (result) => results.push(result), by)
    return results
  }

  letIn(node: NodeId): (Issued | HostError)[] {
    const results: (Issued | HostError)[] = []
    this.issuing.letIn(node, 'new', (result) => results.push(result))
    return results
  }

  service(subject: Partial<ServiceSubject> = {}): (Issued | HostError)[] {
    const results: (Issued | HostError)[] = []
    const whole = { commonName: 'gw', names: ['gw.local'], addresses: [], fromMs: 0, toMs: 1000, ...subject }
    this.issuing.service(whole, 'pk', (result) => results.push(result))
    return results
  }
}

const linked = (...boxes: Box[]): void => {
  for (const a of boxes) for (const b of boxes) if (a.id < b.id) mesh.link(a.id, b.id)
  mesh.clock.advance(100)
}
const words = (results: readonly (Issued | HostError)[]): string =>
  results.map((result) => (result instanceof HostError ? result.message : result.certificate)).join('; ')

describe('a certificate', () => {
  test('is signed here when the key is here', () => {
    const box = new Box(1, CA)
    const results = box.own()
    mesh.clock.advance(100)
    expect(results).toEqual([{ certificate: `node|${box.id}|k1|cakey`, authority: CA.certificate }])
  })

  test('is signed by a linked member that has the key, for the id of the link and no other', () => {
    const [issuer, asker] = [new Box(1, CA), new Box(2, null)]
    linked(issuer, asker)
    expect(asker.issuing.holders('cakey')).toEqual([issuer.id])
    expect(issuer.issuing.stands(asker.id)).toMatchObject({ hasKey: false, authority: 'cakey' })
    const [own, service] = [asker.own(), asker.service()]
    mesh.clock.advance(200)
    expect(own).toEqual([{ certificate: `node|${asker.id}|k2|cakey`, authority: CA.certificate }])
    expect(words(service)).toBe('service|gw|pk|cakey')
    expect(issuer.services[0]).toMatchObject({ commonName: 'gw', names: ['gw.local'], fromMs: 0, toMs: 1000 })
  })

  test('can be had as soon as somebody with the key is linked; until then it says which boxes could', () => {
    const [issuer, asker] = [new Box(1, CA), new Box(2, null)]
    const early = asker.own()
    mesh.clock.advance(10)
    expect(words(early)).toContain('no member that this box knows has it')
    linked(issuer, asker)
    mesh.cut(issuer.id, asker.id)
    const late = asker.own()
    mesh.clock.advance(10)
    expect(words(late)).toContain(`it is on gw-1 (${issuer.id}), and none of them is linked`)
    linked(issuer, asker)
    expect(asker.own()).toHaveLength(0)
    mesh.clock.advance(100)
  })

  test('is asked of the next when the first goes away, does not answer, or has lost the key', () => {
    const boxes = [new Box(1, CA), new Box(2, CA), new Box(3, CA), new Box(4, null)] as const
    const [one, two, three, asker] = boxes
    linked(...boxes)
    one.stalls = true
    two.ca = null
    const results = asker.own()
    mesh.clock.advance(50)
    expect(results).toEqual([])
    mesh.cut(one.id, asker.id)
    mesh.clock.advance(200)
    expect(words(results)).toBe(`node|${asker.id}|k4|cakey`)
    three.stalls = true
    const again = asker.own()
    mesh.clock.advance(9000)
    expect(again).toEqual([])
    mesh.clock.advance(3000)
    expect(words(again)).toContain('did not answer')
  })

  test('by a CA that only some have is asked of those', () => {
    const [old, next, asker] = [new Box(1, CA), new Box(2, OTHER), new Box(3, null)]
    next.authority = OTHER
    linked(old, next, asker)
    const results = asker.own('k3', { certificate: OTHER.certificate, fingerprint: 'other' })
    mesh.clock.advance(100)
    expect(results).toEqual([{ certificate: `node|${asker.id}|k3|other`, authority: OTHER.certificate }])
    // Who answers with another CA's is not believed.
    old.issuing.announce()
    asker.authority = OTHER
    next.ca = CA
    const wrong = asker.own()
    mesh.clock.advance(100)
    expect(words(wrong)).toContain('a certificate that the CA has not signed')
  })

  test('for a box that is let in is vouched for by a member, and not for an id that is taken or was removed', () => {
    const [issuer, asker] = [new Box(1, CA), new Box(2, null)]
    linked(issuer, asker)
    const fresh = asker.letIn(nodeIdOf(9))
    mesh.clock.advance(100)
    expect(words(fresh)).toBe(`node|${nodeIdOf(9)}|new|cakey`)
    issuer.removed.add(nodeIdOf(8))
    const refused = [asker.letIn(nodeIdOf(8)), asker.letIn(asker.id), asker.letIn(issuer.id)]
    mesh.clock.advance(300)
    expect(refused.map(words)).toEqual([
      expect.stringContaining('was removed'),
      expect.stringContaining('there is a member'),
      expect.stringContaining('there is a member'),
    ])
  })

  test('for a server has dates, of 825 days at most', () => {
    const [issuer, asker] = [new Box(1, CA), new Box(2, null)]
    linked(issuer, asker)
    const undated = { fromMs: null, toMs: null }
    const refused = [
      asker.service(undated),
      asker.service({ toMs: SERVICE_LIFE_MAX_MS + 1 }),
      asker.service({ fromMs: 5, toMs: 5 }),
    ]
    const device = asker.service({ ...undated, names: [] })
    mesh.clock.advance(500)
    expect(refused.map(words)).toEqual([
      expect.stringContaining('needs dates'),
      expect.stringContaining('825 days'),
      expect.stringContaining('825 days'),
    ])
    expect(words(device)).toBe('service|gw|pk|cakey')
  })
})

describe('bounds', () => {
  test('one request is under way to a member; the others wait, in order, and too many are refused', () => {
    const [issuer, asker] = [new Box(1, CA), new Box(2, null)]
    linked(issuer, asker)
    let requests = 0
    mesh.watch = (from, _to, _channel, message) => {
      if (from === asker.id && message[0] === 2) requests++
    }
    const results = Array.from({ length: 40 }, (_, index) => asker.own(`k${index}`))
    expect(results.filter((each) => each.length > 0).map(words)).toEqual(
      Array.from({ length: 8 }, () => expect.stringContaining('too many')),
    )
    mesh.clock.advance(5)
    expect(requests).toBe(1)
    mesh.clock.advance(5000)
    expect(results.slice(0, 32).map(words)).toEqual(
      Array.from({ length: 32 }, (_, index) => `node|${asker.id}|k${index}|cakey`),
    )
  })

  test('a second request before the answer is refused, as is one to a box without the key', () => {
    const [issuer, asker] = [new Box(1, CA), new Box(2, null)]
    linked(issuer, asker)
    const answers: string[] = []
    mesh.watch = (_from, to, _channel, message) => {
      if (to === asker.id) answers.push(message.toString('latin1'))
    }
    const request = (number: number) => encodeIssue({ kind: 'request', number, wish: { what: 'own', publicKey: 'k' } })
    mesh.inject(asker.id, issuer.id, 'issue', request(1000))
    mesh.inject(asker.id, issuer.id, 'issue', request(1001))
    mesh.clock.advance(100)
    expect(answers.some((answer) => answer.includes('another certificate is being made'))).toBe(true)
    mesh.inject(issuer.id, asker.id, 'issue', request(1))
    mesh.clock.advance(100)
    expect(issuer.node.meter.get('issue.refused.busy')).toBe(1)
    expect(asker.node.meter.get('issue.refused.no key')).toBe(1)
  })

  test('an answer to nothing is nothing', () => {
    const [issuer, asker] = [new Box(1, CA), new Box(2, null)]
    linked(issuer, asker)
    mesh.inject(issuer.id, asker.id, 'issue', encodeIssue({ kind: 'issued', number: 77, certificate: 'x' }))
    const results = asker.own()
    mesh.clock.advance(100)
    expect(words(results)).toBe(`node|${asker.id}|k2|cakey`)
  })

  test('whoever waits when the identity ends hears so', () => {
    const [issuer, asker] = [new Box(1, CA), new Box(2, null)]
    linked(issuer, asker)
    issuer.stalls = true
    const results = [asker.own(), asker.own()]
    mesh.clock.advance(10)
    asker.issuing.stop()
    expect(results.map(words)).toEqual(['stopped', 'stopped'])
  })
})

test('another key of an id is expected only when it was asked for over a link of that id', () => {
  const [issuer, asker, third] = [new Box(1, CA), new Box(2, null), new Box(3, null)]
  linked(issuer, asker, third)
  for (const box of [issuer, third]) box.keys.agrees(asker.id, 'k2')
  const results = asker.own('k2b')
  mesh.clock.advance(100)
  expect(results).toHaveLength(1)
  expect(issuer.keys.agrees(asker.id, 'k2b')).toBe(true)
  expect(third.keys.agrees(asker.id, 'k2b')).toBe(false)
  mesh.inject(asker.id, third.id, 'issue', encodeIssue({ kind: 'renews', key: 'k2b' }))
  expect(third.keys.agrees(asker.id, 'k2b')).toBe(true)
})
