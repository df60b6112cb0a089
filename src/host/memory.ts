// How much memory this process may still have: what its control group and the machine leave it, and what V8's own heap
// may grow to. Read from the kernel's files, a few times a second.

import { readFileSync } from 'node:fs'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Memory } from '../base/ports/memory.ts'

/** From this share on, garbage is collected before the share is believed: what is only garbage is no shortage. */
const COLLECT_FROM = 0.75
/** A collection stops everything for a moment, so there is one in this time at most. */
const COLLECT_MS = 10_000
/** What the process has beside its heap and its buffers: code, stacks, the allocator's own. */
const BESIDE_BYTES = 48 * 1024 * 1024

export interface Usage {
  readonly rss: number
  readonly heapTotal: number
  readonly heapUsed: number
  readonly external: number
}

export class HostMemory implements Memory {
  readonly #limitBytes = limitOfGroup()
  readonly #heapBytes = usableHeap(getHeapStatistics().heap_size_limit)
  #collectedMs = Number.NEGATIVE_INFINITY

  used(): number {
    const used = this.#now()
    if (used < COLLECT_FROM || performance.now() - this.#collectedMs < COLLECT_MS) return used
    this.#collectedMs = performance.now()
    collector()()
    return this.#now()
  }

  bytes(): number {
    return process.memoryUsage.rss()
  }

  #now(): number {
    return share(process.memoryUsage(), this.#heapBytes, this.#limitBytes, availableBytes(read('/proc/meminfo')))
  }
}

/**
 * The larger of two shares: of the heap, and of the memory that the group's limit and the machine leave us. What the
 * allocator holds on to after we gave it back counts as ours only in `rss`: it is used again before anything new.
 */
export function share(usage: Usage, heapBytes: number, limitBytes: number, availableBytes: number): number {
  const ownBytes = Math.min(usage.rss, usage.heapTotal + usage.external + BESIDE_BYTES)
  return Math.max(usage.heapUsed / heapBytes, ownBytes / Math.min(limitBytes, ownBytes + availableBytes))
}

/** V8's young generation, which its heap limit has in it and long-lived things cannot use. */
const YOUNG_BYTES = 48 * 1024 * 1024
/** Over this share of the rest V8 ends the process when its collections no longer free much. */
const V8_ENDS_AT = 0.8

/** What long-lived things may take of a heap with this limit before V8 ends the process. */
export const usableHeap = (limitBytes: number): number =>
  Math.max(limitBytes / 2, limitBytes - YOUNG_BYTES) * V8_ENDS_AT

/** MemAvailable of /proc/meminfo; Infinity: not known. */
export function availableBytes(meminfo: string): number {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1]
  return kilobytes === undefined ? Number.POSITIVE_INFINITY : Number(kilobytes) * 1024
}

/** The lowest limit of this process's control group and those above it; Infinity: none. `root` is for tests. */
export function limitOfGroup(root = ''): number {
  const groups = read(`${root}/proc/self/cgroup`)
  let lowest = Number.POSITIVE_INFINITY
  const look = (mount: string, path: string, files: readonly string[]) => {
    for (let at = path; ; at = at.slice(0, at.lastIndexOf('/'))) {
      for (const file of files) {
        const text = read(`${root}${mount}${at}/${file}`).trim()
        // `max`, or a number that no machine has: no limit.
        if (/^\d+$/.test(text)) lowest = Math.min(lowest, Number(text))
      }
      if (at === '' || at === '/') return
    }
  }
  const second = /^0::(\/.*)$/m.exec(groups)?.[1]
  if (second !== undefined) look('/sys/fs/cgroup', second, ['memory.max', 'memory.high'])
  const first = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(\/.*)$/m.exec(groups)?.[1]
  if (first !== undefined) look('/sys/fs/cgroup/memory', first, ['memory.limit_in_bytes'])
  return lowest
}

let collect: (() => void) | null = null

/** V8's own collector, which Node hands out by a flag only. */
function collector(): () => void {
  if (collect === null) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
    setFlagsFromString('--no-expose-gc')
  }
  return collect
}

// What is not there is not known.
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
