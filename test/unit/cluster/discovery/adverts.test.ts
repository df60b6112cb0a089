import { beforeEach, describe, expect, test } from 'vitest'
import type { ClusterId } from '../../../../src/base/ids.ts'
import { Meter } from '../../../../src/base/meter.ts'
import { Adverts } from '../../../../src/cluster/discovery/adverts.ts'
import type { Sighting } from '../../../../src/cluster/discovery/candidates.ts'
import { at, cluster, eth0, FakeNames, instance, lo, node } from '../fakes.ts'

let names: FakeNames
let heard: Sighting[]
let own: ClusterId | null
let meter: Meter
let adverts: Adverts

const make = (nodeName = 'gw-1') =>
  new Adverts(
    { names, interfaces: () => [eth0(1), lo], meter },
    { interfaces: [], nodeName },
    { id: () => node('5'), instance: instance('5'), cluster: () => own, port: () => 4883 },
    (sighting) => heard.push(sighting),
  )

beforeEach(() => {
  names = new FakeNames()
  heard = []
  own = null
  meter = new Meter()
  adverts = make()
})

const text = { c: cluster('a'), n: node('b'), i: instance('b') }

test('publishes what a beacon says, and the listeners for devices', () => {
  adverts.start([{ type: 'mqtt', port: 1883 }])
  expect(names.published).toMatchObject([
    { name: 'edge-mqtt', port: 4883, text: { c: '0'.repeat(16), n: node('5'), i: instance('5') } },
    { name: 'mqtt', port: 1883, instance: 'gw-1 55555555-1883' },
  ])
  expect(names.published[0]!.instance).toContain(node('5'))
})

test('says again what has changed, and only then', () => {
  adverts.start([])
  adverts.update()
  expect(names.events).toEqual(['announce edge-mqtt'])
  const before = names.published[0]!.instance
  own = cluster('a')
  adverts.update()
  expect(names.events).toEqual(['announce edge-mqtt', 'announce edge-mqtt', 'withdraw edge-mqtt'])
  expect(names.published).toMatchObject([{ text: { c: cluster('a') } }])
  // The network would refuse the same name while the old record lives.
  expect(names.published[0]!.instance).not.toBe(before)
})

test('names fit a DNS label, whatever the box is called', () => {
  adverts = make('Gateway im Keller des Hauptgebäudes, ganz hinten links neben der Heizung')
  adverts.start([{ type: 'mqtt', port: 65_535 }])
  for (const { instance: name } of names.published) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63)
})

test('tells of boxes on link', () => {
  adverts.start([])
  names.found({ instance: 'x', addresses: ['10.0.0.2', '172.17.0.1', 'fe80::1'], port: 4884, text })
  expect(heard).toEqual([
    {
      endpoint: at('10.0.0.2', 4884),
      source: 'mdns',
      node: node('b'),
      instance: instance('b'),
      cluster: cluster('a'),
    },
  ])
  expect(meter.get('mdns.offlink')).toBe(2)
})

test('does not find itself, nor believe nonsense, nor take more addresses than a box has', () => {
  adverts.start([])
  const addresses = Array.from({ length: 100 }, (_, index) => `10.0.0.${index}`)
  names.found({ instance: 'x', addresses, port: 4883, text: { ...text, n: node('5'), i: instance('5') } })
  names.found({ instance: 'x', addresses, port: 4883, text: {} })
  names.found({ instance: 'x', addresses, port: 0, text })
  expect(heard).toEqual([])
  names.found({ instance: 'x', addresses, port: 4883, text })
  expect(heard).toHaveLength(8)
})

test('services for devices follow the listeners, and nothing else is said again', () => {
  adverts.start([{ type: 'mqtt', port: 1883 }])
  adverts.updateDevices([
    { type: 'mqtt', port: 1883 },
    { type: 'secure-mqtt', port: 8883 },
  ])
  expect(names.events).toEqual(['announce edge-mqtt', 'announce mqtt', 'announce secure-mqtt'])
  adverts.updateDevices([{ type: 'secure-mqtt', port: 8884 }])
  expect(names.published.map(({ name, port }) => `${name} ${port}`)).toEqual(['edge-mqtt 4883', 'secure-mqtt 8884'])
  adverts.stop(() => {})
  adverts.updateDevices([{ type: 'mqtt', port: 1883 }])
  expect(names.published).toEqual([])
})

test('devices hear the goodbye first; the stop withdraws the rest', () => {
  adverts.start([{ type: 'mqtt', port: 1883 }])
  let done = 0
  adverts.withdrawDevices(() => done++)
  expect(names.published.map(({ name }) => name)).toEqual(['edge-mqtt'])
  adverts.stop(() => done++)
  expect(names.published).toEqual([])
  expect(names.browsing).toBe(false)
  expect(done).toBe(2)
})

test('a member that serves devices answers for the name of them all; one that waits, or serves nobody, does not', () => {
  adverts.start([{ type: 'mqtt', port: 1883 }])
  expect(names.shared).toEqual([])
  own = cluster('a')
  adverts.update()
  adverts.updateDevices([{ type: 'mqtt', port: 1884 }])
  expect(names.shared).toEqual(['edge-mqtt.local'])
  adverts.updateDevices([])
  expect(names.shared).toEqual([])
  adverts.updateDevices([{ type: 'mqtt', port: 1883 }])
  expect(names.shared).toEqual(['edge-mqtt.local'])
  adverts.withdrawDevices(() => {})
  adverts.update()
  expect(names.shared).toEqual([])
})

describe('when it was never started', () => {
  test('there is nothing to withdraw', () => {
    let done = false
    adverts.update()
    adverts.stop(() => {
      done = true
    })
    expect(done).toBe(true)
    expect(names.events).toEqual([])
  })
})
