// What the cluster mended, for people: each time a member is heard again that this box had taken for dead, though it had
// been running all the time, how long they were apart and what had to be put right, by the counters of this box.

import type { InstanceId, NodeId } from '../base/ids.ts'
import type { Meter } from '../base/meter.ts'
import type { Clock } from '../base/ports/clock.ts'

/** So long after the last member was heard again, what changes still belongs to the heal. */
const SETTLING_MS = 60_000
const KEPT_MAX = 50

/** What is told, and the counters it is the sum of. */
const TOLD = {
  'sessions that had gone on elsewhere': ['sessions.gone-on'],
  'sessions that were over elsewhere': ['sessions.over-elsewhere'],
  'connections that gave way to a later one': ['mqtt.takeover'],
  'messages handed over to sessions': ['sessions.joined', 'forward.handed-over'],
  'messages that had come before': ['sessions.joined-twice', 'forward.repeated'],
  'wills taken back': ['wills.written-back'],
  'wills of clients that were there': ['wills.client-back'],
  'messages dropped on the way': ['forward.dropped'],
} as const

export interface HealedMember {
  readonly id: NodeId
  readonly name: string
  /** How long this box had taken it for dead. */
  readonly apartMs: number
}

export interface Heal {
  /** When, in milliseconds since 1970 by this box's clock. */
  readonly atMs: number
  readonly members: readonly HealedMember[]
  /** What was put right so far, by this box; nothing stands there that did not happen. */
  readonly mended: Readonly<Record<string, number>>
  /** Whether more may still come. */
  readonly settling: boolean
}

interface Entry {
  readonly atMs: number
  readonly members: HealedMember[]
  readonly before: Readonly<Record<string, number>>
  mended: Readonly<Record<string, number>>
  untilMs: number
}

export interface HealedView {
  readonly id: NodeId
  readonly instance: InstanceId
  readonly name: string
  readonly state: 'alive' | 'suspect' | 'dead' | 'left'
}

export class Heals {
  readonly #clock: Clock
  readonly #meter: Meter
  /** Members that are dead, by the run in which they were last heard. */
  readonly #dead = new Map<NodeId, { readonly instance: InstanceId; readonly sinceMs: number }>()
  readonly #entries: Entry[] = []

  constructor(world: { readonly clock: Clock; readonly meter: Meter }) {
    this.#clock = world.clock
    this.#meter = world.meter
  }

  /** A member's state has changed. */
  look({ id, instance, name, state }: HealedView): void {
    const dead = this.#dead.get(id)
    if (state === 'left') {
      this.#dead.delete(id)
    } else if (state === 'dead') {
      if (dead === undefined) this.#dead.set(id, { instance, sinceMs: this.#clock.now() })
    } else if (dead !== undefined) {
      this.#dead.delete(id)
      // One that was started anew had died.
      if (dead.instance === instance) this.#heard({ id, name, apartMs: Math.round(this.#clock.now() - dead.sinceMs) })
    }
  }

  /** The last heals, the oldest first. */
  rows(): readonly Heal[] {
    this.#settle()
    const nowMs = this.#clock.now()
    return this.#entries.map(({ atMs, members, mended, untilMs }) => ({
      ...{ atMs, members, mended },
      settling: nowMs < untilMs,
    }))
  }

  #heard(member: HealedMember): void {
    this.#settle()
    const nowMs = this.#clock.now()
    const last = this.#entries.at(-1)
    if (last !== undefined && nowMs < last.untilMs) {
      last.members.push(member)
      last.untilMs = nowMs + SETTLING_MS
    } else {
      const before = this.#counts()
      const entry = { atMs: this.#clock.wall(), members: [member], before, mended: {}, untilMs: nowMs + SETTLING_MS }
      this.#entries.push(entry)
      if (this.#entries.length > KEPT_MAX) this.#entries.shift()
    }
    this.#clock.after(SETTLING_MS, 'cluster.heals', () => this.#settle())
  }

  /** Counts what has happened since the last heal, until it has settled. */
  #settle(): void {
    const last = this.#entries.at(-1)
    if (last === undefined || this.#clock.now() > last.untilMs) return
    const counts = this.#counts()
    const mended = Object.entries(counts).map(([what, count]) => [what, count - (last.before[what] ?? 0)] as const)
    last.mended = Object.fromEntries(mended.filter(([, count]) => count > 0))
  }

  #counts(): Readonly<Record<string, number>> {
    const sum = (names: readonly string[]) => names.reduce((total, name) => total + this.#meter.get(name), 0)
    return Object.fromEntries(Object.entries(TOLD).map(([what, names]) => [what, sum(names)]))
  }
}
