import { expect, test } from 'vitest'
import { TextCache } from '../../../../src/wire/link/textcache.ts'

/** A cache, and how often it had to decode. */
function counted(slotsMax: number) {
  let decoded = 0
  const cache = new TextCache(slotsMax, (bytes, start, end) => {
    decoded++
    return bytes.toString('utf8', start, end)
  })
  const get = (text: string) => {
    const bytes = Buffer.from(`<${text}>`)
    return cache.get(bytes, 1, bytes.length - 1)
  }
  return { get, decoded: () => decoded }
}

test('a text that comes again is not decoded again', () => {
  const { get, decoded } = counted(64)
  for (let round = 0; round < 10; round++) expect(get('größe/ä')).toBe('größe/ä')
  expect(decoded()).toBe(1)
})

test('it grows with what comes, up to its bound, and every text comes out as it went in', () => {
  const { get, decoded } = counted(16_384)
  const round = () => {
    for (let index = 0; index < 1000; index++) expect(get(`site/${index}`)).toBe(`site/${index}`)
  }
  for (let times = 0; times < 4; times++) round()
  const before = decoded()
  for (let times = 0; times < 10; times++) round()
  // Two texts of one slot push each other out: few, with room for all.
  expect(decoded() - before).toBeLessThan(10 * 1000 * 0.25)
})

test('a bound that is too small for what comes costs time, and nothing else', () => {
  const { get } = counted(64)
  for (let index = 0; index < 500; index++) expect(get(`t/${index % 200}`)).toBe(`t/${index % 200}`)
})

test('long texts are decoded each time', () => {
  const { get, decoded } = counted(64)
  for (let round = 0; round < 3; round++) expect(get('x'.repeat(129))).toHaveLength(129)
  expect(decoded()).toBe(3)
})
