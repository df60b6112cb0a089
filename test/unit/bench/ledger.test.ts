import { expect, test } from 'vitest'
import { Ledger } from '../../../bench/ledger.ts'

/** Lane 0 was sent four messages, lane 1 one. */
const findings = (received: readonly (readonly [lane: number, sequence: number])[]): string[] => {
  const ledger = new Ledger(2)
  for (const [lane, sequence] of received) ledger.got(lane, sequence)
  expect(ledger.received).toBe(received.length)
  return ledger.problems('reader', (lane) => (lane === 0 ? 4 : 1))
}
const ALL = [
  [0, 0],
  [0, 1],
  [1, 0],
  [0, 2],
  [0, 3],
] as const

test.each<[name: string, received: readonly (readonly [number, number])[], says: string[]]>([
  ['each once, in the order of its lane', ALL, []],
  ['nothing', [], ['reader: 5 missing']],
  ['the last not', ALL.slice(0, -1), ['reader: 1 missing']],
  ['one in the middle not', ALL.filter(([lane, sequence]) => lane !== 0 || sequence !== 1), ['reader: 1 missing']],
  ['one twice', [...ALL, [0, 3]], ['reader: 1 received twice']],
  ['one twice later', [...ALL, [0, 0]], ['reader: 1 received twice']],
  [
    'two the other way round',
    [
      [0, 1],
      [0, 0],
      [0, 2],
      [0, 3],
      [1, 0],
    ],
    ['reader: 1 out of order'],
  ],
  [
    'a late one twice',
    [
      [0, 1],
      [0, 0],
      [0, 0],
      [0, 2],
      [0, 3],
      [1, 0],
    ],
    ['reader: 1 received twice', 'reader: 1 out of order'],
  ],
  ['one that was not sent', [...ALL, [1, 1]], ['reader: 1 received that were not sent to it']],
  ['one of no lane', [...ALL, [2, 0]], ['reader: 1 of an unknown lane']],
])('received: %s', (_name, received, says) => {
  expect(findings(received)).toEqual(says)
})

test('a number far off is counted without walking there', () => {
  const ledger = new Ledger(1)
  ledger.got(0, 0xfffffff0)
  ledger.got(0, 5)
  expect(ledger.problems('reader', () => 0xfffffff1)).toEqual([
    `reader: ${0xfffffff0 - 1} missing`,
    'reader: 1 out of order',
  ])
})
