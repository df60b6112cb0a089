import { describe, expect, test } from 'vitest'
import { NO_CLUSTER } from '../../../../src/base/ids.ts'
import {
  afterDial,
  BOUNDS,
  DialBounds,
  type DialOutcome,
  judge,
  PEACE_MS,
  type Prospect,
  pauseMs,
} from '../../../../src/cluster/links/dialling.ts'
import { cluster, node } from '../fakes.ts'

describe('pauses after failures', () => {
  test.each([
    ['unproven', [5000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]],
    ['proven', [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]],
    ['lost', [1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000, 4000]],
  ] as const)('%s', (standing, pauses) => {
    expect(pauses.map((_, index) => pauseMs(standing, index + 1, 0))).toEqual(pauses)
  })

  test('are jittered: strangers later, ours sooner', () => {
    expect(pauseMs('unproven', 1, 0.999)).toBeGreaterThan(6000)
    expect(pauseMs('unproven', 99, 0.999)).toBe(600_000)
    expect(pauseMs('proven', 99, 0.999)).toBeLessThan(23_000)
  })

  const outcomes: [DialOutcome, 'unproven' | 'proven', number, number][] = [
    [{ at: 'linked', node: node('b') }, 'proven', 0, 1000],
    [{ at: 'self' }, 'unproven', 4, PEACE_MS],
    [{ at: 'foreign', cluster: cluster('f') }, 'proven', 4, PEACE_MS],
    [{ at: 'refused', reason: 'foreign CA' }, 'unproven', 4, 40_000],
    [{ at: 'refused', reason: 'foreign CA' }, 'proven', 4, 30_000],
    [{ at: 'unreachable', why: 'closed' }, 'unproven', 4, 40_000],
    [{ at: 'unreachable', why: 'closed' }, 'proven', 4, 8000],
  ]
  test.each(outcomes)('%o of a candidate that is %s, after three failures', (outcome, standing, failures, pause) => {
    expect(afterDial(outcome, standing, 3, 0)).toEqual({ failures, pauseMs: pause })
  })
})

describe('whether to dial', () => {
  const prospect: Prospect = { standing: 'unproven', node: null, announced: null, silentMs: 0, silentMaxMs: 1000 }
  const table: [string, Partial<Prospect>, string][] = [
    ['two bytes of a port', {}, 'dial'],
    ['our cluster', { announced: cluster('a'), node: node('b') }, 'dial'],
    ['a linked node', { announced: cluster('a'), node: node('c') }, 'linked'],
    ['another cluster', { announced: cluster('f') }, 'foreign'],
    ['no cluster yet', { announced: NO_CLUSTER }, 'foreign'],
    ['silent for long', { silentMs: 1001 }, 'silent'],
    ['proven, whatever is announced', { standing: 'proven', announced: cluster('f'), silentMs: 1e9 }, 'dial'],
    ['lost', { standing: 'lost', node: node('b'), silentMs: 1e9 }, 'dial'],
    ['proven and linked', { standing: 'proven', node: node('c') }, 'linked'],
  ]
  test.each(table)('%s', (_what, differs, verdict) => {
    expect(judge({ ...prospect, ...differs }, cluster('a'), (id) => id === node('c'))).toBe(verdict)
  })
})

describe('bounds', () => {
  test('four strangers at once, then one when one has ended', () => {
    const bounds = new DialBounds()
    for (let index = 0; index < BOUNDS.unproven.atOnce; index++) {
      expect(bounds.waitMs('unproven', `10.0.0.${index}`, 0)).toBe(0)
      bounds.begun('unproven', `10.0.0.${index}`, 0)
    }
    expect(bounds.waitMs('unproven', '10.0.0.9', 5000)).toBeNull()
    expect(bounds.waitMs('proven', '10.0.0.9', 0)).toBe(0)
    bounds.ended('unproven')
    expect(bounds.waitMs('unproven', '10.0.0.9', 0)).toBe(0)
  })

  test('ten strangers a second', () => {
    const bounds = new DialBounds()
    for (let index = 0; index < 10; index++) {
      bounds.begun('unproven', `10.0.0.${index}`, index * 10)
      bounds.ended('unproven')
    }
    expect(bounds.waitMs('unproven', '10.0.0.99', 100)).toBe(900)
    expect(bounds.waitMs('unproven', '10.0.0.99', 1000)).toBe(0)
  })

  test('one a second per address, proven or not', () => {
    const bounds = new DialBounds()
    bounds.begun('proven', '10.0.0.1', 0)
    expect(bounds.waitMs('unproven', '10.0.0.1', 400)).toBe(600)
    expect(bounds.waitMs('proven', '10.0.0.1', 1000)).toBe(0)
  })
})
