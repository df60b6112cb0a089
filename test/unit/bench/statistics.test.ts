import { expect, test } from 'vitest'
import { bottleneck, median, percentile, spread } from '../../../bench/statistics.ts'

test.each<[figures: number[], is: number]>([
  [[3], 3],
  [[10, 9, 100], 10],
  [[1, 2, 3, 10], 2.5],
  [[9, 10], 9.5],
])('the median of %j is %d, and they stay as they are', (figures, is) => {
  const before = [...figures]
  expect(median(figures)).toBe(is)
  expect(figures).toEqual(before)
})

test('the spread is median, least and most', () => {
  expect(spread([5, 1, 30])).toEqual({ median: 5, least: 1, most: 30 })
})

test.each<[part: number, is: number]>([
  [0.001, 1],
  [0.5, 50],
  [0.99, 99],
  [0.991, 100],
  [1, 100],
])('the percentile %d of 1 to 100 is %d', (part, is) => {
  const figures = Array.from({ length: 100 }, (_, index) => 100 - index)
  expect(percentile(figures, part)).toBe(is)
})

test('no figures are no zero', () => {
  expect(() => median([])).toThrow('no figures')
  expect(() => percentile([], 0.5)).toThrow('no figures')
})

test.each<[broker: number, load: number, is: string]>([
  [0.97, 0.4, 'broker'],
  [0.9, 0.95, 'both'],
  [0.6, 0.9, 'load'],
  [0.3, 0.4, 'neither'],
])('a broker with %d of its core and a load with %d: %s', (broker, load, is) => {
  expect(bottleneck(broker, load)).toBe(is)
})
