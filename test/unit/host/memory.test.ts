import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { availableBytes, HostMemory, limitOfGroup, share, usableHeap } from '../../../src/host/memory.ts'

const MiB = 1024 * 1024
const none = Number.POSITIVE_INFINITY

describe('the share of the memory that is used', () => {
  const usage = { rss: 300 * MiB, heapTotal: 150 * MiB, heapUsed: 100 * MiB, external: 100 * MiB }

  test.each([
    ['nothing limits it', 100_000 * MiB, none, none, 0],
    ['the group does', 100_000 * MiB, 400 * MiB, none, 298 / 400],
    ['the machine does: what others have is not ours to take', 100_000 * MiB, none, 102 * MiB, 298 / 400],
    ['the heap does', 125 * MiB, none, none, 0.8],
  ])('%s', (_what, heap, limit, available, expected) => {
    expect(share(usage, heap, limit, available)).toBeCloseTo(expected, 2)
  })

  test('what the allocator has not given back is no shortage', () => {
    expect(share({ ...usage, rss: 2000 * MiB }, none, 2000 * MiB, none)).toBeCloseTo(298 / 2000, 2)
  })

  test('of this process it is some, and not all', () => {
    const used = new HostMemory().used()
    expect(used).toBeGreaterThan(0)
    expect(used).toBeLessThan(1)
  })
})

test('of the heap, what V8 takes for its end is not to be used', () => {
  // Seen with --max-old-space-size=96: a limit of 144 MiB is told, and the end came at 78.
  expect(usableHeap(144 * MiB)).toBeLessThan(78 * MiB)
  expect(usableHeap(144 * MiB)).toBeGreaterThan(70 * MiB)
  expect(usableHeap(40 * MiB)).toBe(16 * MiB)
})

test('MemAvailable is read from /proc/meminfo', () => {
  expect(availableBytes('MemTotal:  926000 kB\nMemAvailable:     512 kB\n')).toBe(512 * 1024)
  expect(availableBytes('')).toBe(none)
})

describe('the limit of the control group', () => {
  const roots: string[] = []
  afterEach(() => {
    for (const root of roots.splice(0)) rmSync(root, { recursive: true })
  })
  const machine = (files: Record<string, string>) => {
    const root = mkdtempSync(join(tmpdir(), 'edge-mqtt-'))
    roots.push(root)
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    return root
  }
  const second = '/sys/fs/cgroup/system.slice'

  test('is the lowest of MemoryMax and MemoryHigh, of the service and of those above it', () => {
    const service = { '/proc/self/cgroup': '0::/system.slice/edge-mqtt.service\n' }
    const at = (own: string, high: string, above: string) =>
      limitOfGroup(
        machine({
          ...service,
          [`${second}/edge-mqtt.service/memory.max`]: own,
          [`${second}/edge-mqtt.service/memory.high`]: high,
          [`${second}/memory.max`]: above,
        }),
      )
    expect(at('500\n', 'max\n', 'max\n')).toBe(500)
    expect(at('500\n', '400\n', 'max\n')).toBe(400)
    expect(at('max\n', 'max\n', '300\n')).toBe(300)
    expect(at('max\n', 'max\n', 'max\n')).toBe(none)
  })

  test('is found in the first version of control groups too', () => {
    const root = machine({
      '/proc/self/cgroup': '9:cpu,cpuacct:/\n8:memory:/a/b\n0::/\n',
      '/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes': '700\n',
    })
    expect(limitOfGroup(root)).toBe(700)
  })

  test('is none where there are no groups', () => {
    expect(limitOfGroup(machine({}))).toBe(none)
  })
})
