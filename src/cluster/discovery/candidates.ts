// Addresses that may be nodes, whoever named them, and the dialling of them. What anyone on the LAN may forge (beacons,
// mDNS) can make us dial neither faster than the bounds nor less what we know to be ours.
//
//   heard, told, remembered, asked for -> idle -(due, worth it, within bounds)-> dialling -> idle, due after a pause
//                                          a node that we are linked to is not dialled at any of its addresses

import { type ClusterId, type InstanceId, NO_CLUSTER, type NodeId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import type { Clock, Timer } from '../../base/ports/clock.ts'
import type { Log } from '../../base/ports/log.ts'
import type { Random } from '../../base/ports/random.ts'
import { type Endpoint, endpointText } from '../../base/ports/streams.ts'
import { afterDial, DialBounds, type DialOutcome, judge, pauseMs, type Verdict } from '../links/dialling.ts'
import { type Candidate, CandidateTable, isStranger, type Source, standingOf } from './candidatetable.ts'

export type { DialOutcome } from '../links/dialling.ts'
export type { Source } from './candidatetable.ts'

export interface Sighting {
  readonly endpoint: Endpoint
  readonly source: Source
  readonly node: NodeId | null
  readonly instance: InstanceId | null
  /** Null: not said. `NO_CLUSTER`: belongs to none. */
  readonly cluster: ClusterId | null
}

export interface CandidateView {
  readonly endpoint: Endpoint
  readonly node: NodeId | null
  readonly sources: readonly Source[]
  readonly proven: boolean
  readonly state: 'linked' | 'dialling' | 'waiting' | 'foreign' | 'silent'
  readonly failures: number
  /** Milliseconds until it is dialled next; 0 when it is not waiting for time to pass. */
  readonly dueInMs: number
  readonly last: DialOutcome | null
}

export interface CandidatesWorld {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly meter: Meter
}

export interface CandidatesSelf {
  id(): NodeId
  readonly instance: InstanceId
  /** Null while this box has no certificate: it then dials nobody. */
  cluster(): ClusterId | null
  /** Whether it is an address that moves from box to box. */
  floats?(address: string): boolean
}

/** Begins one attempt; `expected` is the node known to live there. `done` is called once. */
export type Dial = (to: Endpoint, expected: NodeId | null, done: (outcome: DialOutcome) => void) => void

type Done = (outcome: DialOutcome) => void

/** A beacon comes every few seconds; an mDNS record stands until it is withdrawn, and is seldom heard again. */
const SILENT_MAX_MS = { beacon: 2 * 60_000, mdns: 3_600_000 } as const
/** Of two boxes that hear each other the one with the lower id dials, the other a little later if that came to nothing. */
const YIELD_MS = 300
/** A lost member is dialled again after 100 ms to half a second, so that both ends do not do it at once. */
const LOST_FIRST_MS = 100
const LOST_SPREAD_MS = 400
/** A link that was up for less than this was no success: two boxes that cannot get along must not try without end. */
const FLAP_MS = 5000
const WAITERS_MAX = 16

export class Candidates {
  readonly #world: CandidatesWorld
  readonly #self: CandidatesSelf
  readonly #dialOut: Dial
  readonly #table = new CandidateTable()
  readonly #bounds = new DialBounds()
  /** Nodes with a link, and since when. */
  readonly #linked = new Map<NodeId, number>()
  readonly #waiters = new Map<string, Done[]>()
  #timer: Timer | null = null
  #timerAtMs = 0
  #running = false

  constructor(world: CandidatesWorld, self: CandidatesSelf, dial: Dial) {
    this.#world = world
    this.#self = self
    this.#dialOut = dial
  }

  /** Begins to dial; call it again when this box has become a member. What was heard before counts. */
  start(): void {
    this.#running = true
    this.#arm(this.#world.clock.now())
  }

  stop(): void {
    this.#running = false
    this.#timer?.cancel()
    this.#timer = null
    for (const key of [...this.#waiters.keys()]) this.#answer(key, { at: 'refused', reason: 'this node is stopping' })
  }

  /** A sighting, believed or not: beacons and mDNS make strangers, the rest makes proven candidates. */
  heard(sighting: Sighting): void {
    const { endpoint, source, node, instance, cluster } = sighting
    if (endpoint.port === 0 || this.#self.floats?.(endpoint.address) === true) return
    if (node === this.#self.id() && instance === this.#self.instance) return
    const nowMs = this.#world.clock.now()
    if (source !== 'beacon' && source !== 'mdns') {
      this.#told(endpoint, source, node, nowMs)
      return
    }
    let candidate = this.#table.get(endpoint)
    const isNew = candidate === undefined
    candidate ??= this.#add(endpoint, source, null, nowMs) ?? undefined
    if (candidate === undefined) return
    const { said } = candidate
    candidate.sources.add(source)
    candidate.said = { node: node ?? said.node, instance: instance ?? said.instance, cluster: cluster ?? said.cluster }
    candidate.heardMs = nowMs
    if (isNew) {
      if (candidate.failures === 0 && node !== null && node < this.#self.id()) candidate.dueMs = nowMs + YIELD_MS
      this.#world.log.debug({ endpoint: endpointText(endpoint), source, node, cluster }, 'candidate heard')
    } else {
      const changed = instance !== null && said.instance !== null && said.instance !== instance
      this.#heardAgain(candidate, changed, nowMs)
    }
    if (this.#verdict(candidate, nowMs) === 'dial') this.#arm(candidate.dueMs)
  }

  /** Static peers: additions and removals at reload. */
  setStatic(list: readonly Endpoint[]): void {
    const nowMs = this.#world.clock.now()
    const wanted = new Set(list.map(endpointText))
    for (const candidate of [...this.#table.values()]) {
      if (!candidate.sources.has('static') || wanted.has(candidate.key)) continue
      this.#table.change(candidate, () => candidate.sources.delete('static'))
      if (candidate.sources.size === 0 && !candidate.linkedBefore) this.#table.remove(candidate)
    }
    for (const endpoint of list) this.#told(endpoint, 'static', null, nowMs)
  }

  /** Dials soon, whatever was before; `done` gets what became of it. For people, through `cluster join`. */
  tryNow(endpoint: Endpoint, done: Done): void {
    const nowMs = this.#world.clock.now()
    if (!this.#running || this.#self.cluster() === null) {
      return done({ at: 'refused', reason: 'this node has no certificate of a cluster yet' })
    }
    const candidate = this.#told(endpoint, 'manual', null, nowMs)
    if (candidate === null) return done({ at: 'refused', reason: 'the table of candidates is full' })
    if (candidate.node !== null && this.#linked.has(candidate.node)) {
      return done({ at: 'linked', node: candidate.node })
    }
    const waiters = this.#waiters.get(candidate.key) ?? []
    if (waiters.length >= WAITERS_MAX) return done({ at: 'refused', reason: 'being tried already' })
    waiters.push(done)
    this.#waiters.set(candidate.key, waiters)
    candidate.failures = 0
    candidate.dueMs = nowMs
    this.#arm(nowMs)
  }

  /** A link to `node` is up; `endpoint` is where it can be dialled, when that is known. */
  linkUp(node: NodeId, endpoint: Endpoint | null): void {
    const nowMs = this.#world.clock.now()
    this.#linked.set(node, nowMs)
    if (endpoint !== null && endpoint.port !== 0 && this.#self.floats?.(endpoint.address) !== true) {
      const known = this.#table.get(endpoint)
      const candidate = known ?? this.#add(endpoint, 'member', node, nowMs)
      if (candidate !== null) this.#proved(candidate, node, nowMs)
    }
    for (const candidate of this.#table.values()) if (candidate.node === node) candidate.lostMs = null
  }

  linkDown(node: NodeId): void {
    const upMs = this.#linked.get(node)
    if (upMs === undefined) return
    this.#linked.delete(node)
    const nowMs = this.#world.clock.now()
    const chance = this.#world.random.fraction()
    for (const candidate of this.#table.values()) {
      if (candidate.node !== node) continue
      candidate.lostMs = nowMs
      candidate.failures = 0
      candidate.flaps = nowMs - upMs < FLAP_MS ? candidate.flaps + 1 : 0
      const pause =
        candidate.flaps === 0 ? LOST_FIRST_MS + chance * LOST_SPREAD_MS : pauseMs('lost', candidate.flaps, chance)
      candidate.dueMs = nowMs + pause
      this.#arm(candidate.dueMs)
    }
    this.#arm(nowMs)
  }

  /** A member has left or was removed: what only it stood for is dialled no more. Static peers stay. */
  forget(node: NodeId): void {
    this.#linked.delete(node)
    for (const candidate of [...this.#table.values()]) {
      if (candidate.node !== node) continue
      if (candidate.sources.has('static')) candidate.node = null
      else this.#table.remove(candidate)
    }
  }

  entries(): readonly CandidateView[] {
    const nowMs = this.#world.clock.now()
    return [...this.#table.values()].map((candidate) => {
      const verdict = this.#verdict(candidate, nowMs)
      return {
        endpoint: candidate.endpoint,
        node: candidate.node ?? candidate.said.node,
        sources: [...candidate.sources],
        proven: !isStranger(candidate),
        state: candidate.state === 'dialling' ? 'dialling' : verdict === 'dial' ? 'waiting' : verdict,
        failures: candidate.failures,
        dueInMs: candidate.state === 'dialling' || verdict !== 'dial' ? 0 : Math.max(0, candidate.dueMs - nowMs),
        last: candidate.last,
      }
    })
  }

  /** What is told by people, members and our own disk. */
  #told(endpoint: Endpoint, source: Source, node: NodeId | null, nowMs: number): Candidate | null {
    if (node === this.#self.id()) return null
    let candidate = this.#table.get(endpoint) ?? null
    if (candidate === null) {
      candidate = this.#add(endpoint, source, node, nowMs)
      if (candidate === null) return null
      this.#world.log.debug({ endpoint: candidate.key, source, node }, 'candidate told')
    } else {
      const wasStranger = isStranger(candidate)
      this.#table.change(candidate, ({ sources }) => sources.add(source))
      candidate.node ??= node
      // A stranger's long pauses are not for a box that is named by one of ours.
      if (wasStranger) candidate.dueMs = Math.min(candidate.dueMs, nowMs)
    }
    if (this.#verdict(candidate, nowMs) === 'dial') this.#arm(candidate.dueMs)
    return candidate
  }

  #add(endpoint: Endpoint, source: Source, node: NodeId | null, nowMs: number): Candidate | null {
    const candidate = this.#table.add(endpoint, source, node, nowMs, (other) => this.#verdict(other, nowMs))
    if (candidate === null) this.#world.meter.count('candidates.full')
    return candidate
  }

  /** A candidate that was known already speaks: may it be asked again earlier than planned? */
  #heardAgain(candidate: Candidate, instanceChanged: boolean, nowMs: number): void {
    if (candidate.state === 'dialling') {
      candidate.heardAgain = true
      return
    }
    if (!isStranger(candidate)) {
      // It is back, or was started anew: its own pauses are short, and the bound per address holds.
      if (instanceChanged || candidate.last?.at === 'unreachable') candidate.dueMs = Math.min(candidate.dueMs, nowMs)
      return
    }
    // A stranger left in peace that now says something else is asked again, but no sooner than after any failure.
    const left = candidate.last?.at
    const now = (left === 'foreign' && candidate.said.cluster === this.#self.cluster()) || left === 'self'
    if (!now || (left === 'self' && !instanceChanged)) return
    const pause = pauseMs('unproven', candidate.failures, this.#world.random.fraction())
    candidate.dueMs = Math.min(candidate.dueMs, candidate.endedMs + pause)
  }

  #verdict(candidate: Candidate, nowMs: number): Verdict {
    const standing = standingOf(candidate, nowMs)
    return judge(
      {
        standing,
        node: candidate.node ?? (standing === 'unproven' ? candidate.said.node : null),
        announced: candidate.said.cluster,
        silentMs: nowMs - candidate.heardMs,
        silentMaxMs: candidate.sources.has('mdns') ? SILENT_MAX_MS.mdns : SILENT_MAX_MS.beacon,
      },
      this.#self.cluster() ?? NO_CLUSTER,
      (node) => this.#linked.has(node),
    )
  }

  /** Runs `#pump` at `atMs` or earlier. By a timer even when that is now: a flood of datagrams costs one look. */
  #arm(atMs: number): void {
    if (!this.#running || atMs === Number.POSITIVE_INFINITY) return
    if (this.#timer !== null && this.#timerAtMs <= atMs) return
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    this.#timer = this.#world.clock.after(Math.max(0, atMs - this.#world.clock.now()), 'cluster.dial', () => {
      this.#timer = null
      this.#pump()
    })
  }

  /** Dials what is due, worth it and within the bounds, longest due first. */
  #pump(): void {
    if (!this.#running || this.#self.cluster() === null) return
    const nowMs = this.#world.clock.now()
    const waiting: Candidate[] = []
    const busy = new Set<NodeId>()
    for (const candidate of this.#table.values()) {
      if (candidate.state === 'dialling') {
        if (candidate.said.node !== null) busy.add(candidate.said.node)
      } else if (this.#verdict(candidate, nowMs) === 'dial') waiting.push(candidate)
    }
    waiting.sort((a, b) => a.dueMs - b.dueMs)
    let nextMs = Number.POSITIVE_INFINITY
    for (const candidate of waiting) {
      if (candidate.dueMs > nowMs) {
        nextMs = Math.min(nextMs, candidate.dueMs)
        break
      }
      const stranger = isStranger(candidate)
      const { node } = candidate.said
      // One stranger at a time for a node that several addresses claim to be: another address of it needs no dial.
      if (stranger && node !== null && busy.has(node)) continue
      const waitMs = this.#bounds.waitMs(stranger ? 'unproven' : 'proven', candidate.endpoint.address, nowMs)
      if (waitMs === null) continue
      if (waitMs > 0) {
        nextMs = Math.min(nextMs, nowMs + waitMs)
        continue
      }
      if (node !== null) busy.add(node)
      this.#dial(candidate, stranger ? 'unproven' : 'proven', nowMs)
    }
    this.#arm(nextMs)
  }

  #dial(candidate: Candidate, kind: 'unproven' | 'proven', nowMs: number): void {
    candidate.state = 'dialling'
    candidate.heardAgain = false
    this.#bounds.begun(kind, candidate.endpoint.address, nowMs)
    this.#world.meter.count('cluster.dials')
    this.#dialOut(candidate.endpoint, candidate.node, (outcome) => {
      this.#bounds.ended(kind)
      this.#ended(candidate, outcome)
    })
  }

  #ended(candidate: Candidate, outcome: DialOutcome): void {
    const nowMs = this.#world.clock.now()
    const standing = standingOf(candidate, nowMs)
    const after = afterDial(outcome, standing, candidate.failures, this.#world.random.fraction())
    const before = candidate.last
    candidate.state = 'idle'
    candidate.last = outcome
    candidate.failures = after.failures
    candidate.endedMs = nowMs
    candidate.dueMs = nowMs + after.pauseMs
    if (outcome.at === 'linked') this.#proved(candidate, outcome.node, nowMs)
    // Our own address, or a copy of this card: dialled once, and again only when it says that it was started anew.
    else if (outcome.at === 'self' && standing === 'unproven') candidate.dueMs = Number.POSITIVE_INFINITY
    else if (outcome.at === 'unreachable' && standing !== 'unproven' && candidate.heardAgain) candidate.dueMs = nowMs
    this.#world.meter.count(`cluster.dialled.${outcome.at}`)
    if (before?.at !== outcome.at) {
      const { failures } = after
      this.#world.log.debug({ endpoint: candidate.key, ...outcome, failures }, 'candidate dialled')
    }
    this.#answer(candidate.key, outcome)
    this.#arm(nowMs)
  }

  #proved(candidate: Candidate, node: NodeId, nowMs: number): void {
    candidate.node = node
    candidate.heardMs = nowMs
    candidate.failures = 0
    this.#table.change(candidate, () => {
      candidate.linkedBefore = true
    })
  }

  #answer(key: string, outcome: DialOutcome): void {
    const waiters = this.#waiters.get(key)
    this.#waiters.delete(key)
    for (const done of waiters ?? []) done(outcome)
  }
}
