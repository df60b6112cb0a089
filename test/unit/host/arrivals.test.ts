// Connections that wait to be taken.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Arrivals, WAITING_MAX } from '../../../src/host/arrivals.ts'

const made = () => {
  const [taken, closed]: [number[], number[]] = [[], []]
  const arrivals = new Arrivals<{ readonly number: number; close(): void }>(({ number }) => taken.push(number))
  const add = (number: number) => arrivals.add({ number, close: () => closed.push(number) })
  return { arrivals, add, taken, closed }
}

test('are taken a few in a turn, in order, until there are none', async () => {
  const { add, taken } = made()
  for (let number = 0; number < 20; number++) add(number)
  expect(taken).toEqual([])
  await turn()
  expect(taken.length).toBe(8)
  add(20)
  for (let turns = 0; turns < 3; turns++) await turn()
  expect(taken).toEqual(Array.from({ length: 21 }, (_, number) => number))
  add(21)
  await turn()
  expect(taken.at(-1)).toBe(21)
})

test('over the bound are taken at once', () => {
  const { arrivals, add, taken, closed } = made()
  for (let number = 0; number < WAITING_MAX + 2; number++) add(number)
  expect(taken).toEqual([WAITING_MAX, WAITING_MAX + 1])
  arrivals.close()
  expect(closed.length).toBe(WAITING_MAX)
})

test('are closed with their listener', async () => {
  const { arrivals, add, taken, closed } = made()
  for (let number = 0; number < 10; number++) add(number)
  await turn()
  arrivals.close()
  await turn()
  expect([taken.length, closed]).toEqual([8, [8, 9]])
})
