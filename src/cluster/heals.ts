// What the cluster mended, for people: each time a member is heard again that this box had taken for dead, though it had
// been running all the time, who was on which side, how long they were apart and what had to be put right, by the counters
// of this box. It outlives a run: one small write for each heal, when that has settled.

import { HostError } from '../base/errors.ts'
import { type InstanceId, isId, type NodeId } from '../base/ids.ts'
import type { Meter } from '../base/meter.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { StateFiles } from '../base/ports/files.ts'
import type { Log } from '../base/ports/log.ts'

/** So long after the last member was heard again, what changes still belongs to the heal. */
const SETTLING_MS = 60_000
const KEPT_MAX = 50
const FILE = 'heals.json'
/** Members named of one side, in what is kept. */
const NAMED_MAX = 256

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

export interface SideMember {
  readonly id: NodeId
  readonly name: string
}

export interface Heal {
  /** When, in milliseconds since 1970 by this box's clock. */
  readonly atMs: number
  /** Those on the other side. */
  readonly members: readonly HealedMember[]
  /** Those on this box's own side, beside itself. */
  readonly here: readonly SideMember[]
  /** What was put right so far, by this box; nothing stands there that did not happen. */
  readonly mended: Readonly<Record<string, number>>
  /** Whether more may still come. */
  readonly settling: boolean
}

interface Entry {
  readonly atMs: number
  readonly members: HealedMember[]
  readonly here: readonly SideMember[]
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

export interface HealsWorld {
  readonly clock: Clock
  readonly meter: Meter
  readonly files: StateFiles
  readonly log: Log
}

export class Heals {
  readonly #clock: Clock
  readonly #meter: Meter
  readonly #files: StateFiles
  readonly #log: Log
  /** Of earlier runs, the oldest first. */
  readonly #earlier: readonly Heal[]
  /** Members that are heard. */
  readonly #here = new Map<NodeId, string>()
  /** Members that are dead, by the run in which they were last heard. */
  readonly #dead = new Map<NodeId, { readonly instance: InstanceId; readonly sinceMs: number }>()
  readonly #entries: Entry[] = []

  constructor(world: HealsWorld) {
    this.#clock = world.clock
    this.#meter = world.meter
    this.#files = world.files
    this.#log = world.log
    this.#earlier = this.#read()
  }

  /** A member's state has changed. */
  look({ id, instance, name, state }: HealedView): void {
    const dead = this.#dead.get(id)
    if (state === 'alive' || state === 'suspect') this.#here.set(id, name)
    else this.#here.delete(id)
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
    const own = this.#entries.map(({ atMs, members, here, mended, untilMs }) => ({
      ...{ atMs, members, here, mended },
      settling: nowMs < untilMs,
    }))
    return [...this.#earlier, ...own].slice(-KEPT_MAX)
  }

  /** A file that cannot be read costs nothing but memory. */
  #read(): readonly Heal[] {
    try {
      const kept = this.#files.read(FILE)
      return kept === null ? [] : parseHeals(kept.toString('utf8'))
    } catch (error) {
      if (!(error instanceof HostError || error instanceof SyntaxError)) throw error
      this.#log.warn({ file: FILE, why: error.message }, 'the heals of earlier runs cannot be read')
      return []
    }
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
      const here = [...this.#here].flatMap(([id, name]) => (id === member.id ? [] : { id, name }))
      const untilMs = nowMs + SETTLING_MS
      this.#entries.push({ atMs: this.#clock.wall(), members: [member], here, before, mended: {}, untilMs })
      if (this.#entries.length > KEPT_MAX) this.#entries.shift()
    }
    this.#clock.after(SETTLING_MS, 'cluster.heals', () => this.#settled())
  }

  /** A minute is over since somebody was heard again: if nobody was since, it is written down. */
  #settled(): void {
    this.#settle()
    const last = this.#entries.at(-1)
    if (last === undefined || this.#clock.now() < last.untilMs) return
    const heals = this.rows().map(({ members, here, ...rest }) => ({
      ...rest,
      members: members.slice(0, NAMED_MAX),
      here: here.slice(0, NAMED_MAX),
    }))
    this.#files.write(FILE, Buffer.from(`${JSON.stringify({ version: 1, heals })}\n`), false, (error) => {
      if (error !== null) this.#log.warn({ file: FILE, why: error.message }, 'heals cannot be written')
    })
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

/** What an earlier run wrote; throws SyntaxError for what makes no sense. */
export function parseHeals(text: string): readonly Heal[] {
  const { heals } = (JSON.parse(text) ?? {}) as { heals?: unknown }
  if (!Array.isArray(heals)) throw new SyntaxError('no list of heals')
  return heals.slice(-KEPT_MAX).map(readHeal)
}

function readHeal(value: unknown): Heal {
  const { atMs, members, here, mended } = (value ?? {}) as Record<string, unknown>
  if (!Array.isArray(members) || !Array.isArray(here) || typeof mended !== 'object') throw new SyntaxError('no heal')
  const counts = Object.entries(mended ?? {}).map(([what, count]) => [what, readNumber(count)] as const)
  return {
    atMs: readNumber(atMs),
    members: members.map((one: unknown) => ({
      ...readMember(one),
      apartMs: readNumber((one as HealedMember).apartMs),
    })),
    here: here.map(readMember),
    mended: Object.fromEntries(counts),
    settling: false,
  }
}

function readNumber(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new SyntaxError('a count that is no number')
  return value
}

function readMember(value: unknown): SideMember {
  const { id, name } = (value ?? {}) as Record<string, unknown>
  if (typeof id !== 'string' || !isId(id) || typeof name !== 'string')
    throw new SyntaxError('a member without id or name')
  return { id: id as NodeId, name }
}
