import { describe, expect, test } from 'vitest'
import { decides, heed, settle } from '../../../../src/cluster/links/tiebreak.ts'
import { instance, node } from '../fakes.ts'

describe('double dials', () => {
  test('one of two nodes decides', () => {
    expect(decides(node('1'), node('2'))).toBe(true)
    expect(decides(node('2'), node('1'))).toBe(false)
  })

  test.each([
    ['none is used', null, false, 'adopt'],
    ['the used one lives', { instance: instance('a'), silentMs: 2000, relayed: false }, false, 'refuse'],
    ['the used one is silent', { instance: instance('a'), silentMs: 2001, relayed: false }, false, 'adopt'],
    ['the peer was started again', { instance: instance('b'), silentMs: 0, relayed: false }, false, 'adopt'],
    [
      'a relayed one comes beside a straight one',
      { instance: instance('a'), silentMs: 0, relayed: false },
      true,
      'refuse',
    ],
    ['a relayed one beside a relayed one', { instance: instance('a'), silentMs: 0, relayed: true }, true, 'refuse'],
    ['a straight one comes for a relayed one', { instance: instance('a'), silentMs: 0, relayed: true }, false, 'adopt'],
    [
      'a relayed one, and the straight one is silent',
      { instance: instance('a'), silentMs: 2001, relayed: false },
      true,
      'adopt',
    ],
  ] as const)('%s', (_what, used, relayed, verdict) => {
    expect(settle(used, { instance: instance('a'), relayed }, 1000)).toBe(verdict)
  })

  test.each([
    ['none is used', null, 'use'],
    ['a later choice', { instance: instance('a'), choice: 4 }, 'use'],
    ['a choice that was replaced since', { instance: instance('a'), choice: 6 }, 'refuse'],
    ['a new instance counts anew', { instance: instance('b'), choice: 6 }, 'use'],
  ] as const)('%s: %s', (_what, used, verdict) => {
    expect(heed(used, { instance: instance('a'), choice: 5 })).toBe(verdict)
  })
})
