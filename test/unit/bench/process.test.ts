import { expect, test } from 'vitest'
import { cpuMs, cpuMsOf, ioBytesOf, rssBytes, rssBytesOf, saidBytes } from '../../../bench/process.ts'

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

test('what was written is told by name', () => {
  const io = 'rchar: 1\nwchar: 4096\nsyscr: 3\nwrite_bytes: 512\ncancelled_write_bytes: 9\n'
  expect(ioBytesOf(io, 'wchar')).toBe(4096)
  expect(ioBytesOf(io, 'write_bytes')).toBe(512)
  expect(() => ioBytesOf('', 'wchar')).toThrow('has the process ended')
})

test('a living process has all of them', () => {
  expect(cpuMs(process.pid)).toBeGreaterThan(0)
  expect(rssBytes(process.pid)).toBeGreaterThan(1 << 20)
  expect(saidBytes(process.pid)).toBeGreaterThan(0)
})
