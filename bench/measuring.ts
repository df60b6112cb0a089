// What a load finds out, and what the broker and the load itself used meanwhile.

import type { Version } from './mqtt.ts'
import { cpuMs, rssBytes } from './process.ts'

/** What every load is told. */
export interface Job {
  /** The broker's port; of several boxes one each. Publishers are at the first, subscribers at the last. */
  readonly ports: readonly number[]
  /** The broker's processes. */
  readonly pids: readonly number[]
  /** Where they keep what is theirs. */
  readonly directories: readonly string[]
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

const sum = (figures: readonly number[]): number => figures.reduce((all, one) => all + one, 0)

/** Where clients publish, and where they subscribe. */
export const publishingPort = ({ ports }: Job): number => ports[0]!
export const subscribingPort = ({ ports }: Job): number => ports.at(-1)!

/** Of all boxes together. */
export const rssOf = ({ pids }: Job): number => sum(pids.map(rssBytes))

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

/** Looks every few milliseconds; false when it did not come true in time. */
export async function until(condition: () => boolean, withinMs: number): Promise<boolean> {
  for (const endMs = performance.now() + withinMs; !condition(); await pause(2)) {
    if (performance.now() > endMs) return condition()
  }
  return true
}

export type Used = Pick<Outcome, 'brokerCpuMs' | 'loadCpuMs' | 'wallMs' | 'rssBytes'>

/** Of several times one after the other; memory as it was at the end. */
export const together = (times: readonly Used[]): Used => ({
  brokerCpuMs: sum(times.map(({ brokerCpuMs }) => brokerCpuMs)),
  loadCpuMs: sum(times.map(({ loadCpuMs }) => loadCpuMs)),
  wallMs: sum(times.map(({ wallMs }) => wallMs)),
  rssBytes: times.at(-1)!.rssBytes,
})

/** What is used from now on. */
export class Usage {
  readonly #pids: readonly number[]
  readonly #startMs = performance.now()
  readonly #load = process.cpuUsage()
  readonly #brokerMs: number

  constructor(pids: readonly number[]) {
    this.#pids = pids
    this.#brokerMs = sum(pids.map(cpuMs))
  }

  soFar(): Used {
    const { user, system } = process.cpuUsage(this.#load)
    return {
      wallMs: performance.now() - this.#startMs,
      brokerCpuMs: sum(this.#pids.map(cpuMs)) - this.#brokerMs,
      loadCpuMs: (user + system) / 1000,
      rssBytes: sum(this.#pids.map(rssBytes)),
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
