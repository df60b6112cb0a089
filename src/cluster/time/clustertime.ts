// Cluster time: one idea of the date for all boxes, whatever their clocks say (CLUSTER 3). Between two meetings it goes
// on by the monotonic clock, so a clock that jumps moves nothing; when two ideas meet, `better` says which one is right.
//
//   own clock at start -> the cluster's on the first link -> on by the monotonic clock ... another side's, if better

import type { NodeId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import { type Clock, every, type Timer } from '../../base/ports/clock.ts'
import type { Log } from '../../base/ports/log.ts'
import { decodeTime, encodeTime, TIME_MS_MAX, type ToldTime } from '../../wire/link/time.ts'
import type { Channel, Channels } from '../ports.ts'

const OPTIONS = { priority: 'urgent', queueBytes: 16 * 1024, messageBytes: 1024 } as const
const TELL_MS = 5000
/** Less is not told apart from a message that was slow on its way. */
export const AGREE_MS = 2000
/** No message is so slow: such a difference is believed at once, a smaller one when it is seen a second time. */
const PLAIN_MS = 60_000
/** A clock that was synchronised so long ago counts like one that is. */
const FRESH_MS = 10 * 60_000
/** So long a box may have been switched off, for its clock to be believed. */
const OFF_MS = 24 * 3600_000
/** How often somebody may set the time between two boxes that have not heard of each other. */
const SETS_AHEAD_MAX = 1000

/** What makes one idea of the time better than another. */
export type TimeClaim = Pick<ToldTime, 'timeMs' | 'synchronised' | 'established' | 'followedMs' | 'sets' | 'agreeing'>

const fresh = ({ followedMs }: TimeClaim): number => (followedMs !== null && followedMs < FRESH_MS ? 1 : 0)

/**
 * Whether theirs is to be taken: a synchronised clock before any other, then what people have set, then the cluster's
 * before that of a box that is new to it, then that of the larger side, then the later. A box whose own clock is
 * synchronised keeps to it.
 */
export function better(theirs: TimeClaim, ours: TimeClaim): boolean {
  if (ours.synchronised) return false
  const order =
    fresh(theirs) - fresh(ours) ||
    theirs.sets - ours.sets ||
    Number(theirs.established) - Number(ours.established) ||
    theirs.agreeing - ours.agreeing ||
    theirs.timeMs - ours.timeMs
  return order > 0
}

export interface ClusterTimeWorld {
  readonly clock: Clock
  /** Whether this machine's wall clock is known to be right. */
  readonly synchronised: () => boolean
  readonly log: Log
  readonly meter: Meter
}

interface Heard {
  readonly told: ToldTime
  /** By our monotonic clock. */
  readonly atMs: number
}

/** Time was moved by more than clocks differ by anyway. */
export interface TimeStep {
  readonly byMs: number
  /** The earliest that it was taken to be in this run. */
  readonly sinceMs: number
  /**
   * By so much more than this run's time that of the run before was late: our clock has leapt forward in between, and
   * nobody knows whether so much time has passed or none.
   */
  readonly leaptMs: number
}

/** What `edge-mqtt cluster time` shows of a member. */
export interface MemberTime {
  readonly id: NodeId
  readonly ownMs: number
  readonly synchronised: boolean
  /** Its idea of cluster time less ours. */
  readonly differenceMs: number
}

export interface TimeStatus {
  readonly clusterMs: number
  readonly ownMs: number
  readonly synchronised: boolean
  /** Whose time it is: this box's own clock, a member's, or what people have set. */
  readonly from: string
  readonly members: readonly MemberTime[]
}

export class ClusterTime {
  readonly #world: ClusterTimeWorld
  readonly #heard = new Map<NodeId, Heard>()
  /** Disagreed when it last told; a second time counts. */
  readonly #differed = new Set<NodeId>()
  readonly #stepped: ((step: TimeStep) => void)[] = []
  #channel: Channel | null = null
  #timer: Timer | null = null
  /** Cluster time less the monotonic clock. */
  #offsetMs: number
  /** By the monotonic clock: when a synchronised clock was last followed. */
  #followedMs: number | null = null
  #sets = 0
  /** The earliest that it was taken to be in this run. */
  #sinceMs: number
  /** How late it was when an earlier run ended, as far as that knew; null: none, or this run has been put right since. */
  #beforeMs: number | null
  #established = false
  #from: NodeId | 'own clock' | 'set' = 'own clock'

  /** `beforeMs`: it was at least that late already, as far as an earlier run knew. */
  constructor(world: ClusterTimeWorld, beforeMs = 0) {
    this.#world = world
    const { clock } = world
    const wallMs = clock.wall()
    this.#offsetMs = (world.synchronised() ? wallMs : Math.max(wallMs, beforeMs)) - clock.now()
    this.#sinceMs = this.now()
    this.#beforeMs = beforeMs > 0 ? beforeMs : null
  }

  /** Cluster time, milliseconds since 1970. */
  now(): number {
    return Math.min(TIME_MS_MAX, Math.max(0, Math.floor(this.#offsetMs + this.#world.clock.now())))
  }

  /** Whether it is, or lately was, that of a synchronised clock. */
  sure(): boolean {
    return this.#world.synchronised() || (this.#followedMs !== null && fresh(this.#claim()) === 1)
  }

  onStep(listener: (step: TimeStep) => void): void {
    this.#stepped.push(listener)
  }

  /** What this box takes for the time is the cluster's: it made the cluster, or has known its members before. */
  establish(): void {
    this.#established = true
  }

  start(): void {
    const backMs = this.#sinceMs - (this.#beforeMs ?? 0)
    // What an earlier run has left behind was written by a clock that has been put right since.
    if (backMs < -AGREE_MS) this.#step(backMs)
    this.#timer ??= every(this.#world.clock, TELL_MS, 'cluster.time', () => this.#tick())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  attach(channels: Channels): void {
    this.#heard.clear()
    this.#differed.clear()
    this.#channel = channels.open('time', OPTIONS, {
      linked: (peer) => this.#tell(peer),
      unlinked: (peer) => {
        this.#heard.delete(peer)
        this.#differed.delete(peer)
      },
      received: (peer, message) => this.#received(peer, message),
    })
  }

  /** People say what time it is. Returns why that cannot be, or null. */
  set(timeMs: number): string | null {
    if (!(timeMs >= 0 && timeMs <= TIME_MS_MAX)) return 'not a time between 1970 and the year 6429'
    const right = this.#synchronisedMember()
    if (right !== null) return `${right} has a synchronised clock, which is right: nothing needs to be set`
    this.#sets++
    this.#established = true
    this.#followedMs = null
    this.#move(timeMs - this.#world.clock.now(), 'set')
    this.#tellAll()
    return null
  }

  status(): TimeStatus {
    const { clock, synchronised } = this.#world
    const members = [...this.#heard].map(([id, heard]) => {
      const passedMs = clock.now() - heard.atMs
      const { ownMs, synchronised } = heard.told
      return { id, ownMs: Math.round(ownMs + passedMs), synchronised, differenceMs: this.#difference(heard) }
    })
    return { clusterMs: this.now(), ownMs: clock.wall(), synchronised: synchronised(), from: this.#from, members }
  }

  #tick(): void {
    this.#look()
    this.#tellAll()
  }

  /** What our own clock has to say. */
  #look(): void {
    const { clock, synchronised } = this.#world
    const offsetMs = clock.wall() - clock.now()
    if (synchronised()) {
      this.#followedMs = clock.now()
      this.#move(offsetMs, 'own clock')
      this.#from = 'own clock'
    } else if (this.#from === 'own clock' && this.#heard.size === 0 && this.#followedMs === null) {
      // Nobody has said anything better yet: a clock that was set meanwhile is likely to be nearer to the truth.
      this.#move(Math.max(offsetMs, this.#offsetMs), 'own clock')
    }
  }

  #claim(): ToldTime {
    const { clock, synchronised } = this.#world
    let agreeing = 1
    for (const heard of this.#heard.values()) if (Math.abs(this.#difference(heard)) <= AGREE_MS) agreeing++
    const ownMs = Math.min(TIME_MS_MAX, Math.max(0, Math.floor(clock.wall())))
    const followedMs = this.#followedMs === null ? null : clock.now() - this.#followedMs
    const known = { synchronised: synchronised(), established: this.#established, sets: this.#sets }
    return { ...known, timeMs: this.now(), ownMs, followedMs, agreeing }
  }

  /** Their time less ours, as it would be now. */
  #difference({ told, atMs }: Heard): number {
    return Math.round(told.timeMs + this.#world.clock.now() - atMs - this.now())
  }

  #received(peer: NodeId, message: Buffer): void {
    const { clock, meter } = this.#world
    const told = decodeTime(message)
    if (told === null) return meter.count('time.unknown')
    if (told.sets > this.#sets + SETS_AHEAD_MAX) return meter.count('time.absurd')
    // Before it is counted among those who agree: it is their side against ours.
    const ours = this.#claim()
    const heard = { told, atMs: clock.now() }
    this.#heard.set(peer, heard)
    const offMs = Math.abs(this.#difference(heard))
    if (offMs <= AGREE_MS) return this.#agreed(peer, told)
    const again = this.#differed.has(peer)
    this.#differed.add(peer)
    if (offMs <= PLAIN_MS && !again) return
    // Whichever it is: two members have met, and it is the cluster's from now on.
    this.#established = true
    if (!better(told, ours)) return
    this.#differed.delete(peer)
    meter.count('time.taken')
    this.#sets = told.sets
    this.#followedMs = told.followedMs === null ? null : clock.now() - told.followedMs
    this.#move(told.timeMs - clock.now(), peer)
    this.#tellAll()
  }

  #agreed(peer: NodeId, told: ToldTime): void {
    this.#differed.delete(peer)
    this.#established = true
    this.#sets = Math.max(this.#sets, told.sets)
    if (told.followedMs === null) return
    const atMs = this.#world.clock.now() - told.followedMs
    this.#followedMs = Math.max(this.#followedMs ?? atMs, atMs)
  }

  #move(offsetMs: number, from: NodeId | 'own clock' | 'set'): void {
    const byMs = Math.round(offsetMs - this.#offsetMs)
    this.#offsetMs = offsetMs
    if (Math.abs(byMs) <= AGREE_MS) return
    this.#from = from
    this.#world.meter.count('time.steps')
    this.#world.log.warn({ byMs, from, nowMs: this.now() }, 'cluster time was moved')
    this.#step(byMs)
  }

  #step(byMs: number): void {
    const sinceMs = this.#sinceMs
    const offMs = this.#beforeMs === null ? 0 : sinceMs - this.#beforeMs
    this.#beforeMs = null
    this.#sinceMs = Math.min(sinceMs, this.now())
    for (const listener of this.#stepped) listener({ byMs, sinceMs, leaptMs: offMs > OFF_MS ? offMs : 0 })
  }

  #synchronisedMember(): string | null {
    if (this.#world.synchronised()) return 'this box'
    for (const [id, { told }] of this.#heard) if (told.synchronised) return id
    return null
  }

  #tellAll(): void {
    for (const peer of this.#channel?.peers() ?? []) this.#tell(peer)
  }

  /** What a peer has no room for it is told again soon. */
  #tell(peer: NodeId): void {
    if (this.#channel?.send(peer, encodeTime(this.#claim())) === 'full') this.#world.meter.count('time.full')
  }
}
