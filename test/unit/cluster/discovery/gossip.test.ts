import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { Meter } from '../../../../src/base/meter.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import { endpointText } from '../../../../src/base/ports/streams.ts'
import { Gossip } from '../../../../src/cluster/discovery/gossip.ts'
import { Members } from '../../../../src/cluster/members/members.ts'
import { encodeMembers, type MemberEntry } from '../../../../src/wire/link/members.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { at, instance, node } from '../fakes.ts'
import { type LaneBox, lanePair } from '../lanebox.ts'
import { Net } from '../net.ts'

const clock = new VirtualClock()

function entry(id: NodeId, more: Partial<MemberEntry> = {}): MemberEntry {
  const told = { instance: instance('1'), endpoints: [at('10.0.0.9')], name: 'gw', version: '1' }
  return { id, ...told, linked: true, left: false, ...more }
}

function gossiping(box: LaneBox, self: NodeId) {
  const members = new Members(self, { clock, log: silentLog })
  const heard: string[] = []
  const gossip = new Gossip(
    box.channels,
    members,
    () => entry(self),
    new Meter(),
    (id, endpoint) => heard.push(`${id[0]} ${endpointText(endpoint)}`),
  )
  box.link()
  return { members, gossip, heard }
}

test('all members are told when a link comes up, however many; those who left are no candidates', () => {
  const [a, b] = lanePair(new Net(clock))
  const near = gossiping(a, node('a'))
  for (let count = 0; count < 200; count++) {
    const id = (0x2000_0000 + count).toString(16).padStart(16, '0') as NodeId
    near.members.told(entry(id, { left: count === 7 }), node('c'))
  }
  const far = gossiping(b, node('b'))
  clock.advance(100)
  expect([a.error, b.error]).toEqual([null, null])
  expect(far.members.size).toBe(201)
  // 199 of the 200, and the teller itself.
  expect(far.heard).toHaveLength(200)
  expect(near.heard).toEqual(['b 10.0.0.9:4883'])
})

test('a change is told, but not to the member that it is about', () => {
  const [a, b] = lanePair(new Net(clock))
  const near = gossiping(a, node('a'))
  const far = gossiping(b, node('b'))
  clock.advance(100)
  const before = b.frames.length
  near.gossip.tell(near.members.get(node('b'))!)
  clock.advance(100)
  expect(b.frames).toHaveLength(before)
  near.gossip.tell(near.members.told(entry(node('c')), node('d'))!)
  clock.advance(100)
  expect(far.members.member(node('c'))).toMatchObject({ state: 'suspect', linked: false })
})

test('nonsense is the fault of the member that says it', () => {
  const [a, b] = lanePair(new Net(clock))
  const channel = a.open('members', { priority: 'urgent' })
  const far = gossiping(b, node('b'))
  a.link()
  clock.advance(100)
  channel.send(node('b'), encodeMembers([entry(node('c'))]).subarray(0, 20))
  clock.advance(100)
  expect(b.error).toBeInstanceOf(PeerError)
  expect(far.members.size).toBe(0)
})
