// The listeners of a node on a network that says yes, no or nothing.

import { expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import { Meter } from '../../../src/base/meter.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import type { ListenHow, Listening, Streams } from '../../../src/base/ports/streams.ts'
import { type ListenerSettings, Listeners, NO_TLS, plainListener } from '../../../src/broker/listeners.ts'
import { VirtualClock } from '../../virtual-clock.ts'

const taken = new HostError('unavailable', 'port taken')
const bounds = { maxPacketSize: 1_000_000, connectTimeoutMs: 10_000 }
const mqtt = plainListener('mqtt', '0.0.0.0', 1883)
const ws: ListenerSettings = { ...plainListener('ws', '0.0.0.0', 8083), type: 'ws' }
const mqtts: ListenerSettings = { ...plainListener('mqtts', '0.0.0.0', 8883), type: 'mqtts' }
const own = { certificate: 'own', privateKey: 'its key' }

class Box {
  readonly clock = new VirtualClock()
  /** Ports that somebody else has. */
  readonly others = new Set<number>()
  readonly open = new Map<number, ListenHow>()
  readonly closedAll: string[] = []
  changes = 0
  renewals = 0
  refuseRenewal: HostError | null = null
  readonly listeners: Listeners

  constructor() {
    const streams: Pick<Streams, 'listen'> = {
      listen: (at, _accepted, done, how) => {
        if (this.others.has(at.port) || this.open.has(at.port)) return done(taken)
        this.open.set(at.port, how!)
        done(this.#listening(at.port, how!))
      },
    }
    const world = { clock: this.clock, streams: streams as Streams, log: silentLog, meter: new Meter() }
    this.listeners = new Listeners(world, bounds, {
      accept: () => {},
      closeAll: (name) => this.closedAll.push(name),
      changed: () => this.changes++,
    })
  }

  start(...settings: ListenerSettings[]): HostError | null | undefined {
    let result: HostError | null | undefined
    this.listeners.start(settings, (failed) => {
      result = failed
    })
    return result
  }

  names(): string[] {
    return this.listeners.rows().map(({ settings: { name }, port }) => `${name}:${port}`)
  }

  #listening(port: number, how: ListenHow): Listening {
    const close = () => void this.open.delete(port)
    const plain = how.tls === null && how.websocket === null && !how.proxy && how.unixPath === null
    if (plain) return { port, close }
    const renew = (renewed: ListenHow) => {
      if (this.refuseRenewal !== null) return this.refuseRenewal
      this.renewals++
      this.open.set(port, renewed)
      return null
    }
    return { port, close, renew }
  }
}

test('a port of MQTT that is taken ends the start, and its key is named', () => {
  const box = new Box()
  box.others.add(1883)
  expect(box.start(mqtt, ws)).toMatchObject({ kind: 'unavailable', message: 'listeners.mqtt.port: port taken' })
})

test('a WebSocket port that is taken is a problem, and tried again every 30 s', () => {
  const box = new Box()
  box.others.add(8083)
  expect(box.start(ws, mqtt)).toBeNull()
  expect(box.names()).toEqual(['mqtt:1883'])
  expect(box.listeners.problems()).toEqual(['listeners.ws.port: port taken; tried again every 30 s'])
  box.clock.advance(30_000)
  expect(box.listeners.problems()).toHaveLength(1)
  box.others.clear()
  box.clock.advance(30_000)
  expect(box.names()).toEqual(['ws:8083', 'mqtt:1883'])
  expect(box.listeners.problems()).toEqual([])
})

test('TLS without a certificate waits for the node to have one, and says why when it never will', () => {
  const box = new Box()
  expect(box.start(mqtts)).toBeNull()
  expect([box.names(), box.listeners.problems()]).toEqual([[], []])
  box.listeners.certify(null, ['ca'], 'no key of the CA')
  expect(box.listeners.problems()).toEqual(['listeners.mqtts: no key of the CA'])
  box.listeners.certify({ certificate: 'a', privateKey: 'b' }, ['ca'], null)
  expect([box.names(), box.listeners.problems()]).toEqual([['mqtts:8883'], []])
  expect(box.open.get(8883)?.tls).toMatchObject({ certificate: 'a', privateKey: 'b', anchors: ['ca'] })
})

test('a new certificate is taken by listeners that run; one with its own keeps it', () => {
  const box = new Box()
  box.start(mqtts, { ...mqtts, name: 'b', port: 2, tls: { ...NO_TLS, own } })
  box.listeners.certify({ certificate: 'a', privateKey: 'b' }, ['ca'], null)
  // The second one has other anchors now, should it ever ask for a certificate.
  const renewals = box.renewals
  box.listeners.certify({ certificate: 'c', privateKey: 'd' }, ['ca'], null)
  expect(box.renewals - renewals).toBe(1)
  expect(box.open.get(8883)?.tls?.certificate).toBe('c')
  expect(box.open.get(2)?.tls?.certificate).toBe('own')
})

test('client certificates need a CA to end in: without one the listener stays shut', () => {
  const box = new Box()
  box.start({ ...mqtts, tls: { ...NO_TLS, own, clientCertificates: 'required' } })
  expect(box.names()).toEqual([])
  box.listeners.certify({ certificate: 'a', privateKey: 'b' }, ['ca'], null)
  expect(box.open.get(8883)?.tls).toMatchObject({ certificate: 'own', anchors: ['ca'], clientCertificates: 'required' })
})

test('a reload opens, closes, moves and renews; only the connections of a listener that is gone go', () => {
  const box = new Box()
  box.start(mqtt, ws)
  box.listeners.configure(
    [{ ...mqtt, port: 1884 }, { ...ws, path: '/other' }, plainListener('new', '0.0.0.0', 1883)],
    bounds,
  )
  expect(box.names()).toEqual(['mqtt:1884', 'ws:8083', 'new:1883'])
  expect(box.open.get(8083)?.websocket?.path).toBe('/other')
  expect(box.closedAll).toEqual([])
  box.listeners.configure([{ ...mqtt, port: 1884 }], bounds)
  expect(box.names()).toEqual(['mqtt:1884'])
  expect(box.closedAll).toEqual(['ws', 'new'])
})

test('a reload that asks for a port that is taken is a problem, not an end', () => {
  const box = new Box()
  box.start(mqtt)
  box.others.add(5)
  box.listeners.configure([{ ...mqtt, port: 5 }], bounds)
  expect(box.listeners.problems()).toEqual(['listeners.mqtt.port: port taken; tried again every 30 s'])
  box.listeners.configure([mqtt], bounds)
  expect([box.names(), box.listeners.problems()]).toEqual([['mqtt:1883'], []])
  box.clock.advance(60_000)
  expect(box.names()).toEqual(['mqtt:1883'])
})

test('the bound of a packet is the bound of a frame, but never under 64 KiB; a reload changes it', () => {
  const box = new Box()
  box.start(ws)
  expect(box.open.get(8083)?.websocket).toEqual({ path: '/mqtt', frameBytesMax: 1_000_000 })
  box.listeners.configure([ws], { ...bounds, maxPacketSize: 1000 })
  expect(box.open.get(8083)?.websocket?.frameBytesMax).toBe(65_536)
})

test('a renewal that is refused leaves what was, and says so', () => {
  const box = new Box()
  box.start({ ...mqtts, tls: { ...NO_TLS, own } })
  box.refuseRenewal = new HostError('invalid', 'no certificate')
  box.listeners.configure([{ ...mqtts, tls: { ...NO_TLS, own: { certificate: 'x', privateKey: 'y' } } }], bounds)
  expect(box.listeners.problems()).toEqual(['listeners.mqtts: no certificate; it goes on with what it had'])
  expect(box.names()).toEqual(['mqtts:8883'])
})

test('a plain listener that becomes one behind a proxy is opened anew', () => {
  const box = new Box()
  box.start(mqtt)
  box.listeners.configure([{ ...mqtt, proxyProtocol: true }], bounds)
  expect(box.open.get(1883)?.proxy).toBe(true)
  expect(box.closedAll).toEqual([])
})

test('after a stop nothing is tried again', () => {
  const box = new Box()
  box.others.add(8083)
  box.start(mqtt, ws)
  box.listeners.stop()
  box.others.clear()
  box.clock.advance(60_000)
  expect([box.names(), box.open.size]).toEqual([[], 0])
})
