import { describe, expect, test } from 'vitest'
import { copied, mergeTies, settleTwins } from '../../../../src/cluster/trust/clones.ts'
import { instance } from '../fakes.ts'

const ties = (machineId: string, boardSerial: string, firstMac: string) => ({ machineId, boardSerial, firstMac })
const kept = ties('m1', 's1', 'a1')

describe('a copied card', () => {
  test.each([
    ['the same box', ties('m1', 's1', 'a1'), false],
    ['another network card', ties('m1', 's1', 'a2'), false],
    ['a system installed anew', ties('m2', 's1', 'a1'), false],
    ['the card in another box', ties('m1', 's2', 'a2'), true],
    ['everything different', ties('m2', 's2', 'a2'), true],
    ['a box without serial number, another card', ties('m1', '', 'a2'), false],
    ['a box without serial number, all else different', ties('m2', '', 'a2'), true],
    ['nothing known', ties('', '', ''), false],
  ])('%s: %s', (_what, now, expected) => {
    expect(copied(kept, now)).toBe(expected)
    expect(copied(now, kept)).toBe(expected)
  })

  test('what is not known now stays remembered', () => {
    expect(mergeTies(kept, ties('', 's2', ''))).toEqual(ties('m1', 's2', 'a1'))
  })
})

test('of two that live with one id the later start gives way', () => {
  expect(settleTwins(instance('1'), instance('1'))).toBe('ourselves')
  expect(settleTwins(instance('2'), instance('1'))).toBe('give way')
  expect(settleTwins(instance('1'), instance('2'))).toBe('stay')
})
