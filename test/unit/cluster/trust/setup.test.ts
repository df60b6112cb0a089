import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import { type InstanceId, NO_CLUSTER } from '../../../../src/base/ids.ts'
import { Meter } from '../../../../src/base/meter.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import type { Sighting } from '../../../../src/cluster/discovery/candidates.ts'
import { setUpAlone } from '../../../../src/cluster/enrolment/firstsetup.ts'
import { type Bundle, defaultClusterSettings, type HardwareTies } from '../../../../src/cluster/settings.ts'
import { type Identity, loadIdentity, nodeFile, renewIdentity } from '../../../../src/cluster/trust/identity.ts'
import { Setup, type SetupResult } from '../../../../src/cluster/trust/setup.ts'
import { type Decision, decideSetup, type Evidence } from '../../../../src/cluster/trust/setupdecision.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import {
  at,
  Cable,
  cluster,
  eth0,
  FakeDatagrams,
  FakeNames,
  FakeTrust,
  instance,
  lo,
  MemoryFiles,
  node,
  SeededRandom,
} from '../fakes.ts'
import { Net } from '../net.ts'

const nothing: Evidence = {
  certificate: false,
  authority: 'none',
  newCluster: false,
  listenedMs: 0,
  heard: null,
  waitingFor: null,
  lowerAppearedMs: null,
}

describe('what to do next', () => {
  const heard = { cluster: cluster('a'), address: '10.0.0.2:4883' }
  const table: [string, Partial<Evidence>, Decision['to']][] = [
    ['a certificate', { certificate: true, authority: 'certificate', newCluster: true, heard }, 'serve'],
    ['a CA with its key', { authority: 'key', heard }, 'issue'],
    ['a CA without its key', { authority: 'certificate', newCluster: true }, 'wait'],
    ['told to make a cluster', { newCluster: true, heard }, 'found'],
    ['nothing yet', { listenedMs: 7999 }, 'listen'],
    ['heard a cluster', { listenedMs: 10, heard }, 'wait'],
    ['heard nobody', { listenedMs: 8000 }, 'found'],
    ['a fresh box goes first', { listenedMs: 8000, lowerAppearedMs: 100 }, 'listen'],
    ['the fresh box that went first is gone', { listenedMs: 12_100, lowerAppearedMs: 100 }, 'found'],
    ['ever new fresh boxes', { listenedMs: 32_000, lowerAppearedMs: 31_999 }, 'found'],
    ['a cluster that is switched off just now', { listenedMs: 8000, waitingFor: cluster('a') }, 'wait'],
    ['a new cluster instead of one that is gone', { newCluster: true, waitingFor: cluster('a') }, 'found'],
  ]
  test.each(table)('%s', (_what, evidence, to) => {
    expect(decideSetup({ ...nothing, ...evidence }).to).toBe(to)
  })

  test('who waits says for whom', () => {
    expect(decideSetup({ ...nothing, heard })).toMatchObject({
      why: `heard cluster ${cluster('a')} at 10.0.0.2:4883; waiting to be let in`,
    })
  })
})

let clock: VirtualClock
let files: MemoryFiles
let trust: FakeTrust
let random: SeededRandom
let results: (SetupResult | HostError)[]
const hardware: HardwareTies = { machineId: 'm1', boardSerial: 's1', firstMac: 'a1' }
const CA = { certificate: `ca|${cluster('a')}|one`, privateKey: 'key|one' }

beforeEach(() => {
  clock = new VirtualClock()
  files = new MemoryFiles(clock)
  random = new SeededRandom(11)
  trust = new FakeTrust(clock, random)
  results = []
})

function load(bundle: Bundle | null = null, ties = hardware): Identity {
  const identity = loadIdentity({ files, trust, random }, { bundle, hardware: ties })
  if (identity instanceof HostError) throw identity
  return identity
}

function begin(identity: Identity, newCluster = false): Setup {
  const setup = new Setup({ clock, random, files, trust, log: silentLog }, identity, {
    instance: instance('5'),
    newCluster,
  })
  setup.start((result) => results.push(result))
  return setup
}

function only(): SetupResult {
  expect(results).toHaveLength(1)
  const result = results[0]!
  if (result instanceof HostError) throw result
  return result
}

const sighting = (differs: Partial<Sighting>): Sighting => ({
  endpoint: at('10.0.0.2'),
  source: 'beacon',
  node: node('b'),
  instance: instance('b'),
  cluster: NO_CLUSTER,
  ...differs,
})

describe('a box with a bundle', () => {
  test('issues its certificate at once and is a member, also after a restart', () => {
    const identity = load(CA)
    begin(identity)
    clock.advance(2000)
    expect(only()).toMatchObject({ state: 'member', clusterId: cluster('a'), ca: CA, founded: false })
    results = []
    const again = load(CA)
    expect(again.id).toBe(identity.id)
    begin(again)
    expect(only()).toMatchObject({
      state: 'member',
      papers: {
        own: { certificate: `node|${identity.id}|${again.own!.privateKey.slice(4)}|one` },
        authority: CA,
        earlier: [],
      },
    })
  })

  test('keeps its keys from other people', () => {
    begin(load(CA))
    clock.advance(2000)
    expect([...files.secrets].sort()).toEqual(['ca.key', 'node.key'])
  })

  test('without the key of the CA waits, and is a member after a restart with the key', () => {
    begin(load({ ...CA, privateKey: null }))
    clock.advance(1000)
    expect(only().state).toBe('waiting')
    results = []
    begin(load(CA))
    clock.advance(1000)
    expect(only().state).toBe('member')
  })
})

describe('a box with nothing', () => {
  test('listens for 8 s and makes a cluster of its own', () => {
    begin(load())
    clock.advance(7999)
    expect(results).toEqual([])
    clock.advance(2000)
    const result = only()
    expect(result).toMatchObject({ state: 'member', founded: true })
    if (result.state === 'member') expect(load().authority).toMatchObject({ ...result.ca, clusterId: result.clusterId })
  })

  test('makes a cluster without listening when told to', () => {
    begin(load(), true)
    clock.advance(1500)
    expect(only().state).toBe('member')
  })

  test('that hears a cluster makes nothing and waits', () => {
    const setup = begin(load())
    clock.advance(3000)
    setup.heard(sighting({ cluster: cluster('c') }))
    clock.advance(100)
    expect(only()).toEqual({
      state: 'waiting',
      cluster: cluster('c'),
      why: `heard cluster ${cluster('c')} at 10.0.0.2:4883; waiting to be let in`,
    })
    expect(trust.made).toBe(0)
    expect(load()).toMatchObject({ own: null, waitingFor: cluster('c') })
  })

  test('that waits makes no cluster when it is started again while the other one is off', () => {
    const setup = begin(load())
    setup.heard(sighting({ cluster: cluster('c') }))
    clock.advance(100)
    results = []
    begin(load())
    clock.advance(20_000)
    expect(only().state).toBe('waiting')
  })

  test('that hears a cluster while it makes its own CA drops that', () => {
    const setup = begin(load())
    clock.advance(8100)
    setup.heard(sighting({ cluster: cluster('c') }))
    clock.advance(5000)
    expect(only().state).toBe('waiting')
    expect(load().authority).toBeNull()
  })

  test('does not mind fresh boxes that began later, nor boxes that say only their port', () => {
    const setup = begin(load())
    setup.heard(sighting({ instance: instance('9') }))
    setup.heard(sighting({ node: null, instance: null, cluster: null }))
    clock.advance(9000)
    expect(only().state).toBe('member')
  })

  test('that cannot write says so', () => {
    files.failing = new HostError('denied', 'node.json: permission denied')
    begin(load(CA))
    clock.advance(2000)
    expect(results).toEqual([files.failing])
  })

  test('that is stopped ends silently', () => {
    const setup = begin(load())
    clock.advance(8100)
    setup.stop()
    clock.advance(60_000)
    expect(results).toEqual([])
  })
})

describe('a box that has left a cluster, and lost its power before it was alone', () => {
  const begun = () => {
    const left = nodeFile({ id: node('7'), waitingFor: null, founded: false, gaveUp: [cluster('b'), cluster('c')] })
    files.texts.set(left.name, left.text)
    const setup = begin(load())
    clock.advance(3000)
    setup.heard(sighting({ cluster: cluster('c') }))
    setup.heard(sighting({ cluster: cluster('b') }))
    return setup
  }

  test('does not wait to be let in there again', () => {
    begun()
    clock.advance(10_000)
    expect(only()).toMatchObject({ state: 'member', founded: true })
    expect(load()).toMatchObject({ waitingFor: null, gaveUp: [cluster('b'), cluster('c')] })
  })

  test('waits for another that it hears', () => {
    begun().heard(sighting({ cluster: cluster('d') }))
    clock.advance(100)
    expect(only()).toMatchObject({ state: 'waiting', cluster: cluster('d') })
  })
})

describe('power that fails during setup', () => {
  test.each([0, 1, 2, 3, 4, 5, 6])('after %i files leaves what the next start makes a member of', (count) => {
    files.cutAfter = count
    begin(load(), true)
    clock.advance(20_000)
    files.cutAfter = Number.POSITIVE_INFINITY
    results = []
    begin(load(), true)
    clock.advance(20_000)
    expect(only().state).toBe('member')
  })

  test.each([0, 1, 2, 3, 4, 5, 6])('of a copied card, after %i files, never leaves the old identity', (count) => {
    begin(load(CA))
    clock.advance(2000)
    const old = load(CA).id
    const elsewhere = { machineId: 'm1', boardSerial: 's2', firstMac: 'a2' }
    files.cutAfter = files.writes.length + count
    begin(load(CA, elsewhere))
    clock.advance(20_000)
    files.cutAfter = Number.POSITIVE_INFINITY
    results = []
    begin(load(CA, elsewhere))
    clock.advance(20_000)
    expect(only().state).toBe('member')
    expect(load(CA, elsewhere).id).not.toBe(old)
    expect(load(CA, elsewhere).origin).toBe('kept')
  })
})

describe('a living copy', () => {
  function renewed(): Identity {
    const identity = renewIdentity({ files, trust, random }, { bundle: null, hardware })
    if (identity instanceof HostError) throw identity
    return identity
  }

  test('of the box that made the CA keeps the CA', () => {
    begin(load(), true)
    clock.advance(2000)
    const { authority } = load()
    results = []
    begin(renewed())
    clock.advance(2000)
    expect(only()).toMatchObject({ state: 'member', clusterId: authority!.clusterId, founded: false })
    expect(trust.made).toBe(1)
  })

  test('is a member under a new id when it has the key of the CA', () => {
    begin(load(CA))
    clock.advance(2000)
    const old = load().id
    results = []
    begin(renewed())
    clock.advance(2000)
    expect(only().state).toBe('member')
    expect(load().id).not.toBe(old)
  })

  test('waits when it has not', () => {
    begin(load(CA))
    clock.advance(2000)
    files.texts.set('ca.key', '')
    const old = load().id
    results = []
    const identity = renewed()
    begin(identity)
    clock.advance(2000)
    expect(only().state).toBe('waiting')
    expect(load()).toMatchObject({ id: identity.id, own: null })
    expect(identity.id).not.toBe(old)
  })
})

describe('one repair at a time', () => {
  test('is no copy: what ties the node to its hardware follows', () => {
    begin(load(CA))
    clock.advance(2000)
    const { id } = load()
    for (const ties of [
      { ...hardware, firstMac: 'a2' },
      { ...hardware, firstMac: 'a2', boardSerial: 's2' },
    ]) {
      begin(load(CA, ties))
      clock.advance(1000)
      expect(load(CA, ties)).toMatchObject({ id, origin: 'kept' })
    }
  })
})

describe('setup alone, several boxes on one cable', () => {
  function startAll(boxes: readonly { readonly delayMs: number; readonly wallMs: number }[]) {
    const lanClock = new VirtualClock(0)
    const cable = new Cable(lanClock)
    const started = boxes.map(({ delayMs, wallMs }, index) => {
      const own = new SeededRandom(100 + index)
      const world = {
        clock: {
          now: () => lanClock.now(),
          wall: () => wallMs + lanClock.now(),
          after: lanClock.after.bind(lanClock),
          soon: lanClock.soon.bind(lanClock),
        },
        random: own,
        files: new MemoryFiles(lanClock),
        trust: new FakeTrust(lanClock, own),
        datagrams: new FakeDatagrams(cable, [eth0(index + 1), lo]),
        names: new FakeNames(),
        streams: new Net(lanClock).at(`10.0.0.${index + 1}`),
        log: silentLog,
        meter: new Meter(),
      }
      const found: (SetupResult | HostError)[] = []
      lanClock.after(delayMs, 'test.start', () => {
        setUpAlone(world, defaultClusterSettings, { bundle: null, hardware }, (result) => found.push(result))
      })
      return { world, found }
    })
    lanClock.advance(60_000)
    for (const { world } of started) {
      expect(world.datagrams.open).toBe(0)
      expect(world.names.browsing).toBe(false)
    }
    expect(lanClock.timers).toEqual([])
    return started.flatMap(({ found }) => found).map((result) => (result instanceof HostError ? 'error' : result.state))
  }

  test('exactly one makes the cluster, whatever the clocks say and in any order', () => {
    const box = fc.record({ delayMs: fc.integer({ min: 0, max: 7000 }), wallMs: fc.integer({ min: 0, max: 4e12 }) })
    fc.assert(
      fc.property(fc.array(box, { minLength: 1, maxLength: 5 }), (boxes) => {
        expect(startAll(boxes).sort()).toEqual(['member', ...boxes.slice(1).map(() => 'waiting')])
      }),
    )
  })

  test('a box with a member on the cable waits', () => {
    const cable = new Cable(clock)
    const datagrams = new FakeDatagrams(cable, [eth0(1)])
    const names = new FakeNames()
    const settings = { ...defaultClusterSettings, beacon: { ...defaultClusterSettings.beacon, enabled: false } }
    const streams = new Net(clock).at('10.0.0.1')
    const world = { clock, random, files, trust, log: silentLog, meter: new Meter(), datagrams, names, streams }
    setUpAlone(world, settings, { bundle: null, hardware }, (result) => results.push(result))
    clock.advance(2000)
    const text = { c: cluster('c'), n: node('b'), i: '6'.repeat(16) as InstanceId }
    names.found({ instance: 'x', addresses: ['10.0.0.9'], port: 4883, text })
    clock.advance(100)
    expect(only().state).toBe('waiting')
    expect(names.browsing).toBe(false)
  })
})
