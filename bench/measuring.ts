// What a load finds out, and what the broker and the load itself used meanwhile.

import type { Version } from './mqtt.ts'
import { cpuMs, rssBytes } from './process.ts'

/** What every load is told. */
export interface Job {
  readonly port: number
  /** The broker's process. */
  readonly pid: number
  readonly version: Version
  readonly warmUpMs: number
  readonly measureMs: number
}

export interface Outcome {
  /** By name, such as `rate` or `p99Ms`. */
  readonly figures: Readonly<Record<string, number>>
  /** Received while measuring, where messages are what is counted. */
  readonly messages: number
  readonly brokerCpuMs: number
  readonly loadCpuMs: number
  readonly wallMs: number
  readonly rssBytes: number
  /** Empty, or the run has failed. */
  readonly problems: readonly string[]
}

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

/** Looks every few milliseconds; false when it did not come true in time. */
export async function until(condition: () => boolean, withinMs: number): Promise<boolean> {
  for (const endMs = performance.now() + withinMs; !condition(); await pause(2)) {
    if (performance.now() > endMs) return condition()
  }
  return true
}

/** What is used from now on. */
export class Usage {
  readonly #pid: number
  readonly #startMs = performance.now()
  readonly #load = process.cpuUsage()
  readonly #brokerMs: number

  constructor(pid: number) {
    this.#pid = pid
    this.#brokerMs = cpuMs(pid)
  }

  soFar(): Pick<Outcome, 'brokerCpuMs' | 'loadCpuMs' | 'wallMs' | 'rssBytes'> {
    const { user, system } = process.cpuUsage(this.#load)
    return {
      wallMs: performance.now() - this.#startMs,
      brokerCpuMs: cpuMs(this.#pid) - this.#brokerMs,
      loadCpuMs: (user + system) / 1000,
      rssBytes: rssBytes(this.#pid),
    }
  }
}

/** At a time so many, each as soon as one before it is done. */
export async function each(count: number, atOnce: number, one: (index: number) => Promise<void>): Promise<void> {
  let begun = 0
  const line = async () => {
    while (begun < count) await one(begun++)
  }
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, line))
}
