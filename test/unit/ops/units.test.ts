import { describe, expect, test } from 'vitest'
import { parseEndpoint } from '../../../src/ops/config/kinds.ts'
import { distance, nearest } from '../../../src/ops/config/suggest.ts'
import { durationText, parseDuration, parseSize, sizeText } from '../../../src/ops/config/units.ts'

describe('durations', () => {
  for (const [text, ms] of [
    ['500ms', 500],
    ['5s', 5000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1.5s', 1500],
    ['5 s', 5000],
    ['0s', 0],
  ] as const) {
    test(`${text} is ${ms} ms`, () => expect(parseDuration(text)).toBe(ms))
  }
  for (const text of ['', '5', 's', '-5s', '5S', '5 minutes', '1h30m', '1e3s', '5constructor', 'Infinitys']) {
    test(`${JSON.stringify(text)} is none`, () => expect(parseDuration(text)).toBe(null))
  }
  test('are written in their largest whole unit', () => {
    expect([0, 500, 5000, 90_000, 604_800_000].map(durationText)).toEqual(['0ms', '500ms', '5s', '90s', '7d'])
  })
})

describe('sizes', () => {
  for (const [text, bytes] of [
    ['64MiB', 67_108_864],
    ['4KiB', 4096],
    ['1GiB', 1_073_741_824],
    ['2MB', 2_000_000],
    ['512B', 512],
    ['1048576', 1_048_576],
    [4096, 4096],
  ] as const) {
    test(`${text} is ${bytes} bytes`, () => expect(parseSize(text)).toBe(bytes))
  }
  for (const text of ['', '4mb', '4kib', 'MiB', '-1', -1, 1.5, '1 2MiB', '4toString']) {
    test(`${JSON.stringify(text)} is none`, () => expect(parseSize(text)).toBe(null))
  }
  test('are written in their largest whole unit', () => {
    expect([0, 512, 4096, 1_048_576, 1_048_577].map(sizeText)).toEqual(['0B', '512B', '4KiB', '1MiB', '1048577B'])
  })
})

describe('endpoints', () => {
  for (const [text, address, port] of [
    ['gw-1', 'gw-1', 4883],
    ['gw-1.lan:99', 'gw-1.lan', 99],
    ['10.0.0.1', '10.0.0.1', 4883],
    ['fd77::1', 'fd77::1', 4883],
    ['[fd77::1]', 'fd77::1', 4883],
    ['[fd77::1]:7', 'fd77::1', 7],
  ] as const) {
    test(text, () => expect(parseEndpoint(text, 4883)).toEqual({ address, port }))
  }
  for (const text of ['', ':', 'a:', 'a:0', 'a:70000', '10.0.0', '10.0.0.256', 'a b', '[gw]:1', 'http://gw', 'a/b']) {
    test(`${JSON.stringify(text)} is none`, () => expect(parseEndpoint(text, 4883)).toBe(null))
  }
})

describe('suggestions', () => {
  test('count edits, a swap of neighbours as one', () => {
    expect(distance('port', 'port')).toBe(0)
    expect(distance('prot', 'port')).toBe(1)
    expect(distance('', 'abc')).toBe(3)
    expect(distance('kitten', 'sitting')).toBe(3)
  })
  test('come from near words only, whatever their spelling', () => {
    const known = ['port', 'heartbeat', 'dead_after', 'max_bytes']
    expect(nearest('prot', known)).toBe('port')
    expect(nearest('deadAfter', known)).toBe('dead_after')
    expect(nearest('max-byte', known)).toBe('max_bytes')
    expect(nearest('hartbeet', known)).toBe('heartbeat')
    expect(nearest('x', known)).toBe(null)
    expect(nearest('elephant', known)).toBe(null)
    expect(nearest('p'.repeat(10_000), known)).toBe(null)
  })
})
