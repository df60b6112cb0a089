// Who waits for people, on every member alike: each member tells the others of the boxes that talk to it, and whoever
// approves one anywhere reaches the member that it talks to. The words go with the wish: what people have compared is
// what is approved, and nothing that came in its place.

import { HostError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { KiB } from '../../base/limits.ts'
import type { Timer } from '../../base/ports/clock.ts'
import type { StampClock } from '../../base/stamps.ts'
import {
  APPROVE_BYTES_MAX,
  checkWaiting,
  decodeApprove,
  decodeWaiting,
  encodeApprove,
  encodeWaiting,
  WAITING_BYTES_MAX,
  type WaitingBox,
} from '../../wire/link/waiting.ts'
import { OwnedMap } from '../maps/ownedmap.ts'
import type { Channel, Channels, FeatureWorld, Membership } from '../ports.ts'
import type { WaitingStatus } from '../status.ts'
import type { Admission } from './admission.ts'
import { WAITING_MAX } from './admissions.ts'

/** Signing, the longest way round, and the box's own disk. */
const ANSWER_MS = 25_000
/** Wishes of people that are under way from here. */
const ASKED_MAX = 16

/** Those who talk to this member. */
export interface OwnWaiting {
  waiting(): Admission[]
  find(node: NodeId): Admission | null
}

/** What became of it: null when the box is in. */
type Done = (wrong: string | null) => void

interface Asked {
  readonly peer: NodeId
  readonly timer: Timer
  readonly done: Done
}

export class WaitingList {
  readonly #world: FeatureWorld
  readonly #own: OwnWaiting
  readonly #map: OwnedMap
  readonly #channel: Channel
  readonly #boxes = new Map<NodeId, Map<NodeId, WaitingBox>>()
  readonly #hidden = new Set<NodeId>()
  readonly #asked = new Map<number, Asked>()
  #number = 0

  constructor(world: FeatureWorld, channels: Channels, membership: Membership, stamps: StampClock, own: OwnWaiting) {
    this.#world = world
    this.#own = own
    const bounds = { entriesMax: WAITING_MAX, valueBytesMax: WAITING_BYTES_MAX, check: checkWaiting }
    this.#map = new OwnedMap({ name: 'waiting', ...bounds }, world, channels, membership, stamps, {
      changed: (owner, key, value) => this.#changed(owner, key as NodeId, value),
      partHidden: (owner) => this.#hidden.add(owner),
      partShown: (owner) => this.#hidden.delete(owner),
      partDropped: (owner) => this.#boxes.delete(owner),
    })
    const options = { priority: 'normal', queueBytes: 64 * KiB, messageBytes: APPROVE_BYTES_MAX } as const
    this.#channel = channels.open('approve', options, {
      linked: () => {},
      unlinked: (peer) => this.#unlinked(peer),
      received: (peer, bytes) => this.#received(peer, bytes),
    })
  }

  /** Those who talk to this member have changed. */
  tell(): void {
    const waiting = new Map(this.#own.waiting().map((admission) => [admission.applicant.hello.node, admission]))
    for (const node of [...this.#map.own.keys()]) if (!waiting.has(node as NodeId)) this.#map.set(node, null)
    for (const [node, admission] of waiting) {
      const value = encodeWaiting(boxOf(admission))
      if (this.#map.own.get(node)?.equals(value) !== true) this.#map.set(node, value)
    }
  }

  rows(): WaitingStatus[] {
    const rows = this.#own.waiting().map((admission) => row(admission.applicant.hello.node, boxOf(admission)))
    for (const [owner, boxes] of this.#boxes) {
      if (!this.#hidden.has(owner)) for (const [node, box] of boxes) rows.push(row(node, box))
    }
    return rows
  }

  /** People have compared the words of a box; `wanted` is its id, the beginning of it, or its name. */
  approve(wanted: string, done: (result: WaitingStatus | HostError) => void): void {
    const rows = this.rows()
    const found = matching(rows, wanted)
    if (found instanceof HostError) return done(found)
    const node = found.id as NodeId
    const answer: Done = (wrong) => done(wrong === null ? found : new HostError('failed', wrong))
    if (this.#own.find(node) !== null) return this.#here(node, found.words, answer)
    for (const [owner, boxes] of this.#boxes) {
      if (boxes.get(node)?.words === found.words) return this.#ask(owner, node, found.words, answer)
    }
    answer('it is not waiting any more')
  }

  stop(): void {
    this.#map.stop()
    for (const number of [...this.#asked.keys()]) this.#settle(number, 'this node is stopping')
  }

  #here(node: NodeId, words: string, done: Done): void {
    const admission = this.#own.find(node)
    if (admission === null) return done('it is not waiting any more')
    if (admission.words !== words) return done('its words are others now: compare them again')
    admission.approve(done)
  }

  #ask(peer: NodeId, node: NodeId, words: string, done: Done): void {
    if (this.#asked.size >= ASKED_MAX) return done('too many boxes are being let in from here: try again')
    const number = (this.#number = (this.#number + 1) % 0x1_0000_0000)
    const timer = this.#world.clock.after(ANSWER_MS, 'approve.answer', () =>
      this.#settle(number, 'the member that it talks to did not answer'),
    )
    this.#asked.set(number, { peer, timer, done })
    const sent = this.#channel.send(peer, encodeApprove({ kind: 'approve', number, node, words }))
    if (sent !== 'sent') this.#settle(number, 'the member that it talks to is not linked')
  }

  #settle(number: number, wrong: string | null): void {
    const asked = this.#asked.get(number)
    if (asked === undefined) return
    this.#asked.delete(number)
    asked.timer.cancel()
    asked.done(wrong)
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeApprove(bytes)
    if (message === null) return this.#world.meter.count('approve.unknown')
    if (message.kind === 'answer') {
      if (this.#asked.get(message.number)?.peer !== peer) return
      return this.#settle(message.number, message.wrong === '' ? null : message.wrong)
    }
    const { number, node, words } = message
    this.#here(node, words, (wrong) =>
      this.#channel.send(peer, encodeApprove({ kind: 'answer', number, wrong: wrong ?? '' })),
    )
  }

  #unlinked(peer: NodeId): void {
    for (const [number, asked] of [...this.#asked]) {
      if (asked.peer === peer) this.#settle(number, 'the member that it talks to went away')
    }
  }

  #changed(owner: NodeId, node: NodeId, value: Buffer | null): void {
    const boxes = this.#boxes.get(owner) ?? new Map<NodeId, WaitingBox>()
    this.#boxes.set(owner, boxes)
    if (value === null) boxes.delete(node)
    else boxes.set(node, decodeWaiting(value))
  }
}

const boxOf = ({ applicant, name, words, replaces }: Admission): WaitingBox => ({
  address: applicant.address,
  name,
  words: words ?? '',
  replaces,
})

const row = (id: NodeId, { address, name, words, replaces }: WaitingBox): WaitingStatus => ({
  address,
  id,
  name,
  words,
  replaces: replaces === '' ? null : replaces,
})

/** The one box that is meant, or what to type. */
export function matching(rows: readonly WaitingStatus[], wanted: string): WaitingStatus | HostError {
  if (rows.length === 0) return new HostError('invalid', 'no box is waiting to be let in')
  const exact = rows.filter(({ id, name }) => id === wanted || name === wanted)
  const found = exact.length > 0 ? exact : wanted.length < 4 ? [] : rows.filter(({ id }) => id.startsWith(wanted))
  const all = rows.map(({ id, name, words }) => `${id} (${name}: ${words})`).join(', ')
  if (found.length === 0)
    return new HostError('invalid', `no waiting box is ${JSON.stringify(wanted)}; waiting: ${all}`)
  if (new Set(found.map(({ id }) => id)).size > 1) {
    return new HostError('invalid', `${JSON.stringify(wanted)} may be several boxes; waiting: ${all}`)
  }
  return found[0]!
}
