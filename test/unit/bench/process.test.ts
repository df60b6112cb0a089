import { expect, test } from 'vitest'
import { cpuMs, cpuMsOf, rssBytes, rssBytesOf } from '../../../bench/process.ts'

test('the CPU time is user and system, whatever the process is called', () => {
  const after = 'S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20'
  expect(cpuMsOf(`77 (node) ${after}`)).toBe(3000)
  expect(cpuMsOf(`77 (a) b (c) ${after}`)).toBe(3000)
  expect(() => cpuMsOf('77 (node) S')).toThrow('not a line of')
})

test('the memory is what is resident', () => {
  expect(rssBytesOf('Name:\tnode\nVmHWM:\t    9999 kB\nVmRSS:\t    1024 kB\n')).toBe(1 << 20)
  expect(() => rssBytesOf('Name:\tnode\nState:\tZ (zombie)\n')).toThrow('has the process ended')
})

test('a living process has both', () => {
  expect(cpuMs(process.pid)).toBeGreaterThan(0)
  expect(rssBytes(process.pid)).toBeGreaterThan(1 << 20)
})
