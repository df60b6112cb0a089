// The decisions of letting boxes in, as tables: who may try again and when, whose place may be taken, which box is meant,
// which words people see; and a hostile end of either conversation.

import { beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { Meter } from '../../../../src/base/meter.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import type { ByteStream } from '../../../../src/base/ports/streams.ts'
import { commitmentOf, comparedWords, type Part } from '../../../../src/cluster/enrolment/comparison.ts'
import { type AttemptOutcome, EnrolAttempt } from '../../../../src/cluster/enrolment/enrolattempt.ts'
import { judgeInvite, TTL_MAX_MS } from '../../../../src/cluster/enrolment/invites.ts'
import { replaceable } from '../../../../src/cluster/enrolment/lettingin.ts'
import { approvalKey, keyName, type Means, readKeyName } from '../../../../src/cluster/enrolment/means.ts'
import { pauseAfter } from '../../../../src/cluster/enrolment/targets.ts'
import { Tries, waitMs } from '../../../../src/cluster/enrolment/tries.ts'
import { matching } from '../../../../src/cluster/enrolment/waitinglist.ts'
import { encodeConfirm } from '../../../../src/wire/link/confirm.ts'
import { EnrolKind, encodeGrant, encodeOffer } from '../../../../src/wire/link/enrol.ts'
import { encodeFrame, FrameKind } from '../../../../src/wire/link/frame.ts'
import { decodeHello, encodeHello, type Hello, PROTOCOL } from '../../../../src/wire/link/hello.ts'
import { digest } from '../../../keyed.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { ClusterBox, Lan } from '../clusterbox.ts'
import { at, cluster, FakeTrust, instance, node, SeededRandom } from '../fakes.ts'
import { FakeTls } from '../net.ts'

describe('tries', () => {
  test('wait ever longer, up to a minute, after two that cost nothing', () => {
    expect([0, 1, 2, 3, 4, 5, 9, 50].map(waitMs)).toEqual([0, 0, 0, 1000, 2000, 4000, 60_000, 60_000])
  })

  test('are forgotten when one was right, or after ten minutes', () => {
    const tries = new Tries()
    for (let count = 0; count < 4; count++) tries.wrong('a', 'code', 0)
    expect([tries.waitMs('a', 500), tries.waitMs('b', 500), tries.waitMs('a', 2000)]).toEqual([1500, 0, 0])
    tries.right('a')
    expect(tries.waitMs('a', 500)).toBe(0)
    for (let count = 0; count < 4; count++) tries.wrong('b', 'password', 0)
    tries.wrong('b', 'code', 600_001)
    expect(tries.waitMs('b', 600_001)).toBe(0)
  })

  test('of the password have a bound for all addresses together, those of codes have none', () => {
    const tries = new Tries()
    for (let count = 0; count < 100; count++) tries.wrong(`10.1.${count}.1`, 'code', 1000)
    expect(tries.passwordWaitMs(2000)).toBe(0)
    for (let count = 0; count < 60; count++) tries.wrong(`10.0.${count}.1`, 'password', 1000)
    expect([tries.passwordWaitMs(2000), tries.passwordWaitMs(61_000)]).toEqual([59_000, 0])
    expect(tries.waitMs('10.9.9.9', 2000)).toBe(0)
  })
})

test.each([
  [{ at: 'unreachable', why: '' }, true, 1, 1000],
  [{ at: 'unreachable', why: '' }, false, 1, 2000],
  [{ at: 'unreachable', why: '' }, false, 9, 30_000],
  [{ at: 'refused', reason: 'wrong', why: '' }, false, 1, 30_000],
  [{ at: 'refused', reason: 'used up', why: '' }, false, 1, 15_000],
] as const)(
  'after %j (compared: %s), failure %i, a member is asked again in %i ms',
  (outcome, compared, failures, pause) => {
    expect(pauseAfter(outcome, compared, failures)).toBe(pause)
  },
)

describe('an invite', () => {
  const invite = { issuer: false, uses: 1, endMs: 1000, key: Buffer.alloc(32), by: node('1'), used: [] as NodeId[] }
  test.each([
    ['in time', invite, 999, 'good'],
    ['late', invite, 1000, 'expired'],
    ['used by another', { ...invite, used: [node('3')] }, 1, 'used up'],
    ['with the longest life', { ...invite, endMs: TTL_MAX_MS }, 0, 'good'],
    ['made by a clock that was ahead', { ...invite, endMs: TTL_MAX_MS + 1 }, 0, 'expired'],
    ['used by itself', { ...invite, used: [node('2')] }, 5000, 'good'],
  ] as const)('%s', (_what, given, nowMs, verdict) => {
    expect(judgeInvite(given, node('2'), nowMs)).toBe(verdict)
  })

  test('goes by a name in the clear that is not its code', () => {
    const code = { cluster: '26K', invite: '2AZZ', secret: Buffer.from('0123456789') }
    const names = [{ by: 'code', code }, { by: 'password', password: 'x' }, { by: 'approval' }] satisfies Means[]
    expect(names.map(keyName)).toEqual(['invite-2AZZ', 'password', 'approval'])
    expect(names.map(keyName).map(readKeyName)).toEqual([
      { by: 'code', invite: '2AZZ' },
      { by: 'password' },
      { by: 'approval' },
    ])
    expect(readKeyName('something')).toBeNull()
  })
})

describe('whose place may be taken', () => {
  const of = (id: string, name: string, state: 'alive' | 'suspect' | 'dead' | 'left', linked = false) => ({
    ...{ id: node(id), name, state, linked, endpoints: [at(`10.0.0.${id}`)] },
  })
  const members = [
    of('1', 'a', 'alive', true),
    of('2', 'b', 'dead'),
    of('3', 'c', 'left'),
    of('4', 'd', 'suspect', true),
  ]
  const twice = [...members, of('5', 'b', 'dead')]
  test.each([
    ['a dead one', members, 'b', { id: node('2') }],
    ['one that is out already', members, 'c', { id: null }],
    ['nobody', members, 'x', { wrong: 'no member has the name "x"' }],
    ['one that lives', members, 'a', { wrong: expect.stringContaining('at 10.0.0.1:4883 is alive') }],
    ['one that is only late', members, 'd', { wrong: expect.stringContaining('is alive') }],
    ['one of two dead', twice, 'b', { wrong: expect.stringContaining('edge-mqtt cluster remove ID first') }],
  ])('%s', (_what, given, name, found) => {
    expect(replaceable(given, name)).toEqual(found)
  })
})

describe('which waiting box is meant', () => {
  const row = (id: string, name: string) => ({ address: '', id, name, words: 'w', replaces: null })
  const rows = [row('aaaa1111', 'gw-1'), row('aaaa2222', 'gw-2'), row('bbbb0000', 'aaaa1111')]
  test.each([
    ['aaaa2222', 'aaaa2222'],
    ['aaaa2', 'aaaa2222'],
    ['gw-1', 'aaaa1111'],
    ['bbbb', 'bbbb0000'],
  ])('%s', (wanted, id) => {
    expect(matching(rows, wanted)).toMatchObject({ id })
  })
  test.each([
    ['aaaa', /may be several boxes; waiting: aaaa1111 \(gw-1: w\)/],
    ['aaaa1111', /may be several/],
    ['bbb', /no waiting box is "bbb"/],
  ])('not %s', (wanted, words) => {
    expect(matching(rows, wanted)).toMatchObject({ message: expect.stringMatching(words) })
  })
})

describe('the words', () => {
  const hasher = { digest }
  const part = (who: Part['who'], shown: string): Part => ({ who, hello: Buffer.alloc(64, who.length), shown })
  const [box, member] = [part('box', 'KEY'), part('member', 'CA')]
  const [one, two] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)]

  test('are these for these, so that two versions show the same', () => {
    expect(commitmentOf(hasher, box, one).toString('hex').slice(0, 16)).toBe('fe2bb95d60f69eda')
    expect(comparedWords(hasher, box, one, member, two)).toBe('jungle eight hazel lizard')
  })

  test('depend on every part', () => {
    const all = [
      comparedWords(hasher, box, one, member, two),
      comparedWords(hasher, part('box', 'OTHER'), one, member, two),
      comparedWords(hasher, box, two, member, two),
      comparedWords(hasher, box, one, part('member', 'OTHER'), two),
      comparedWords(hasher, box, one, member, one),
      comparedWords(hasher, { ...box, hello: Buffer.alloc(64) }, one, member, two),
    ]
    expect(new Set(all).size).toBe(all.length)
    expect(commitmentOf(hasher, box, one)).not.toEqual(commitmentOf(hasher, { ...box, who: 'member' }, one))
  })
})

describe('a member that is none', () => {
  let clock: VirtualClock
  let lan: Lan
  let meter: Meter
  beforeEach(() => {
    clock = new VirtualClock()
    lan = new Lan(clock)
    meter = new Meter()
  })

  /** Answers an approval as a member would, and then says what `then` makes of it. */
  function meets(then: (say: (kind: number, body: Buffer) => void, boxId: NodeId) => void): AttemptOutcome[] {
    const random = new SeededRandom(5)
    const trust = new FakeTls(new FakeTrust(clock, random), clock)
    const hello: Hello = {
      ...{ versionMin: 1, versionMax: 1, intent: 'link', cluster: cluster('c') },
      ...{ node: node('9'), instance: instance('9'), nonce: Buffer.alloc(16) },
    }
    const ours = encodeHello(hello)
    lan.net.at('10.0.0.9').listen(
      at('10.0.0.9'),
      (stream: ByteStream) => {
        let heard: Buffer = Buffer.alloc(0)
        stream.write(ours)
        stream.open({
          received: (bytes, start, end) => {
            heard = Buffer.concat([heard, bytes.subarray(start, end)])
            if (heard.length < 64) return
            const theirs = decodeHello(heard.subarray(0, 64)) as Hello
            const diallerHello = Buffer.from(heard.subarray(0, 64))
            const keyOf = () => approvalKey(trust, cluster('c'))
            trust.secureByKey(stream, { role: 'server', keyOf }, 1000, (sealed) => {
              if (typeof sealed === 'string') return
              const say = (kind: number, body: Buffer) => sealed.stream.write(encodeFrame(kind, 0, body))
              sealed.stream.open({ received: () => {}, drained: () => {}, closed: () => {} })
              const about = { clusterPort: 1, endpoints: [], name: 'x', version: '1' }
              say(FrameKind.confirm, encodeConfirm({ acceptorHello: ours, diallerHello, ...about }))
              then(say, theirs.node)
            })
          },
          drained: () => {},
          closed: () => {},
        })
      },
      () => {},
    )
    const outcomes: AttemptOutcome[] = []
    const world = { clock, random, trust, streams: lan.net.at('10.0.0.1'), log: silentLog, meter }
    const attempt = new EnrolAttempt(
      world,
      {
        ...{ to: at('10.0.0.9'), means: { by: 'approval' }, keys: { privateKey: 'key|mine', publicKey: 'mine' } },
        greeter: { id: node('1'), instance: instance('1'), versions: PROTOCOL, cluster: null, credentials: null },
        about: () => ({ clusterPort: 4883, endpoints: [], name: 'gw-1', version: '1' }),
        ...{ givesUp: null, replaces: '', passwordKeys: new Map() },
      },
      { comparing: () => {}, done: (outcome) => outcomes.push(outcome) },
    )
    attempt.start()
    clock.advance(20_000)
    return outcomes
  }
  const CA = `ca|${cluster('c')}|evil`
  const grant = (id: string) =>
    encodeGrant({ certificate: `node|${id}|mine|evil`, anchors: [CA], caKey: null, generation: 0 })

  test('cannot grant before people have compared', () => {
    const outcomes = meets((say, id) => say(EnrolKind.granted, grant(id)))
    expect(outcomes).toEqual([{ at: 'unreachable', why: 'granted before anybody compared' }])
  })

  test('cannot choose its number after it has seen the other', () => {
    const outcomes = meets((say) => {
      say(EnrolKind.offer, encodeOffer({ commitment: Buffer.alloc(32, 1), anchors: [CA] }))
      say(EnrolKind.reveal, Buffer.alloc(16, 2))
    })
    expect(outcomes).toMatchObject([{ at: 'refused', reason: 'changed on the way' }])
  })

  test('cannot give another CA than the one that was compared', () => {
    const outcomes = meets((say, id) => {
      const nonce = Buffer.alloc(16, 3)
      const hello: Hello = {
        ...{ versionMin: 1, versionMax: 1, intent: 'link', cluster: cluster('c') },
        ...{ node: node('9'), instance: instance('9'), nonce: Buffer.alloc(16) },
      }
      const shown = `ca|${cluster('c')}|shown`
      const commitment = commitmentOf({ digest }, { who: 'member', hello: encodeHello(hello), shown }, nonce)
      say(EnrolKind.offer, encodeOffer({ commitment, anchors: [shown] }))
      say(EnrolKind.reveal, nonce)
      say(EnrolKind.granted, grant(id))
    })
    expect(outcomes).toMatchObject([
      { reason: 'changed on the way', why: expect.stringContaining('not the one that was') },
    ])
  })

  test('may say what a later version knows: that is passed over, and counted', () => {
    const outcomes = meets((say) => {
      say(200, Buffer.alloc(8, 1))
      say(EnrolKind.reveal, Buffer.alloc(16))
    })
    expect(outcomes).toMatchObject([{ why: 'a number out of turn' }])
    expect(meter.get('enrol.unknown')).toBe(1)
  })

  test('that falls silent is given up', () => {
    expect(meets(() => {})).toEqual([{ at: 'unreachable', why: 'timeout' }])
  })

  test('that speaks out of turn is left', () => {
    expect(meets((say) => say(EnrolKind.reveal, Buffer.alloc(16)))).toMatchObject([{ why: 'a number out of turn' }])
  })
})

test.each([
  ['nonsense is cut off, and counted', () => Buffer.alloc(200, 0xff), 1, 0],
  ['what only a later version knows is listened to, and that is counted', later, 0, 1],
] as const)('a stranger who seals with the key that everybody knows and says %s', (_name, says, ends, unknown) => {
  const clock = new VirtualClock()
  const lan = new Lan(clock)
  const member = new ClusterBox(lan, 1, {
    bundle: { certificate: 'ca|cccccccccccccccc|cakey', privateKey: 'key|cakey' },
  })
  clock.advance(1000)
  expect(member.started).toBeNull()
  const random = new SeededRandom(9)
  const trust = new FakeTls(new FakeTrust(clock, random), clock)
  const acceptorHello = Buffer.alloc(64)
  let ended = 0
  lan.net.at('10.0.0.66').dial(at('10.0.0.1'), 1000, (stream) => {
    if (stream instanceof HostError) throw stream
    let heard = 0
    stream.open({
      received: (bytes, start, end) => {
        bytes.copy(acceptorHello, heard, start, end)
        heard += end - start
        if (heard < 64) return
        const hello = { versionMin: 1, versionMax: 1, intent: 'enrol', cluster: null, node: node('6') } as const
        const diallerHello = encodeHello({ ...hello, instance: instance('6'), nonce: Buffer.alloc(16) })
        stream.write(diallerHello)
        const side = { role: 'client', identity: 'approval', key: approvalKey(trust, cluster('c')) } as const
        trust.secureByKey(stream, side, 1000, (sealed) => {
          if (typeof sealed === 'string') throw new Error(sealed)
          sealed.stream.open({ received: () => {}, drained: () => {}, closed: () => ended++ })
          sealed.stream.write(says({ acceptorHello, diallerHello }))
        })
      },
      drained: () => {},
      closed: () => {},
    })
  })
  clock.advance(2000)
  expect(ended).toBe(ends)
  expect(member.status.waiting).toEqual([])
  expect([member.meter.get('enrol.ended'), member.meter.get('enrol.unknown')]).toEqual([ends, unknown])
  member.stop()
  clock.advance(5000)
  expect(lan.net.streams.filter((stream) => !stream.isClosed)).toEqual([])
})

/** A confirmation, and a frame of a kind that there is not yet. */
function later(hellos: { readonly acceptorHello: Buffer; readonly diallerHello: Buffer }): Buffer {
  const about = { clusterPort: 1, endpoints: [], name: 'x', version: '9' }
  const confirm = encodeFrame(FrameKind.confirm, 0, encodeConfirm({ ...hellos, ...about }))
  return Buffer.concat([confirm, encodeFrame(200, 0, Buffer.alloc(8, 1))])
}
