// Answers the boxes that compare their map with ours: hashes, and what they lack. Each answer goes as far as there is
// room on the link, and on when there is more.

import { Deque } from '../../base/deque.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import type { SharedTable } from '../../base/shared.ts'
import { compareStamps, type Stamp } from '../../base/stamps.ts'
import { itemBytes, knownBytes, type LwwItem, type LwwKnown, type LwwMessage } from '../../wire/link/lww.ts'
import type { FeatureWorld } from '../ports.ts'
import { FAN, type HashTree, partOf } from './hashtree.ts'
import { wasDeleted } from './lwwverdict.ts'

/** What both halves of finding differences work with. */
export interface LwwAround {
  readonly name: string
  readonly world: FeatureWorld
  readonly tree: HashTree
  /** What differs when a link comes up is asked for at the first look. */
  readonly atOnce: boolean
  horizon(): Stamp | null
  send(peer: NodeId, message: LwwMessage): 'sent' | 'full' | 'unlinked'
}

/** Questions of one peer that may wait for their answers: more than a box of ours ever asks at once. */
const QUESTIONS_MAX = 64
/** Bytes of items, or of keys, in one message. */
const ANSWER_BYTES = 12 * 1024

interface Asker {
  readonly answers: Deque<Iterator<LwwMessage>>
  /** What the channel had no room for. */
  unsent: LwwMessage | null
}

export class LwwServing {
  readonly #around: LwwAround
  readonly #table: SharedTable
  readonly #isBusy: () => boolean
  readonly #askers = new Map<NodeId, Asker>()

  constructor(around: LwwAround, table: SharedTable, isBusy: () => boolean) {
    this.#around = around
    this.#table = table
    this.#isBusy = isBusy
  }

  unlinked(peer: NodeId): void {
    this.#askers.delete(peer)
  }

  asked(peer: NodeId, question: LwwMessage & { kind: 'ask' | 'compare' }): void {
    let asker = this.#askers.get(peer)
    if (asker === undefined) this.#askers.set(peer, (asker = { answers: new Deque(), unsent: null }))
    if (asker.answers.length >= QUESTIONS_MAX) throw new PeerError('shared map: asked too much at once')
    asker.answers.push(question.kind === 'ask' ? this.#hashes(question.branches) : this.#lacking(question))
    this.pump(peer)
  }

  /** Sends what there is room for. */
  pump(peer: NodeId): void {
    const asker = this.#askers.get(peer)
    if (asker === undefined) return
    for (;;) {
      const message = asker.unsent ?? next(asker)
      if (message === null) return
      asker.unsent = null
      const sent = this.#around.send(peer, message)
      if (sent === 'sent' && message.kind === 'entries') this.#given(message.items.length)
      if (sent === 'unlinked') return this.unlinked(peer)
      if (sent === 'full') {
        asker.unsent = message
        return
      }
    }
  }

  #given(count: number): void {
    const { world, name } = this.#around
    world.meter.count(`${name}.given`, count)
  }

  *#hashes(branches: readonly number[]): Iterator<LwwMessage> {
    const { tree, horizon } = this.#around
    if (branches.length === 0) {
      const hashes = Array.from({ length: FAN }, (_, branch) => tree.branch(branch))
      yield { kind: 'branches', busy: this.#isBusy(), horizon: horizon(), hashes }
      return
    }
    for (const branch of branches) {
      yield { kind: 'leaves', branch, hashes: Array.from({ length: FAN }, (_, leaf) => tree.leaf(branch * FAN + leaf)) }
    }
  }

  *#lacking({ part, have, horizon }: LwwMessage & { kind: 'compare' }): Iterator<LwwMessage> {
    const theirs = new Map(have.map(({ key, stamp }) => [key, stamp]))
    let items: LwwItem[] = []
    let bytes = 0
    for (const entry of this.#around.tree.entries(part.leaf)) {
      const { key } = entry
      const known = theirs.get(key)
      theirs.delete(key)
      // It may have changed, or gone, while the answer waited for room.
      if (partOf(entry, part.parts) !== part.part || this.#table.get(key) !== entry) continue
      const { stamp } = entry
      if (known === undefined ? wasDeleted(stamp, horizon) : compareStamps(stamp, known) <= 0) continue
      const value = this.#table.read(entry)
      const length = itemBytes(Buffer.byteLength(key), value?.length ?? 0)
      if (items.length > 0 && bytes + length > ANSWER_BYTES) {
        yield { kind: 'entries', items }
        items = []
        bytes = 0
      }
      items.push({ key, stamp, value })
      bytes += length
    }
    if (items.length > 0) yield { kind: 'entries', items }
    yield* this.#gone(theirs)
    yield { kind: 'done', part }
  }

  /** What they have, and we have forgotten. */
  *#gone(theirs: ReadonlyMap<string, Stamp>): Iterable<LwwMessage> {
    const horizon = this.#around.horizon()
    let have: LwwKnown[] = []
    let bytes = 0
    for (const [key, stamp] of theirs) {
      if (!wasDeleted(stamp, horizon) || this.#table.get(key) !== undefined) continue
      have.push({ key, stamp })
      bytes += knownBytes(key.length)
      if (bytes < ANSWER_BYTES) continue
      yield { kind: 'gone', horizon, have }
      have = []
      bytes = 0
    }
    if (have.length > 0) yield { kind: 'gone', horizon, have }
  }
}

function next({ answers }: Asker): LwwMessage | null {
  for (let answer = answers.peek(); answer !== undefined; answer = answers.peek()) {
    const step = answer.next()
    if (!step.done) return step.value
    answers.shift()
  }
  return null
}
