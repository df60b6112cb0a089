// TLS over a circuit through a third box, which sees sealed bytes and nothing else.

import { expect, test } from 'vitest'
import type { ClusterId, NodeId } from '../../../src/base/ids.ts'
import type { SecureFailure } from '../../../src/base/ports/trust.ts'
import { HostClock } from '../../../src/host/clock.ts'
import { type Secured, secure } from '../../../src/host/tls.ts'
import { issue, makeAuthority, makeKeys } from '../../../src/host/x509.ts'
import { Notes } from '../../contract/streams.ts'
import { until } from '../../contract/world.ts'
import { linkBoxes, partBoxes, RelayBox } from '../cluster/circuits.ts'

const CLUSTER = '0123456789abcdef' as ClusterId
const [A, B, C] = ['aaaaaaaaaaaaaaa1', 'bbbbbbbbbbbbbbb1', 'ccccccccccccccc1'] as [NodeId, NodeId, NodeId]

async function boxes(): Promise<{ a: RelayBox; b: RelayBox; c: RelayBox; ends: readonly [Secured, Secured] }> {
  const ca = await makeAuthority(CLUSTER)
  const credentials = async (id: NodeId) => {
    const { publicKey, privateKey } = await makeKeys()
    return { certificate: await issue(ca, id, publicKey), privateKey, anchors: [ca.certificate] }
  }
  const clock = new HostClock()
  const [a, b, c] = [A, B, C].map((id) => new RelayBox(id, clock)) as [RelayBox, RelayBox, RelayBox]
  for (const box of [a, b, c]) box.all = [a, b, c]
  linkBoxes(a, b)
  linkBoxes(b, c)
  const dialled = a.relay.dial(C, B)!
  await until(() => c.accepted.length > 0, 'the circuit')
  const answers: (Secured | SecureFailure)[] = []
  const [forA, forC] = [await credentials(A), await credentials(C)]
  secure(dialled, 'server', forA, 5000, (result) => (answers[0] = result))
  secure(c.accepted[0]!.stream, 'client', forC, 5000, (result) => (answers[1] = result))
  await until(() => answers[0] !== undefined && answers[1] !== undefined, 'both ends')
  for (const answer of answers) expect(answer).toBeTypeOf('object')
  return { a, b, c, ends: answers as [Secured, Secured] }
}

test('both ends know each other, exchange what they like, and the relay reads none of it', async () => {
  const { b, ends } = await boxes()
  expect(ends.map(({ peer }) => peer.nodeId)).toEqual([C, A])
  expect(ends[0].stream.remote.address).toContain(B)
  const [atA, atC] = [new Notes(), new Notes()]
  ends[0].stream.open(atA)
  ends[1].stream.open(atC)
  const secret = Buffer.from('the secret of the two ends ')
  const large = Buffer.concat(Array.from({ length: 20_000 }, () => secret))
  ends[0].stream.write(large)
  ends[1].stream.write(secret)
  await until(() => atC.bytes === large.length && atA.bytes === secret.length, 'all bytes')
  expect(atC.text).toBe(large.toString('latin1'))
  expect(atA.text).toBe(secret.toString('latin1'))
  const carried = Buffer.concat(b.heard)
  expect(carried.length).toBeGreaterThan(large.length)
  expect(carried.includes('the secret')).toBe(false)
  ends[0].stream.end()
  await until(() => atC.ends.length + atA.ends.length === 2, 'the end of both')
})

test('the relay goes: both ends hear of it', async () => {
  const { b, c, ends } = await boxes()
  const [atA, atC] = [new Notes(), new Notes()]
  ends[0].stream.open(atA)
  ends[1].stream.open(atC)
  partBoxes(b, c)
  await until(() => atC.ends.length + atA.ends.length === 2, 'the end of both')
})
