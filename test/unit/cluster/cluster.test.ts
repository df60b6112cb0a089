import { beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { InstanceId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { StampClock } from '../../../src/base/stamps.ts'
import { NoKeeper, NoPeers } from '../../../src/broker/ports.ts'
import { Cluster, type ClusterBox } from '../../../src/cluster/cluster.ts'
import { Replicated } from '../../../src/cluster/maps/replicated.ts'
import { SharedSettings } from '../../../src/cluster/maps/sharedsettings.ts'
import { type ClusterSettings, defaultClusterSettings } from '../../../src/cluster/settings.ts'
import type { JoinOutcome } from '../../../src/cluster/status.ts'
import { ClusterTime } from '../../../src/cluster/time/clustertime.ts'
import { EMPTY, type Message } from '../../../src/wire/message.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import {
  at,
  Cable,
  eth0,
  FakeDatagrams,
  FakeNames,
  FakeTrust,
  MemoryFiles,
  SeededRandom,
  sessionGround,
} from './fakes.ts'
import { FakeTls, Net } from './net.ts'
import { Shelf } from './shelf.ts'

let clock: VirtualClock
let net: Net
let cable: Cable
beforeEach(() => {
  clock = new VirtualClock()
  net = new Net(clock)
  cable = new Cable(clock)
})

const BUNDLE = { certificate: 'ca|cccccccccccccccc|cakey', privateKey: 'key|cakey' }
const TIES = { machineId: '', boardSerial: '', firstMac: '' }

interface Options {
  readonly settings?: Partial<ClusterSettings>
  readonly bundle?: ClusterBox['bundle']
  readonly files?: MemoryFiles
  readonly cable?: Cable
}

class Gateway {
  readonly cluster: Cluster
  readonly files: MemoryFiles
  readonly names = new FakeNames()
  readonly replicated: Replicated
  readonly meter = new Meter()
  readonly got: string[] = []
  /** Ids that it has got since its start. */
  readonly renamed: string[] = []
  started: HostError | null | undefined
  readonly address: string
  readonly settings: ClusterSettings

  constructor(last: number, options: Options = {}) {
    this.address = `10.0.0.${last}`
    const random = new SeededRandom(last * 7919)
    this.files = options.files ?? new MemoryFiles(clock)
    this.settings = { ...defaultClusterSettings, nodeName: `gw-${last}`, version: '0.1.0', ...options.settings }
    const time = new ClusterTime({ clock, synchronised: () => false, log: silentLog, meter: this.meter })
    const stamps = new StampClock(null, () => time.now())
    this.replicated = new Replicated({ clock, random, log: silentLog, meter: this.meter }, stamps, new NoKeeper())
    const world = {
      clock,
      random,
      streams: net.at(this.address),
      datagrams: new FakeDatagrams(options.cable ?? cable, [eth0(last)]),
      names: this.names,
      trust: new FakeTls(new FakeTrust(clock, random), clock),
      issuer: null,
      files: this.files,
      log: silentLog,
      meter: this.meter,
      stamps,
      time,
      lived: time,
      replicated: this.replicated,
      shared: new SharedSettings(this.replicated),
      safekeeping: new Shelf(clock).keeping,
    }
    const bundle = options.bundle === undefined ? BUNDLE : options.bundle
    this.cluster = new Cluster(
      this.settings,
      { ...world, ...sessionGround(clock) },
      {
        bundle,
        hardware: TIES,
        renamed: (id) => this.renamed.push(id),
        devicePorts: () => [{ type: 'mqtt', port: 1883 }],
      },
    )
    this.cluster.attach({
      deliverFromPeer: (message) => {
        this.got.push(`${message.topic} ${message.payload}`)
        return 1
      },
    })
  }

  start(): this {
    this.cluster.start((error) => {
      this.started = error
    })
    return this
  }

  stop(): void {
    let stopped = false
    this.replicated.stop()
    this.cluster.stop(() => {
      stopped = true
    })
    clock.advance(1000)
    expect(stopped).toBe(true)
  }

  /** Names of members by state: `gw-2 alive linked`. */
  get members(): string[] {
    return this.cluster
      .status()
      .members.filter(({ self }) => !self)
      .map(({ name, state, linked }) => `${name} ${state}${linked ? ' linked' : ''}`)
      .sort()
  }

  message(topic: string, payload: string): Message {
    return {
      origin: { node: this.cluster.self.id, incarnation: 1 },
      counter: 1,
      topic,
      qos: 1,
      retain: false,
      payload: Buffer.from(payload),
      properties: EMPTY,
      expiresAt: Number.POSITIVE_INFINITY,
      publisher: 'p' as Message['publisher'],
      stamp: null,
    }
  }
}
const gateway = (last: number, options: Options = {}) => new Gateway(last, options).start()

describe('a cluster', () => {
  test('of three boxes with one CA comes together by beacons alone, and passes messages', () => {
    const boxes = [1, 2, 3].map((last) => gateway(last, { settings: { mdns: { enabled: false } } }))
    expect(boxes.map(({ started }) => started)).toEqual([null, null, null])
    clock.advance(5000)
    expect(boxes.map(({ members }) => members)).toEqual([
      ['gw-2 alive linked', 'gw-3 alive linked'],
      ['gw-1 alive linked', 'gw-3 alive linked'],
      ['gw-1 alive linked', 'gw-2 alive linked'],
    ])
    const [a, b, c] = boxes as [Gateway, Gateway, Gateway]
    const status = a.cluster.status()
    expect(status).toMatchObject({ enabled: true, id: 'cccccccccccccccc', state: 'member', port: 4883, refused: [] })
    expect(status.members[0]).toMatchObject({ self: true, name: 'gw-1', address: '10.0.0.1:4883', state: 'alive' })
    expect(status.members[1]!.rttMs).not.toBeNull()
    let taken = false
    b.cluster.peers.wanted('a/+', false, () => {
      taken = true
    })
    clock.advance(100)
    expect(taken).toBe(true)
    expect([a, b, c].map(({ cluster }) => cluster.routes())).toEqual([1, 0, 1])
    expect(a.cluster.peers.interested('a/b')).toBe(true)
    expect(a.cluster.peers.forward(a.message('a/b', 'hello'))).toBe(1)
    clock.advance(100)
    expect([a.got, b.got, c.got]).toEqual([[], ['a/b hello'], []])
    expect(a.cluster.problems()).toEqual([])
  })

  test('is started by one static peer, and members tell the rest', () => {
    const off = { mdns: { enabled: false }, beacon: { ...defaultClusterSettings.beacon, enabled: false } }
    const hub = gateway(1, { settings: off })
    const others = [2, 3, 4].map((last) => gateway(last, { settings: { ...off, peers: [at(hub.address)] } }))
    clock.advance(8000)
    expect(hub.members).toEqual(['gw-2 alive linked', 'gw-3 alive linked', 'gw-4 alive linked'])
    expect(others[0]!.members).toEqual(['gw-1 alive linked', 'gw-3 alive linked', 'gw-4 alive linked'])
  })

  test('remembers its members on disk', () => {
    const off = { mdns: { enabled: false }, beacon: { ...defaultClusterSettings.beacon, enabled: false } }
    const a = gateway(1, { settings: off })
    const b = gateway(2, { settings: { ...off, peers: [at(a.address)] } })
    clock.advance(8000)
    b.stop()
    const again = gateway(2, { settings: off, files: b.files })
    clock.advance(8000)
    expect(again.members).toEqual(['gw-1 alive linked'])
    expect(again.cluster.self.id).toBe(b.cluster.self.id)
  })

  test('tells a stop from a death, and takes the box back', () => {
    const [a, b] = [gateway(1), gateway(2)]
    clock.advance(5000)
    b.stop()
    expect(a.members).toEqual(['gw-2 dead'])
    gateway(2, { files: b.files })
    clock.advance(5000)
    expect(a.members).toEqual(['gw-2 alive linked'])
    expect(a.cluster.presence!.candidates.entries().length).toBeGreaterThan(0)
  })

  test('a cut: suspect, dead within dead_after, alive again within 10 s of the heal', () => {
    const [a, b] = [gateway(1), gateway(2)]
    clock.advance(5000)
    const since = a.cluster.status().members[1]!.sinceMs
    net.cut(a.address, b.address)
    net.cut(b.address, a.address)
    clock.advance(2900)
    expect(a.members).toEqual(['gw-2 suspect linked'])
    clock.advance(2100)
    expect([a.members, b.members]).toEqual([['gw-2 dead'], ['gw-1 dead']])
    expect(a.cluster.status().members[1]!.sinceMs).toBeGreaterThan(since)
    clock.advance(60_000)
    net.heal()
    clock.advance(10_000)
    expect([a.members, b.members]).toEqual([['gw-2 alive linked'], ['gw-1 alive linked']])
  })

  test('is joined by hand, and says in words what came of it', () => {
    const off = { mdns: { enabled: false }, beacon: { ...defaultClusterSettings.beacon, enabled: false } }
    const [a, b] = [gateway(1, { settings: off }), gateway(2, { settings: off })]
    clock.advance(1000)
    const found: JoinOutcome[] = []
    const join = (to: string) => {
      a.cluster.operator.join({ to: at(to), code: null, replaces: null }, (outcome) => found.push(outcome))
      clock.advance(4000)
    }
    join('10.0.0.2')
    join('10.0.0.1')
    join('10.0.0.77')
    expect(found.map(({ linked }) => linked)).toEqual([true, false, false])
    expect(found.map(({ words }) => words)).toEqual([
      'linked with gw-2 at 10.0.0.2:4883',
      '10.0.0.1:4883 is this node itself',
      '10.0.0.77:4883 is not reached: refused; it stays a candidate and is tried again',
    ])
    expect(b.members).toEqual(['gw-1 alive linked'])
  })
})

describe('a box', () => {
  test('that is fresh may serve at once, listens, and then is alone in a cluster of its own', () => {
    const fresh = gateway(1, { bundle: null })
    expect(fresh.started).toBeNull()
    expect(fresh.cluster.status()).toMatchObject({ state: 'alone', id: null })
    clock.advance(10_000)
    expect(fresh.cluster.status().state).toBe('alone')
    expect(fresh.cluster.status().id).toMatch(/^[0-9a-f]{16}$/)
  })

  test('that hears a cluster waits, and shows the same words as every member until one approves it', () => {
    const [first, second] = [gateway(1), gateway(2)]
    clock.advance(1000)
    const waiting = gateway(3, { bundle: null })
    clock.advance(20_000)
    expect(waiting.cluster.status()).toMatchObject({ state: 'waiting', id: null })
    const { id } = waiting.cluster.self
    const rows = [first, second].map(({ cluster }) => cluster.status().waiting)
    expect(rows[0]).toEqual([
      { address: '10.0.0.3', id, name: 'gw-3', words: expect.stringMatching(/^\w+ \w+ \w+ \w+$/), replaces: null },
    ])
    expect(rows[1]).toEqual(rows[0])
    const { words } = rows[0]![0]!
    expect(waiting.cluster.problems()).toEqual([
      expect.stringMatching(/^not a member of a cluster: heard cluster cccccccccccccccc at 10\.0\.0\.\d:4883; waiting/),
      expect.stringMatching(new RegExp(`shows "${words}" too, and type there: edge-mqtt cluster approve ${id}$`)),
    ])
    expect([first.members, waiting.members]).toEqual([['gw-2 alive linked'], []])
    // On the member that it does not talk to.
    const other = [first, second].find(({ cluster }) => cluster.presence!.lettingIn.own.length === 0)!
    const found: unknown[] = []
    other.cluster.operator.approve(id.slice(0, 4), (result) => found.push(result))
    clock.advance(5000)
    expect(found).toEqual(rows[0])
    expect(waiting.members).toEqual(['gw-1 alive linked', 'gw-2 alive linked'])
    expect([first, second].map(({ cluster }) => cluster.status().waiting)).toEqual([[], []])
    expect(waiting.cluster.problems()).toEqual([])
    expect(waiting.files.texts.get('ca.key')).toBe('')
  })

  test('whose port is taken says so', () => {
    gateway(1)
    const second = gateway(1)
    expect(second.started).toBeInstanceOf(HostError)
    expect(second.started).toMatchObject({ kind: 'unavailable', message: 'cluster.port: port 4883 is taken' })
  })

  test('whose identity is damaged does not start', () => {
    const files = new MemoryFiles(clock)
    files.texts.set('node.crt', 'nonsense')
    files.texts.set('ca.crt', BUNDLE.certificate)
    const broken = gateway(1, { files })
    expect(broken.started).toMatchObject({ kind: 'invalid' })
    expect(broken.cluster.status().members).toHaveLength(1)
    broken.stop()
  })

  test('whose cluster is switched off keeps its id, for when it is switched on', () => {
    const files = new MemoryFiles(clock)
    const off = gateway(1, { settings: { enabled: false }, files, bundle: null })
    clock.advance(100)
    off.stop()
    const again = gateway(1, { settings: { enabled: false }, files, bundle: null })
    expect(again.cluster.self.id).toBe(off.cluster.self.id)
    again.stop()
    const on = gateway(1, { files })
    clock.advance(1000)
    expect(on.cluster.status()).toMatchObject({ state: 'alone', id: 'cccccccccccccccc' })
    expect(on.cluster.self.id).toBe(off.cluster.self.id)
  })

  test('whose cluster is switched off opens nothing', () => {
    const off = gateway(1, { settings: { enabled: false } })
    expect(off.started).toBeNull()
    expect(off.cluster.peers).toBeInstanceOf(NoPeers)
    expect(off.cluster.status()).toMatchObject({ enabled: false, state: 'alone', port: null })
    const found: JoinOutcome[] = []
    const request = { to: at('10.0.0.2'), code: null, replaces: null }
    off.cluster.operator.join(request, (outcome) => found.push(outcome))
    expect(found).toEqual([{ linked: false, waiting: false, words: 'the cluster is switched off (cluster.enabled)' }])
    off.stop()
    expect(clock.timers).toEqual([])
  })

  test('leaves nothing behind when it stops', () => {
    const [a, b] = [gateway(1), gateway(2)]
    clock.advance(5000)
    expect(a.names.published.map(({ name }) => name).sort()).toEqual(['edge-mqtt', 'mqtt'])
    a.cluster.announcing.withdrawDevices(() => {})
    expect(a.names.published.map(({ name }) => name)).toEqual(['edge-mqtt'])
    a.stop()
    b.stop()
    clock.advance(5000)
    expect(a.names.published).toEqual([])
    expect(clock.timers).toEqual([])
    expect(net.streams.filter((stream) => !stream.isClosed)).toEqual([])
  })

  test('takes new static peers and heartbeats live, and names what needs a restart', () => {
    const off = { mdns: { enabled: false }, beacon: { ...defaultClusterSettings.beacon, enabled: false } }
    const [a, b] = [gateway(1, { settings: off }), gateway(2, { settings: off })]
    clock.advance(1000)
    const settings = { ...a.settings, peers: [at(b.address)], heartbeatMs: 200, deadAfterMs: 1000, port: 5000 }
    expect(a.cluster.configure(settings)).toEqual(['cluster.port'])
    clock.advance(3000)
    expect(a.members).toEqual(['gw-2 alive linked'])
    net.cut(b.address, a.address)
    clock.advance(1000)
    expect(a.members).toEqual(['gw-2 dead'])
  })
})

describe('a copied card', () => {
  test('of which both run: the later start makes itself a new identity, and keeps its routes', () => {
    const original = gateway(1)
    const third = gateway(3)
    clock.advance(5000)
    const files = new MemoryFiles(clock)
    for (const [name, text] of original.files.texts) files.texts.set(name, text)
    const copy = new Gateway(2, { files })
    const before = copy.cluster.self.id
    expect(before).toBe(original.cluster.self.id)
    const { peers } = copy.cluster
    peers.wanted('kept/#', false, () => {})
    const { generation } = peers
    copy.start()
    clock.advance(20_000)
    expect(copy.cluster.self.id).not.toBe(before)
    expect(original.cluster.self.id).toBe(before)
    expect(original.members).toEqual(['gw-2 alive linked', 'gw-3 alive linked'])
    expect(copy.members).toEqual(['gw-1 alive linked', 'gw-3 alive linked'])
    expect(third.members).toEqual(['gw-1 alive linked', 'gw-2 alive linked'])
    expect(copy.cluster.peers).toBe(peers)
    expect(peers.generation).toBeGreaterThan(generation)
    expect(original.cluster.peers.forward(original.message('kept/x', 'still'))).toBe(1)
    clock.advance(100)
    expect(copy.got).toEqual(['kept/x still'])
    expect(copy.cluster.problems()[0]).toContain('copied card')
    copy.stop()
    const restarted = gateway(2, { files })
    clock.advance(5000)
    expect(restarted.cluster.self.id).toBe(copy.cluster.self.id)
  })
})

test('a box that gives way to a living copy of its card tells what number its messages have from then on', () => {
  const box = new Gateway(9)
  box.start()
  clock.advance(10_000)
  const before = box.cluster.self
  box.cluster.twin(before.instance)
  box.cluster.twin('ffffffffffffffff' as InstanceId)
  expect(box.renamed).toEqual([])
  box.cluster.twin('0000000000000001' as InstanceId)
  expect(box.renamed).toEqual([box.cluster.self.id])
  expect(box.cluster.self.id).not.toBe(before.id)
  box.stop()
})
