// What reaches the disk for QoS 1 messages of 200 bytes, 2,000 a second, on a disk that takes 1 or 20 ms to flush: cards
// wear out by it. The figures are printed, and stand in docs/benchmarks.md.

import { describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import { Meter } from '../../../src/base/meter.ts'
import type { StoreEngine } from '../../../src/base/ports/engine.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { Positions } from '../../../src/base/positions.ts'
import { Store } from '../../../src/store/store.ts'
import { Lab, VirtualClock } from '../../conformance/lab.ts'

const PAYLOAD_BYTES = 200
const EVERY_MS = 0.5
const MESSAGES = 4000
/** A receiver answers so long after it was sent a message. */
const ANSWER_MS = 2
const away = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const

function slowDisk(clock: VirtualClock, flushMs: number): StoreEngine {
  return {
    bytes: 0,
    open: (_batch, done) => done({ lastBatch: 0, damaged: [] }),
    append: (_number, _bytes, done) => void clock.after(flushMs, 'disk.flush', () => done(null)),
    drop: () => {},
    close: (done) => done(),
  }
}

/** Bytes and commits for each 1,000 messages, and how long a publisher waits for its PUBACK. */
function measure(flushMs: number, subscriber: 'away' | 'answers') {
  const clock = new VirtualClock()
  const meter = new Meter()
  const engine = slowDisk(clock, flushMs)
  const store = new Store({
    clock,
    log: silentLog,
    meter,
    engine,
    positions: new Positions(clock),
    synchronised: () => true,
  })
  const lab = new Lab({ clock, keeper: store, sessions: { queue: { maxMessages: 1_000_000 } } })
  store.open((found) => {
    if (found instanceof HostError) throw found
    lab.broker.restore(found, () => {})
  })
  const receiver = lab.connected({ id: 'receiver', ...away }).subscribe('t', { qos: 1 })
  lab.advance(200)
  receiver.one('suback')
  if (subscriber === 'away') receiver.drop()
  lab.advance(200)
  const publisher = lab.connected({ id: 'publisher' })
  const sentAt: number[] = []
  const waits: number[] = []
  const before = { bytes: meter.get('store.bytes'), commits: meter.get('store.commits') }
  const acknowledged = () => {
    for (const { messageId } of publisher.take()) waits.push(clock.now() - sentAt[messageId]!)
  }
  for (let id = 1; id <= MESSAGES; id++) {
    sentAt[id] = clock.now()
    publisher.publish('t', Buffer.alloc(PAYLOAD_BYTES, id), { qos: 1, messageId: id })
    for (const { messageId } of subscriber === 'away' ? [] : receiver.take()) {
      clock.after(ANSWER_MS, 'answer', () => receiver.puback(messageId))
    }
    lab.advance(EVERY_MS)
    acknowledged()
  }
  for (let left = 1000; left > 0; left--) {
    lab.advance(1)
    acknowledged()
  }
  expect(waits.length).toBe(MESSAGES)
  const each = (what: 'bytes' | 'commits') =>
    Math.round((meter.get(`store.${what}`) - before[what]) / (MESSAGES / 1000))
  waits.sort((a, b) => a - b)
  const at = (part: number) => Math.round(waits[Math.floor(waits.length * part)]!)
  return { bytes: each('bytes'), commits: each('commits'), p50: at(0.5), p99: at(0.99) }
}

describe.each([1, 20])('a disk that flushes in %i ms', (flushMs) => {
  test('is written at most three times the payload for a subscriber that is away', () => {
    const found = measure(flushMs, 'away')
    console.info(`flush ${flushMs} ms, subscriber away, for each 1,000: ${JSON.stringify(found)}`)
    expect(found.bytes).toBeLessThan(3 * 1000 * PAYLOAD_BYTES)
    expect(found.bytes).toBeGreaterThan(1000 * PAYLOAD_BYTES)
    expect(found.p99).toBeLessThan(200)
  })

  test('is written near nothing for a subscriber that acknowledges at once', () => {
    const found = measure(flushMs, 'answers')
    console.info(
      `flush ${flushMs} ms, subscriber answers after ${ANSWER_MS} ms, for each 1,000: ${JSON.stringify(found)}`,
    )
    expect(found.bytes).toBeLessThan((1000 * PAYLOAD_BYTES) / 10)
    expect(found.p99).toBeLessThan(50)
  })
})
