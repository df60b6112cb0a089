import { describe, expect, test } from 'vitest'
import { Inflight, type Outgoing } from '../../../src/broker/inflight.ts'
import { plainRandom } from '../../conformance/lab.ts'
import { delivery } from './make.ts'

describe('Inflight', () => {
  test('[MQTT-2.2.1-4] ids are not zero, in sequence, and skip what is taken', () => {
    const inflight = new Inflight()
    const first = inflight.admit(delivery('first'))
    expect(first).toMatchObject({ packetId: 1, awaiting: 'puback' })
    const seen = new Set<number>()
    for (let round = 0; round < 65_535 * 2; round++) {
      const next = inflight.admit(delivery('x', 2))
      seen.add(next.packetId)
      inflight.release(next)
    }
    expect(seen.size).toBeGreaterThan(32_000)
    expect([seen.has(0), seen.has(1)]).toEqual([false, false])
    expect(inflight.find(1)).toBe(first)
    expect(inflight.find(2)).toBe(null)
  })

  test('starts where it is told, goes round, and never to zero', () => {
    for (const [behind, id] of [
      [0x8000, 0x8001],
      [0x3fffd, 0xfffe],
      [0xffff, 1],
      [0x20000, 1],
    ] as const) {
      const inflight = new Inflight()
      inflight.startBehind(behind)
      inflight.restore(40, delivery('under way'), 'pubrec')
      expect(inflight.admit(delivery('x')).packetId).toBe(id)
    }
  })

  test('goes on behind what an earlier run had under way', () => {
    const inflight = new Inflight()
    for (const id of [40, 41, 42]) inflight.restore(id, delivery('under way'), 'pubrec')
    expect(inflight.admit(delivery('x')).packetId).toBe(43)
  })

  test('finds by id and keeps the order of sending, for any sequence of sends and acknowledgements', () => {
    const random = plainRandom()
    const inflight = new Inflight()
    let model: Outgoing[] = []
    for (let step = 0; step < 20_000; step++) {
      const most = step < 10_000 ? 70 : 5
      if (model.length < most && random.fraction() < 0.6) {
        const outgoing = inflight.admit(delivery('x', random.fraction() < 0.5 ? 1 : 2))
        expect(model.some(({ packetId }) => packetId === outgoing.packetId)).toBe(false)
        model.push(outgoing)
      } else if (model.length > 0) {
        const outgoing = model[Math.floor(random.fraction() * model.length)]!
        expect(inflight.find(outgoing.packetId)).toBe(outgoing)
        inflight.release(outgoing)
        expect(inflight.find(outgoing.packetId)).toBe(null)
        model = model.filter((other) => other !== outgoing)
      }
      expect(inflight.size).toBe(model.length)
      if (step % 500 === 0) expect(inflight.inOrder()).toEqual(model)
    }
  })

  test('holds a message under every id there is', () => {
    const inflight = new Inflight()
    for (let id = 1; id <= 65_535; id++) inflight.admit(delivery('x'))
    expect(inflight.size).toBe(65_535)
    expect(() => inflight.admit(delivery('x'))).toThrow('window over its bound')
    expect(inflight.find(0)).toBe(null)
    inflight.clear()
    expect([inflight.size, inflight.inOrder()]).toEqual([0, []])
  })
})
