// Whatever is announced, told, linked and lost: the table stays within its bound, what is proven stays in it, and dials
// keep their rates.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ClusterId, InstanceId, NodeId } from '../../src/base/ids.ts'
import { limits } from '../../src/base/limits.ts'
import { Meter } from '../../src/base/meter.ts'
import { silentLog } from '../../src/base/ports/log.ts'
import { type Endpoint, endpointText } from '../../src/base/ports/streams.ts'
import { Candidates, type DialOutcome } from '../../src/cluster/discovery/candidates.ts'
import { STRANGERS_MAX } from '../../src/cluster/discovery/candidatetable.ts'
import { BOUNDS } from '../../src/cluster/links/dialling.ts'
import { SeededRandom } from '../unit/cluster/fakes.ts'
import { VirtualClock } from '../virtual-clock.ts'

const OURS = 'aaaaaaaaaaaaaaaa' as ClusterId
const SELF = '5555555555555555' as NodeId
const id = <Id extends string>(number: number) => number.toString(16).padStart(16, '7') as Id
const address = (host: number) => `10.${(host >> 16) & 255}.${(host >> 8) & 255}.${host & 255}`

type Step =
  | { do: 'flood'; count: number; hosts: number; ports: number; cluster: 'ours' | 'other' | 'none said'; from: number }
  | { do: 'static'; hosts: readonly number[] }
  | { do: 'up' | 'down'; node: number; host: number }
  | { do: 'told'; node: number; host: number }
  | { do: 'wait'; ms: number }

const host = fc.integer({ min: 0, max: 2000 })
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('flood' as const),
    count: fc.integer({ min: 1, max: 700 }),
    hosts: fc.integer({ min: 1, max: 2000 }),
    ports: fc.integer({ min: 1, max: 20 }),
    cluster: fc.constantFrom('ours' as const, 'other' as const, 'none said' as const),
    from: fc.integer({ min: 0, max: 1000 }),
  }),
  fc.record({ do: fc.constant('static' as const), hosts: fc.uniqueArray(host, { maxLength: 5 }) }),
  fc.record({ do: fc.constantFrom('up' as const, 'down' as const), node: fc.integer({ min: 1, max: 8 }), host }),
  fc.record({ do: fc.constant('told' as const), node: fc.integer({ min: 1, max: 20 }), host }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
)

class Watch {
  readonly clock = new VirtualClock(0)
  readonly random: SeededRandom
  readonly candidates: Candidates
  readonly dials: { readonly proven: boolean; readonly to: Endpoint; readonly atMs: number }[] = []
  readonly running = { proven: 0, unproven: 0 }
  readonly linked = new Set<NodeId>()
  readonly most = { proven: 0, unproven: 0 }
  /** What every dial comes to; null: drawn. */
  outcome: DialOutcome | null = null
  /** The longest that a dial takes: with short ones the rates are what holds, with long ones the number at once. */
  readonly #slowestMs: number

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    this.#slowestMs = [5, 200, 5000][Math.abs(seed) % 3]!
    this.candidates = new Candidates(
      { clock: this.clock, random: this.random, log: silentLog, meter: new Meter() },
      { id: () => SELF, instance: '5'.repeat(16) as InstanceId, cluster: () => OURS },
      (to, expected, done) => this.#dial(to, expected, done),
    )
    this.candidates.start()
  }

  #dial(to: Endpoint, expected: NodeId | null, done: (outcome: DialOutcome) => void): void {
    const view = this.candidates.entries().find(({ endpoint }) => endpointText(endpoint) === endpointText(to))!
    expect(expected === null || !this.linked.has(expected)).toBe(true)
    const kind = view.proven ? 'proven' : 'unproven'
    this.dials.push({ proven: view.proven, to, atMs: this.clock.now() })
    this.most[kind] = Math.max(this.most[kind], ++this.running[kind])
    const chance = this.random.fraction()
    const drawn: DialOutcome =
      chance < 0.5
        ? { at: 'unreachable', why: 'test' }
        : chance < 0.7
          ? { at: 'refused', reason: 'foreign CA' }
          : chance < 0.9
            ? { at: 'foreign', cluster: 'ffffffffffffffff' as ClusterId }
            : { at: 'self' }
    this.clock.after(this.random.fraction() * this.#slowestMs, 'test.dial', () => {
      this.running[kind]--
      done(this.outcome ?? drawn)
    })
  }

  apply(step: Step): void {
    switch (step.do) {
      case 'flood':
        for (let index = 0; index < step.count; index++) {
          const number = step.from + (index % step.hosts)
          this.candidates.heard({
            endpoint: { address: address(number), port: 1 + (index % step.ports) },
            source: 'beacon',
            node: step.cluster === 'none said' ? null : id<NodeId>(number + 1000),
            instance: id<InstanceId>(index + 1),
            cluster: step.cluster === 'none said' ? null : step.cluster === 'ours' ? OURS : id<ClusterId>(99),
          })
          if (index % 7 === 0) this.clock.advance(10)
        }
        return
      case 'static':
        return this.candidates.setStatic(step.hosts.map((number) => ({ address: address(number), port: 4883 })))
      case 'up':
        this.linked.add(id(step.node))
        return this.candidates.linkUp(id(step.node), { address: address(step.host), port: 4883 })
      case 'down':
        this.linked.delete(id(step.node))
        return this.candidates.linkDown(id(step.node))
      case 'told':
        return this.candidates.heard({
          endpoint: { address: address(step.host), port: 4883 },
          source: 'member',
          node: id(step.node),
          instance: null,
          cluster: OURS,
        })
      case 'wait':
        return this.clock.advance(step.ms)
    }
  }
}

/** The most of the sorted `times` within any second. */
function mostInASecond(times: readonly number[]): number {
  let most = 0
  for (let from = 0, to = 0; to < times.length; to++) {
    while (times[to]! - times[from]! >= 1000) from++
    most = Math.max(most, to - from + 1)
  }
  return most
}

test('any flood, any order of links and losses', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.integer(), (steps, seed) => {
      const watch = new Watch(seed)
      for (const each of steps) {
        const before = watch.candidates.entries().filter(({ proven }) => proven)
        watch.apply(each)
        const entries = watch.candidates.entries()
        expect(entries.length).toBeLessThanOrEqual(limits.candidates)
        expect(entries.filter(({ proven }) => !proven).length).toBeLessThanOrEqual(STRANGERS_MAX)
        if (each.do === 'flood' || each.do === 'wait') {
          const now = new Set(entries.filter(({ proven }) => proven).map(({ endpoint }) => endpointText(endpoint)))
          for (const { endpoint } of before) expect(now).toContain(endpointText(endpoint))
        }
      }
      expect(watch.most.unproven).toBeLessThanOrEqual(BOUNDS.unproven.atOnce)
      expect(watch.most.proven).toBeLessThanOrEqual(BOUNDS.proven.atOnce)
      for (const proven of [true, false]) {
        const times = watch.dials.filter((dial) => dial.proven === proven).map(({ atMs }) => atMs)
        expect(mostInASecond(times)).toBeLessThanOrEqual(BOUNDS[proven ? 'proven' : 'unproven'].perSecond)
      }
      const byAddress = new Map<string, number[]>()
      for (const { to, atMs } of watch.dials) byAddress.set(to.address, [...(byAddress.get(to.address) ?? []), atMs])
      for (const times of byAddress.values()) expect(mostInASecond(times)).toBe(1)
    }),
    { numRuns: 60 },
  )
})

test('a flood of strangers does not keep a box that we know from being dialled', () => {
  const watch = new Watch(7)
  watch.outcome = { at: 'unreachable', why: 'test' }
  watch.apply({ do: 'up', node: 1, host: 3 })
  watch.clock.advance(10_000)
  watch.apply({ do: 'down', node: 1, host: 3 })
  watch.apply({ do: 'flood', count: 5000, hosts: 1999, ports: 1, cluster: 'ours', from: 10 })
  const ours = watch.dials.filter(({ to }) => to.address === address(3))
  expect(ours[0]!.atMs).toBeLessThanOrEqual(10_500)
  expect(ours.length).toBeGreaterThan(1)
})
