// When everything has come that the members had sent here: asked when a session has moved away, before this box lets go
// of it. Each member answers behind its last message (CLUSTER 6), once it knows what the new owner wants: until then its
// messages go on coming here. Who asks in one turn for one owner asks together.

import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import type { Timer } from '../../base/ports/clock.ts'
import { encodeMark, type MarkMessage } from '../../wire/link/marks.ts'
import type { FeatureWorld, Membership, MemberView } from '../ports.ts'

/** So many members' questions wait until we know what an owner wants. */
const ASKED_MAX = 256
/** So often it is looked whether that is so. */
const LOOK_MS = 100
/** A member that is neither heard nor dead holds nobody up for longer. */
const LATE_MS = 10_000

export interface BarrierWay {
  /** To a member at once; false: not now. */
  send(peer: NodeId, bytes: Buffer): boolean
  /** To a member behind all that there is for it. */
  behind(peer: NodeId, bytes: Buffer): void
  /** Whether what the member wants is known as it is now. */
  knows(member: NodeId): boolean
}

/** A mark that a member waits for. */
interface Asked {
  readonly peer: NodeId
  readonly number: number
  readonly owner: NodeId
}

interface Waiting {
  readonly passed: (member: NodeId) => void
  readonly done: () => void
}

interface Barrier {
  readonly number: number
  readonly owner: NodeId
  readonly waiting: readonly Waiting[]
  /** Members that have not answered. */
  readonly missing: Set<NodeId>
  /** Those of them that were not asked over the link there is now. */
  readonly unasked: Set<NodeId>
  readonly late: Timer
}

export class Barriers {
  readonly #world: FeatureWorld
  readonly #self: NodeId
  readonly #way: BarrierWay
  /** Members that may send something: neither dead nor left. */
  readonly #living = new Set<NodeId>()
  readonly #open = new Map<number, Barrier>()
  readonly #next = new Map<NodeId, Waiting[]>()
  #asked: Asked[] = []
  #looking: Timer | null = null
  #number: number

  constructor(world: FeatureWorld, membership: Membership, way: BarrierWay) {
    this.#world = world
    this.#self = membership.self
    this.#way = way
    this.#number = world.random.bytes(4).readUInt32BE(0)
    membership.onChange((member) => this.#changed(member))
  }

  /** `passed` is called for each member when what it has sent has come, `done` when that is so of all. */
  ask(owner: NodeId, passed: (member: NodeId) => void, done: () => void): void {
    if (this.#next.size === 0) this.#world.clock.soon(this.#begin)
    const waiting = this.#next.get(owner)
    if (waiting === undefined) this.#next.set(owner, [{ passed, done }])
    else waiting.push({ passed, done })
  }

  unlinked(peer: NodeId): void {
    this.#asked = this.#asked.filter((one) => one.peer !== peer)
  }

  linked(peer: NodeId): void {
    for (const barrier of this.#open.values()) if (barrier.missing.has(peer)) barrier.unasked.add(peer)
    this.room(peer)
  }

  /** There is room on the link again. */
  room(peer: NodeId): void {
    for (const barrier of this.#open.values()) this.#tell(barrier, peer)
  }

  /** Throws PeerError. */
  received(peer: NodeId, message: MarkMessage): void {
    const { number } = message
    if (message.kind === 'ask') {
      const { owner } = message
      if (owner === null || this.#answers(owner)) return this.#answer(peer, number)
      if (this.#asked.length >= ASKED_MAX) return this.#world.meter.count('sessions.mark.full')
      this.#asked.push({ peer, number, owner })
      this.#looking ??= this.#world.clock.after(LOOK_MS, 'sessions.asked', this.#recheck)
      return
    }
    const barrier = this.#open.get(number)
    // Too late for it, or of an earlier run.
    if (barrier === undefined) return this.#world.meter.count('sessions.mark.late')
    if (barrier.unasked.has(peer)) throw new PeerError('forwarding: a mark that nobody asked for')
    this.#pass(barrier, peer)
  }

  stop(): void {
    this.#looking?.cancel()
    for (const { late } of this.#open.values()) late.cancel()
    this.#open.clear()
  }

  /** Whether what is published from now on goes to that owner, or cannot because it is gone. */
  #answers(owner: NodeId): boolean {
    return owner === this.#self || !this.#living.has(owner) || this.#way.knows(owner)
  }

  /** Answers whoever has asked for an owner that is known by now. */
  readonly #recheck = (): void => {
    this.#looking = null
    const left: Asked[] = []
    for (const one of this.#asked) {
      if (this.#answers(one.owner)) this.#answer(one.peer, one.number)
      else left.push(one)
    }
    this.#asked = left
    if (left.length > 0) this.#looking = this.#world.clock.after(LOOK_MS, 'sessions.asked', this.#recheck)
  }

  #answer(peer: NodeId, number: number): void {
    this.#way.behind(peer, encodeMark({ kind: 'mark', number }))
  }

  readonly #begin = (): void => {
    const next = [...this.#next]
    this.#next.clear()
    for (const [owner, waiting] of next) this.#start(owner, waiting)
  }

  #start(owner: NodeId, waiting: readonly Waiting[]): void {
    const number = (this.#number = (this.#number + 1) >>> 0)
    const [missing, unasked] = [new Set(this.#living), new Set(this.#living)]
    const late = this.#world.clock.after(LATE_MS, 'sessions.barrier', () => this.#late(barrier))
    const barrier: Barrier = { number, owner, waiting, missing, unasked, late }
    this.#open.set(number, barrier)
    // What this box publishes itself goes no way at all.
    for (const { passed } of waiting) passed(this.#self)
    for (const peer of missing) this.#tell(barrier, peer)
    this.#look(barrier)
  }

  #tell({ number, owner, unasked }: Barrier, peer: NodeId): void {
    if (unasked.has(peer) && this.#way.send(peer, encodeMark({ kind: 'ask', number, owner }))) unasked.delete(peer)
  }

  #pass(barrier: Barrier, peer: NodeId): void {
    if (!barrier.missing.delete(peer)) return
    for (const { passed } of barrier.waiting) passed(peer)
    this.#look(barrier)
  }

  #look({ number, missing, waiting, late }: Barrier): void {
    if (missing.size > 0 || !this.#open.delete(number)) return
    late.cancel()
    for (const { done } of waiting) done()
  }

  #late(barrier: Barrier): void {
    this.#world.meter.count('sessions.barrier.late', barrier.missing.size)
    barrier.missing.clear()
    this.#look(barrier)
  }

  #changed({ id, state }: MemberView): void {
    if (state === 'alive' || state === 'suspect') return void this.#living.add(id)
    this.#living.delete(id)
    // What it had comes when it comes.
    for (const barrier of [...this.#open.values()]) this.#pass(barrier, id)
  }
}
