import { beforeEach, describe, expect, test } from 'vitest'
import { type ClusterId, NO_CLUSTER, type NodeId } from '../../../../src/base/ids.ts'
import { Meter } from '../../../../src/base/meter.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import { type Endpoint, endpointText } from '../../../../src/base/ports/streams.ts'
import { Candidates, type DialOutcome, type Sighting } from '../../../../src/cluster/discovery/candidates.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { at, cluster, instance, node, SeededRandom } from '../fakes.ts'

interface Attempt {
  readonly to: string
  readonly atMs: number
  readonly expected: NodeId | null
  readonly end: (outcome: DialOutcome) => void
}

const unreachable: DialOutcome = { at: 'unreachable', why: 'nobody there' }

let clock: VirtualClock
let meter: Meter
let attempts: Attempt[]
let own: ClusterId | null
let candidates: Candidates

beforeEach(() => {
  clock = new VirtualClock(0)
  meter = new Meter()
  attempts = []
  own = cluster('a')
  candidates = make()
  candidates.start()
})

function make(): Candidates {
  return new Candidates(
    { clock, random: new SeededRandom(1), log: silentLog, meter },
    { id: () => node('5'), instance: instance('5'), cluster: () => own },
    (to, expected, done) => attempts.push({ to: endpointText(to), atMs: clock.now(), expected, end: done }),
  )
}

const beacon = (endpoint: Endpoint, differs: Partial<Sighting> = {}): Sighting => ({
  endpoint,
  source: 'beacon',
  node: node('b'),
  instance: instance('b'),
  cluster: cluster('a'),
  ...differs,
})
const peer = at('10.0.0.2')
const times = () => attempts.map((attempt) => attempt.atMs)
const last = () => attempts[attempts.length - 1]!

/** Ends each dial at once with `outcome`, for `forMs`. */
function failing(forMs: number, outcome: DialOutcome = unreachable): void {
  for (let spent = 0; spent < forMs; spent += 50) {
    clock.advance(50)
    for (const attempt of attempts.splice(0)) {
      dialled.push(attempt)
      attempt.end(outcome)
    }
  }
}
let dialled: Attempt[] = []
beforeEach(() => {
  dialled = []
})

describe('a stranger', () => {
  test('is dialled as soon as it is heard, once', () => {
    candidates.heard(beacon(peer))
    candidates.heard(beacon(peer))
    clock.advance(0)
    expect(attempts.map(({ to }) => to)).toEqual(['10.0.0.2:4883'])
  })

  test('with a lower id has a moment to dial us first', () => {
    candidates.heard(beacon(peer, { node: node('1') }))
    clock.advance(0)
    expect(attempts).toEqual([])
    clock.advance(300)
    expect(times()).toEqual([300])
  })

  test('that said only its port is dialled too', () => {
    candidates.heard(beacon(peer, { node: null, instance: null, cluster: null }))
    clock.advance(0)
    expect(attempts).toHaveLength(1)
  })

  test.each([
    ['of another cluster', { cluster: cluster('f') }],
    ['of no cluster', { cluster: NO_CLUSTER }],
    ['that cannot be dialled', { endpoint: at('10.0.0.2', 0) }],
    ['that is ourselves, at any address', { node: node('5'), instance: instance('5') }],
  ])('%s is left in peace', (_what, differs) => {
    for (let index = 0; index < 20; index++) {
      candidates.heard(beacon(peer, differs))
      clock.advance(5000)
    }
    expect(attempts).toEqual([])
  })

  test('that cannot be reached is asked ever more rarely, whatever it announces', () => {
    for (let second = 0; second < 3600; second++) {
      candidates.heard(beacon(peer, { instance: instance(second % 2 ? 'b' : 'c') }))
      failing(1000)
    }
    const gaps = dialled.slice(1).map((attempt, index) => attempt.atMs - dialled[index]!.atMs)
    expect(gaps.length).toBeLessThan(14)
    expect(gaps[0]).toBeGreaterThanOrEqual(5000)
    gaps.slice(1).forEach((gap, index) => {
      expect(gap).toBeGreaterThanOrEqual(Math.min(gaps[index]!, 600_000) * 0.99)
    })
    expect(gaps[gaps.length - 1]).toBeGreaterThanOrEqual(600_000)
  })

  test('that is heard no more is not worth a dial', () => {
    candidates.heard(beacon(peer))
    failing(3_600_000)
    // Asked again while it might still be there: after 5, 10, 20, 40 s.
    expect(dialled.length).toBeGreaterThan(2)
    expect(dialled[dialled.length - 1]!.atMs).toBeLessThan(150_000)
  })

  test('found by mDNS is asked for longer than one that has to announce itself', () => {
    candidates.heard(beacon(peer, { source: 'mdns' }))
    failing(1_800_000)
    expect(dialled[dialled.length - 1]!.atMs).toBeGreaterThan(600_000)
  })

  test('of a foreign cluster that now names ours is asked again after the pause of any failure', () => {
    candidates.heard(beacon(peer, { cluster: null }))
    clock.advance(0)
    last().end({ at: 'foreign', cluster: cluster('f') })
    candidates.heard(beacon(peer))
    clock.advance(4999)
    expect(attempts).toHaveLength(1)
    clock.advance(2000)
    expect(attempts).toHaveLength(2)
  })

  test('heard at several addresses is dialled at one at a time', () => {
    candidates.heard(beacon(at('10.0.0.2')))
    candidates.heard(beacon(at('127.0.0.1')))
    clock.advance(1000)
    expect(attempts).toHaveLength(1)
    last().end(unreachable)
    clock.advance(10)
    expect(attempts.map(({ to }) => to)).toEqual(['10.0.0.2:4883', '127.0.0.1:4883'])
  })
})

describe('our own id with another instance', () => {
  const twin = beacon(peer, { node: node('5'), instance: instance('2') })

  test('is dialled once', () => {
    candidates.heard(twin)
    clock.advance(400)
    last().end({ at: 'self' })
    for (let index = 0; index < 500; index++) {
      candidates.heard(twin)
      clock.advance(5000)
    }
    expect(attempts).toHaveLength(1)
  })

  test('is dialled again when it was started anew, after a pause', () => {
    candidates.heard(twin)
    clock.advance(400)
    last().end({ at: 'self' })
    candidates.heard({ ...twin, instance: instance('3') })
    clock.advance(4000)
    expect(attempts).toHaveLength(1)
    clock.advance(3000)
    expect(attempts).toHaveLength(2)
  })
})

describe('a linked node', () => {
  test('is not dialled at any of its addresses, and again soon when its link is lost', () => {
    candidates.linkUp(node('b'), peer)
    candidates.heard(beacon(peer))
    candidates.heard(beacon(at('10.0.0.99')))
    clock.advance(600_000)
    expect(attempts).toEqual([])
    candidates.linkDown(node('b'))
    clock.advance(600)
    expect(attempts.map(({ to, expected }) => [to, expected])).toContainEqual(['10.0.0.2:4883', node('b')])
  })

  test('that was cut off is dialled so often that the end of the cut is not missed, with nothing announcing it', () => {
    candidates.linkUp(node('b'), peer)
    clock.advance(60_000)
    candidates.linkDown(node('b'))
    failing(300_000)
    const gaps = dialled.slice(1).map((attempt, index) => attempt.atMs - dialled[index]!.atMs)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(4050)
    failing(3_600_000)
    expect(dialled.at(-1)!.atMs - dialled.at(-2)!.atMs).toBeGreaterThan(20_000)
  })

  test('that was away for long and is heard again is dialled at once', () => {
    candidates.linkUp(node('b'), peer)
    candidates.linkDown(node('b'))
    failing(7_200_000)
    const before = dialled.length
    const heardMs = clock.now()
    candidates.heard(beacon(peer))
    failing(1000)
    expect(dialled.length).toBeGreaterThan(before)
    expect(dialled[before]!.atMs - heardMs).toBeLessThanOrEqual(1000)
  })

  test('that was heard while a dial to it was failing is dialled again at once', () => {
    candidates.linkUp(node('b'), peer)
    clock.advance(10_000)
    candidates.linkDown(node('b'))
    clock.advance(3000)
    candidates.heard(beacon(peer))
    last().end(unreachable)
    clock.advance(0)
    expect(attempts).toHaveLength(2)
  })

  test('whose link breaks as soon as it is up is dialled ever more rarely', () => {
    const up: number[] = []
    for (let index = 0; index < 8; index++) {
      candidates.linkUp(node('b'), peer)
      up.push(clock.now())
      candidates.linkDown(node('b'))
      while (attempts.length === 0) clock.advance(100)
      attempts.pop()!.end({ at: 'linked', node: node('b') })
    }
    expect(up[7]! - up[6]!).toBeGreaterThan(3000)
  })

  test('cannot be kept away by a datagram in its name', () => {
    candidates.linkUp(node('b'), peer)
    candidates.linkUp(node('c'), at('10.0.0.3'))
    clock.advance(10_000)
    candidates.linkDown(node('b'))
    // Forged: this address is another node's, of another cluster.
    candidates.heard(beacon(peer, { node: node('c'), cluster: cluster('f') }))
    clock.advance(600)
    expect(attempts.map(({ to }) => to)).toEqual(['10.0.0.2:4883'])
  })

  test('that has left is forgotten, but for what people have named', () => {
    candidates.setStatic([at('10.0.0.7')])
    clock.advance(0)
    last().end({ at: 'linked', node: node('b') })
    candidates.linkUp(node('b'), peer)
    candidates.forget(node('b'))
    expect(candidates.entries().map(({ endpoint }) => endpoint)).toEqual([at('10.0.0.7')])
  })
})

describe('static peers', () => {
  const far = at('gw-9.example.org')

  test('are dialled at once and then at least every 30 s', () => {
    candidates.setStatic([far])
    failing(600_000)
    expect(dialled[0]!.atMs).toBeLessThanOrEqual(50)
    expect(dialled.length).toBeGreaterThan(20)
  })

  test('that answer as another cluster are left in peace', () => {
    candidates.setStatic([far])
    failing(590_000, { at: 'foreign', cluster: cluster('f') })
    expect(dialled).toHaveLength(1)
  })

  test('taken out of the list are dialled no more', () => {
    candidates.setStatic([far])
    candidates.setStatic([])
    clock.advance(60_000)
    expect(attempts).toEqual([])
    expect(candidates.entries()).toEqual([])
  })

  test('taken out of the list are still known when they were linked', () => {
    candidates.setStatic([far])
    clock.advance(0)
    last().end({ at: 'linked', node: node('b') })
    candidates.setStatic([])
    expect(candidates.entries()).toMatchObject([{ endpoint: far, proven: true }])
  })
})

describe('cluster join', () => {
  test('dials whatever was before and tells what became of it', () => {
    candidates.heard(beacon(peer))
    clock.advance(0)
    last().end({ at: 'refused', reason: 'foreign CA' })
    const told: DialOutcome[] = []
    candidates.tryNow(peer, (outcome) => told.push(outcome))
    clock.advance(1000)
    last().end(unreachable)
    expect(attempts).toHaveLength(2)
    expect(told).toEqual([unreachable])
  })

  test('of a linked peer says so', () => {
    candidates.linkUp(node('b'), peer)
    const told: DialOutcome[] = []
    candidates.tryNow(peer, (outcome) => told.push(outcome))
    expect(told).toEqual([{ at: 'linked', node: node('b') }])
  })

  test('joins a dial that is under way', () => {
    candidates.heard(beacon(peer))
    clock.advance(0)
    const told: DialOutcome[] = []
    candidates.tryNow(peer, (outcome) => told.push(outcome))
    last().end({ at: 'linked', node: node('b') })
    expect(told).toEqual([{ at: 'linked', node: node('b') }])
    expect(attempts).toHaveLength(1)
  })

  test('without a certificate, and at a stop, is refused', () => {
    const told: DialOutcome[] = []
    candidates.tryNow(peer, (outcome) => told.push(outcome))
    candidates.stop()
    own = null
    candidates.tryNow(peer, (outcome) => told.push(outcome))
    expect(told.map((outcome) => outcome.at)).toEqual(['refused', 'refused'])
  })
})

describe('a box without certificate', () => {
  test('dials nobody, and what it heard counts once it is let in', () => {
    own = null
    candidates.heard(beacon(peer))
    candidates.heard({ endpoint: at('10.0.0.3'), source: 'memory', node: node('c'), instance: null, cluster: null })
    candidates.setStatic([at('10.0.0.4')])
    clock.advance(60_000)
    expect(attempts).toEqual([])
    own = cluster('a')
    candidates.start()
    clock.advance(0)
    expect(attempts).toHaveLength(3)
  })
})

test('a stopped table dials no more', () => {
  candidates.heard(beacon(peer))
  candidates.stop()
  clock.advance(600_000)
  expect(attempts).toEqual([])
  expect(clock.timers).toEqual([])
})

test('one address cannot be dialled more often by announcing one port after the other', () => {
  let port = 1000
  for (let second = 0; second < 3600; second++) {
    candidates.heard(beacon(at('10.0.0.66', port++), { node: null, instance: null }))
    failing(1000)
  }
  // Eight places, each with pauses of up to ten minutes.
  expect(dialled.length).toBeLessThan(8 * 14)
})

test('a flood of newcomers has room made for few of them, so that it costs little', () => {
  const stranger = (index: number) => beacon(at(`10.1.${index >> 8}.${index & 255}`), { cluster: cluster('f') })
  for (let index = 0; index < 256; index++) candidates.heard(stranger(index))
  expect(meter.get('candidates.full')).toBe(0)
  for (let index = 0; index < 1000; index++) {
    candidates.heard(stranger(1000 + index))
    if (index % 100 === 99) clock.advance(20)
  }
  expect(meter.get('candidates.full')).toBe(990)
  expect(candidates.entries()).toHaveLength(256)
})

test('a node has a bounded number of remembered addresses', () => {
  for (let last = 1; last < 50; last++) {
    candidates.linkUp(node('b'), at(`10.0.0.${last}`))
    candidates.linkDown(node('b'))
    clock.advance(1)
  }
  expect(candidates.entries().length).toBeLessThanOrEqual(4)
  expect(candidates.entries().map(({ endpoint }) => endpoint.address)).toContain('10.0.0.49')
})
