// The small tables: refusals, known keys, the door; and the heartbeat.

import { describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import { limits } from '../../../src/base/limits.ts'
import { Meter } from '../../../src/base/meter.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { Door } from '../../../src/cluster/links/door.ts'
import { Heartbeat } from '../../../src/cluster/links/heartbeat.ts'
import { Refusals } from '../../../src/cluster/links/refusals.ts'
import { needRestart } from '../../../src/cluster/restart.ts'
import { defaultClusterSettings } from '../../../src/cluster/settings.ts'
import { KnownKeys } from '../../../src/cluster/trust/keys.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import { MemoryFiles, node } from './fakes.ts'
import { LinkBox } from './linkbox.ts'
import { Net } from './net.ts'

describe('refusals', () => {
  test('count by address and reason, the latest first, the oldest out', () => {
    const clock = new VirtualClock()
    const meter = new Meter()
    const refusals = new Refusals({ clock, log: silentLog, meter })
    refusals.add('10.0.0.1', 'foreign CA')
    refusals.add('10.0.0.2', 'timeout')
    clock.advance(1000)
    refusals.add('10.0.0.1', 'foreign CA')
    expect(refusals.rows()).toEqual([
      { address: '10.0.0.1', reason: 'foreign CA', count: 2, lastMs: clock.wall() },
      { address: '10.0.0.2', reason: 'timeout', count: 1, lastMs: clock.wall() - 1000 },
    ])
    for (let count = 0; count < 1000; count++) refusals.add(`10.1.0.${count}`, 'not a hello')
    expect(refusals.rows()).toHaveLength(limits.refusals)
    expect(refusals.rows()[0]!.address).toBe('10.1.0.999')
    expect(meter.get('link.refused.not a hello')).toBe(1000)
  })

  test('are forgotten an hour after the last one', () => {
    const clock = new VirtualClock()
    const refusals = new Refusals({ clock, log: silentLog, meter: new Meter() })
    refusals.add('10.0.0.1', 'timeout')
    clock.advance(1_800_000)
    refusals.add('10.0.0.2', 'timeout')
    refusals.add('10.0.0.3', 'timeout')
    clock.advance(1_799_000)
    refusals.add('10.0.0.3', 'timeout')
    const told = () => refusals.rows().map(({ address, count }) => `${address} ${count}`)
    expect(told()).toEqual(['10.0.0.3 2', '10.0.0.2 1', '10.0.0.1 1'])
    clock.advance(2000)
    expect(told()).toEqual(['10.0.0.3 2', '10.0.0.2 1'])
    // A clock that jumps forgets nobody.
    clock.wallOffsetMs += 86_400_000
    expect(told()).toHaveLength(2)
    clock.advance(3_600_000)
    refusals.add('10.0.0.1', 'timeout')
    expect(told()).toEqual(['10.0.0.1 1'])
  })

  test('are forgotten of an address that is linked', () => {
    const refusals = new Refusals({ clock: new VirtualClock(), log: silentLog, meter: new Meter() })
    refusals.add('10.0.0.1', 'timeout')
    refusals.add('10.0.0.1', 'not TLS')
    refusals.add('10.0.0.2', 'timeout')
    refusals.clear('10.0.0.1')
    expect(refusals.rows().map(({ address }) => address)).toEqual(['10.0.0.2'])
  })
})

describe('known keys', () => {
  test('the first is remembered, on disk too; another does not agree', () => {
    const clock = new VirtualClock()
    const files = new MemoryFiles(clock)
    const keys = new KnownKeys(files, silentLog)
    expect(keys.agrees(node('2'), 'k')).toBe(true)
    expect(keys.agrees(node('2'), 'k')).toBe(true)
    expect(keys.agrees(node('2'), 'other')).toBe(false)
    clock.advance(10)
    expect(files.writes).toEqual(['keys.json'])
    const again = new KnownKeys(files, silentLog)
    expect(again.agrees(node('2'), 'other')).toBe(false)
    expect(again.agrees(node('3'), 'other')).toBe(true)
  })

  test.each([['{'], ['null'], ['{"x": 1, "2222222222222222": 7}'], ['[]']])(
    'a damaged file %s costs the memory',
    (text) => {
      const files = new MemoryFiles(new VirtualClock())
      files.texts.set('keys.json', text)
      expect(new KnownKeys(files, silentLog).agrees(node('2'), 'k')).toBe(true)
    },
  )

  test('a file that cannot be read or written neither', () => {
    const clock = new VirtualClock()
    const files = new MemoryFiles(clock)
    files.failing = new HostError('failed', 'EIO')
    files.read = () => {
      throw new HostError('failed', 'EIO')
    }
    const keys = new KnownKeys(files, silentLog)
    keys.agrees(node('2'), 'k')
    clock.advance(10)
    expect(keys.agrees(node('2'), 'x')).toBe(false)
  })

  test('are bounded', () => {
    const keys = new KnownKeys(new MemoryFiles(new VirtualClock()), silentLog)
    const id = (count: number) =>
      node('0').slice(8).concat(count.toString(16).padStart(8, '0')) as ReturnType<typeof node>
    for (let count = 0; count < 1100; count++) keys.agrees(id(count), 'k')
    expect(keys.agrees(id(1099), 'x')).toBe(false)
    expect(keys.agrees(id(0), 'x')).toBe(true)
  })
})

test('the door lets in so many, and so many of one address', () => {
  const door = new Door()
  for (let count = 0; count < 8; count++) expect(door.enter('a')).toBe(true)
  expect(door.enter('a')).toBe(false)
  for (let count = 0; count < 24; count++) expect(door.enter(`b${count}`)).toBe(true)
  expect(door.enter('c')).toBe(false)
  door.leave('a')
  expect(door.enter('a')).toBe(true)
})

test('settings that need a restart are named as in the file', () => {
  const settings = defaultClusterSettings
  expect(needRestart(settings, { ...settings, heartbeatMs: 1, peers: [{ address: 'x', port: 1 }] })).toEqual([])
  const changed = { ...settings, port: 1, interfaces: ['eth1'], beacon: { ...settings.beacon, intervalMs: 1 } }
  expect(needRestart(settings, changed)).toEqual([
    'cluster.port',
    'cluster.discovery.beacon.interval',
    'cluster.discovery.interfaces',
  ])
})

describe('heartbeat', () => {
  const linked = () => {
    const clock = new VirtualClock()
    const net = new Net(clock)
    const [a, b] = [new LinkBox(net, { id: '1' }), new LinkBox(net, { id: '2' })]
    const settings = { heartbeatMs: 1000, deadAfterMs: 5000 }
    const hearts = [a, b].map((box) => {
      const heart = new Heartbeat(
        clock,
        settings,
        () => box.links.used(),
        () => {},
      )
      heart.start()
      return heart
    })
    a.dial(b)
    clock.advance(100)
    return { clock, net, a, b, hearts }
  }

  test('keeps a quiet link alive and measures it', () => {
    const { clock, net, a, b } = linked()
    net.delayMs = 20
    clock.advance(60_000)
    expect([a.events, b.events]).toEqual([['up 2'], ['up 1']])
    expect(a.links.to(b.id)!.rttMs).toBeCloseTo(40, 0)
  })

  test('closes a silent link within dead_after, on both ends', () => {
    const { clock, net, a, b } = linked()
    clock.advance(7000)
    net.cut('10.0.0.1', '10.0.0.2')
    net.cut('10.0.0.2', '10.0.0.1')
    clock.advance(3500)
    expect(a.linked).toEqual(['2'])
    clock.advance(1500)
    expect([a.events.at(-1), b.events.at(-1)]).toEqual(['down 2 silent', 'down 1 silent'])
  })

  test('a one-way cut ends the link on both ends', () => {
    const { clock, net, a, b } = linked()
    net.cut('10.0.0.1', '10.0.0.2')
    clock.advance(5000)
    expect(b.events.at(-1)).toBe('down 1 silent')
    expect(a.events.at(-1)).toBe('down 2 silent')
  })

  test('a node that was away itself does not blame its peers', () => {
    const { clock, a } = linked()
    const advance = clock.now.bind(clock)
    let jumpMs = 0
    clock.now = () => advance() + jumpMs
    jumpMs = 60_000
    clock.advance(1000)
    expect(a.events).toEqual(['up 2'])
    clock.advance(60_000)
    expect(a.events).toEqual(['up 2'])
  })
})
