// Finds what this box lacks of a map, from one other box at a time: the next is asked only when the first has given all
// it has, so that a new box does not get everything from everybody. What differs is looked at twice, two seconds apart,
// because what was just written is on its way anyway; of some maps what differs when a link comes up is wanted at once.
//
//   a root differs -> suspected --first look--> suspected, due in 2 s --second look--> pulling -> no suspect any more
//                                  '--nothing differs: no suspect any more--'

import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import type { Timer } from '../../base/ports/clock.ts'
import type { SharedEntry } from '../../base/shared.ts'
import type { Stamp } from '../../base/stamps.ts'
import { knownBytes, type LwwHash, type LwwMessage, type LwwPart } from '../../wire/link/lww.ts'
import { FAN, partOf, sameHash } from './hashtree.ts'
import type { LwwAround } from './lwwserving.ts'
import { wasDeleted } from './lwwverdict.ts'

/** Between two looks at a difference (CLUSTER 4). */
const REST_MS = 2000
/** Parts that are asked for at once: enough to keep a slow LAN busy. */
const PARTS_IN_FLIGHT = 8
/** Bytes of keys in one question; a leaf with more is asked for in parts. */
const QUESTION_BYTES = 12 * 1024
const PARTS_MAX = 4096
/** A peer that answers nothing for so long is left for the next. */
const STALLED_MS = 15_000

/** A peer whose map differs from ours, as far as we know. */
interface Suspect {
  /** The leaves that differed at the first look; null: there was none yet. */
  readonly before: ReadonlySet<number> | null
  readonly dueMs: number
}

type State =
  | { readonly at: 'idle' }
  | {
      readonly at: 'looking'
      readonly peer: NodeId
      readonly before: ReadonlySet<number> | null
      readonly found: Set<number>
      /** Branches whose leaves are asked for; null: the branches are. */
      branches: Set<number> | null
      horizon: Stamp | null
    }
  | {
      readonly at: 'pulling'
      readonly peer: NodeId
      readonly parts: Iterator<LwwMessage & { kind: 'compare' }>
      /** What the channel had no room for. */
      unsent: (LwwMessage & { kind: 'compare' }) | null
      inFlight: number
      more: boolean
    }

const IDLE: State = { at: 'idle' }

export class LwwComparing {
  readonly #around: LwwAround
  readonly #done: () => void
  readonly #suspects = new Map<NodeId, Suspect>()
  readonly #given = new Set<NodeId>()
  #state: State = IDLE
  /** While idle: until a suspect is due. While not: until the peer has kept us waiting too long. */
  #timer: Timer | null = null

  /** `done`: nobody is asked any more; tell the others. */
  constructor(around: LwwAround, done: () => void) {
    this.#around = around
    this.#done = done
  }

  /** Others need not ask us now: we are being filled ourselves. */
  get isBusy(): boolean {
    return this.#state.at === 'pulling'
  }

  /** Whether this peer has given all that we lacked, at least once since it is linked. */
  hasGiven(peer: NodeId): boolean {
    return this.#given.has(peer)
  }

  stop(): void {
    this.#suspects.clear()
    this.#given.clear()
    this.#become(IDLE)
  }

  unlinked(peer: NodeId): void {
    this.#suspects.delete(peer)
    this.#given.delete(peer)
    if (this.#state.at !== 'idle' && this.#state.peer === peer) this.#next()
  }

  /** What a peer's map looks like; returns whether ours looks the same. */
  rootOf(peer: NodeId, hash: LwwHash, busy: boolean): boolean {
    const same = sameHash(hash, this.#around.tree.root)
    if (same) this.#given.add(peer)
    if (same) this.#suspects.delete(peer)
    else if (!busy && !this.#suspects.has(peer)) this.#suspect(peer, null, 0)
    if (this.#state.at === 'idle') this.#next()
    return same
  }

  /** Something that we asked for came. */
  progressed(peer: NodeId): void {
    if (this.#state.at === 'pulling' && this.#state.peer === peer) this.#watch()
  }

  answered(peer: NodeId, answer: LwwMessage & { kind: 'branches' | 'leaves' | 'done' }): void {
    const state = this.#state
    if (state.at === 'idle' || state.peer !== peer) return
    this.#watch()
    switch (answer.kind) {
      case 'branches':
        return state.at === 'looking' && state.branches === null ? this.#branches(state, answer) : undefined
      case 'leaves':
        return state.at === 'looking' ? this.#leaves(state, answer.branch, answer.hashes) : undefined
      case 'done':
        if (state.at !== 'pulling') return
        if (state.inFlight === 0) throw new PeerError('shared map: an answer that nobody asked for')
        state.inFlight--
        return this.#pull(state)
    }
  }

  /** There is room on the link again. */
  room(peer: NodeId): void {
    if (this.#state.at === 'pulling' && this.#state.peer === peer) this.#pull(this.#state)
  }

  #suspect(peer: NodeId, before: ReadonlySet<number> | null, inMs: number): void {
    this.#suspects.set(peer, { before, dueMs: this.#around.world.clock.now() + inMs })
  }

  /** Looks at the first suspect that is due, or waits until one is. */
  #next(): void {
    const { clock } = this.#around.world
    this.#become(IDLE)
    let dueMs = Number.POSITIVE_INFINITY
    for (const [peer, suspect] of this.#suspects) {
      if (suspect.dueMs <= clock.now()) return this.#look(peer, suspect.before)
      dueMs = Math.min(dueMs, suspect.dueMs)
    }
    if (dueMs === Number.POSITIVE_INFINITY) return
    this.#timer = clock.after(dueMs - clock.now(), `${this.#around.name}.rest`, () => this.#next())
  }

  #look(peer: NodeId, before: ReadonlySet<number> | null): void {
    this.#suspects.delete(peer)
    this.#become({ at: 'looking', peer, before, found: new Set(), branches: null, horizon: null })
    if (this.#around.send(peer, { kind: 'ask', branches: [] }) !== 'sent') this.#next()
  }

  #branches(state: State & { at: 'looking' }, answer: LwwMessage & { kind: 'branches' }): void {
    const { tree, send } = this.#around
    const { peer, before } = state
    const branches = answer.hashes.flatMap((hash, branch) => (sameHash(hash, tree.branch(branch)) ? [] : [branch]))
    // Who asks others itself will have more to give when it has done.
    if (branches.length > 0 && answer.busy) this.#suspect(peer, before, REST_MS)
    if (branches.length === 0 || answer.busy) return this.#next()
    state.horizon = answer.horizon
    state.branches = new Set(branches)
    if (send(peer, { kind: 'ask', branches }) !== 'sent') this.#next()
  }

  #leaves(state: State & { at: 'looking' }, branch: number, hashes: readonly LwwHash[]): void {
    if (state.branches?.delete(branch) !== true) return
    for (const [index, hash] of hashes.entries()) {
      const leaf = branch * FAN + index
      if (this.#hasNews(leaf, hash, state.horizon) && state.before?.has(leaf) !== false) state.found.add(leaf)
    }
    if (state.branches.size > 0) return
    const { peer, before, found } = state
    const isDue = before !== null || (this.#around.atOnce && !this.#given.has(peer))
    if (found.size > 0 && isDue) return this.#begin(peer, found)
    if (found.size > 0) this.#suspect(peer, found, REST_MS)
    else this.#given.add(peer)
    this.#next()
  }

  /** Whether the peer may know something of this leaf that we do not: from an empty one only what it has forgotten. */
  #hasNews(leaf: number, theirs: LwwHash, horizon: Stamp | null): boolean {
    const { tree } = this.#around
    if (sameHash(theirs, tree.leaf(leaf))) return false
    if (theirs.high !== 0 || theirs.low !== 0) return true
    return horizon !== null && tree.entries(leaf).some(({ stamp }) => wasDeleted(stamp, horizon))
  }

  #begin(peer: NodeId, leaves: ReadonlySet<number>): void {
    const { world, name } = this.#around
    world.meter.count(`${name}.compared`)
    const state: State & { at: 'pulling' } = {
      at: 'pulling',
      peer,
      parts: this.#questions(leaves),
      unsent: null,
      inFlight: 0,
      more: true,
    }
    this.#become(state)
    this.#pull(state)
  }

  #pull(state: State & { at: 'pulling' }): void {
    while (state.inFlight < PARTS_IN_FLIGHT && state.more) {
      const step = state.unsent === null ? state.parts.next() : { done: false as const, value: state.unsent }
      if (step.done === true) {
        state.more = false
        break
      }
      const sent = this.#around.send(state.peer, step.value)
      if (sent === 'unlinked') return this.#next()
      state.unsent = sent === 'full' ? step.value : null
      if (sent === 'full') return
      state.inFlight++
    }
    if (state.inFlight > 0 || state.more) return
    this.#given.add(state.peer)
    this.#next()
    this.#done()
  }

  *#questions(leaves: ReadonlySet<number>): Iterator<LwwMessage & { kind: 'compare' }> {
    for (const leaf of leaves) {
      const bytes = this.#around.tree.entries(leaf).reduce((sum, { key }) => sum + knownBytes(key.length), 0)
      const parts = Math.min(PARTS_MAX, Math.max(1, Math.ceil(bytes / QUESTION_BYTES)))
      for (let part = 0; part < parts; part++) yield this.#question({ leaf, part, parts })
    }
  }

  #question(part: LwwPart): LwwMessage & { kind: 'compare' } {
    const isPart = (entry: SharedEntry) => partOf(entry, part.parts) === part.part
    const have = this.#around.tree.entries(part.leaf).filter(isPart)
    return { kind: 'compare', horizon: this.#around.horizon(), part, have }
  }

  #become(state: State): void {
    this.#state = state
    this.#timer?.cancel()
    this.#timer = null
    if (state.at !== 'idle') this.#watch()
  }

  #watch(): void {
    this.#timer?.cancel()
    const { world, name } = this.#around
    this.#timer = world.clock.after(STALLED_MS, `${name}.stalled`, () => {
      world.meter.count(`${name}.stalled`)
      if (this.#state.at !== 'idle') this.#suspect(this.#state.peer, null, 0)
      this.#next()
    })
  }
}
