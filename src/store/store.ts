// The store: what must survive is staged here, written in groups, and read back at the next start.
//
//   put, changed, remove -> staged -> one batch per commit -> on disk: `safe` moves on
//                             |
//                             +-> removed again before its commit: never written
//
// A batch holds records by number; a later writing replaces an earlier one. Batches are dropped from the oldest end, as
// soon as no living record has its last writing there. When the disk holds much more than what lives, commits write the
// oldest living records once more, a few at a time, and so free the oldest batches.

import { Deque } from '../base/deque.ts'
import { assert, HostError } from '../base/errors.ts'
import { KiB, MiB } from '../base/limits.ts'
import type { Meter } from '../base/meter.ts'
import type { Clock, Timer } from '../base/ports/clock.ts'
import type { StoreEngine } from '../base/ports/engine.ts'
import type { Log } from '../base/ports/log.ts'
import type { Lane, Positions } from '../base/positions.ts'
import type { Found, FoundRecord, Keeper, Kept } from '../broker/ports.ts'
import { BatchWriter, type Recordable } from '../wire/record/batch.ts'
import { AgeList, Entry } from './entry.ts'
import { Pace } from './pace.ts'
import type { Raw } from './raw.ts'
import { KeyedRecords } from './records.ts'
import { Replay } from './replay.ts'

export interface StoreWorld {
  readonly clock: Clock
  readonly log: Log
  readonly meter: Meter
  readonly engine: StoreEngine
  /** What waits for the disk gets its positions here. */
  readonly positions: Positions
  /** Whether this machine's wall clock is known to be right. */
  readonly synchronised: () => boolean
}

/** The disk may hold this much, and twice what lives, before living records are moved. */
const SLACK_BYTES = 8 * MiB
/** Living records moved with one commit. */
const MOVED_BYTES = 128 * KiB
/** Staged messages of about this many records are not made to wait. */
const STAGED_MAX = 4096
/** After a failure the disk is tried again this often. */
const RETRY_MS = 1000

type State = 'closed' | 'idle' | 'waiting' | 'committing' | 'failed'

export class Store implements Keeper {
  readonly durable = true
  readonly records: KeyedRecords
  readonly #world: StoreWorld
  readonly #positions: Positions
  readonly #lane: Lane
  readonly #pace = new Pace()
  readonly #living = new AgeList()
  #state: State = 'closed'
  #timer: Timer | null = null
  /** Staged and not yet in a batch, in order; slots of what was taken back stay until they come up. */
  #staged: Entry[] = []
  #stagedFrom = 0
  /** The ends of turns in which something was staged. */
  readonly #marks = new Deque<{ readonly position: number; readonly atMs: number }>()
  #marking = false
  /** Being written. */
  #writing: { readonly entry: Entry; readonly value: Recordable | null; readonly bytes: number }[] = []
  #lastId = 0
  #lastBatch = 0
  /** Nothing that was staged up to this position is waiting for the disk. */
  #settled = 0
  /** What the age was at the monotonic time 0. */
  #ageOffsetMs = 0
  #problems: string[] = []
  #failure: string | null = null
  #drained: (() => void) | null = null
  readonly #tellFailed: (() => void)[] = []

  constructor(world: StoreWorld) {
    this.#world = world
    this.#positions = world.positions
    this.#lane = world.positions.lane('store')
    this.records = new KeyedRecords(this)
  }

  get full(): boolean {
    return this.#failure !== null
  }

  get position(): number {
    return this.#positions.position
  }

  get safe(): number {
    return this.#positions.safe
  }

  get ours(): number {
    return this.#positions.ours
  }

  get asked(): number {
    return this.#positions.asked
  }

  /** For `status`. */
  get problems(): readonly string[] {
    return this.#failure === null ? this.#problems : [...this.#problems, this.#failure]
  }

  watch(moved: () => void, failed?: () => void): void {
    this.#positions.watch(moved)
    if (failed !== undefined) this.#tellFailed.push(failed)
  }

  /** Reads what an earlier run left; `done` gets the records, or what keeps the disk from being used at all. */
  open(done: (result: Found | HostError) => void): void {
    const { engine, log, clock } = this.#world
    const replay = new Replay()
    engine.open(
      (number, bytes) => replay.batch(number, bytes),
      (opened) => {
        if (opened instanceof HostError) return done(opened)
        this.#problems = [...opened.damaged, ...replay.damaged].map((what) => `store: ${what}`)
        for (const problem of this.#problems) log.error({}, problem)
        const { entries, lastId } = replay.finish()
        this.#lastId = lastId
        this.#lastBatch = opened.lastBatch
        const nowMs = clock.now()
        this.#ageOffsetMs = replay.ageAt(clock.wall(), this.#world.synchronised()) - nowMs
        for (const { entry, batch, bytes } of entries) this.#living.renew(entry, batch, bytes)
        this.#state = 'idle'
        log.info({ records: this.#living.count, bytes: engine.bytes }, 'store opened')
        done(this.#found(entries.map(({ entry }) => entry).sort((a, b) => a.id - b.id)))
      },
    )
  }

  put(value: Recordable): Kept {
    const entry = new Entry(++this.#lastId, value)
    this.#stage(entry)
    return entry
  }

  changed(kept: Kept): number {
    const entry = kept as Entry
    if (entry.stagedAt === 0) this.#stage(entry)
    else entry.changedAt = this.#lane.staged()
    return entry.stagedAt
  }

  remove(kept: Kept, replaced = false): void {
    const entry = kept as Entry
    entry.value = null
    entry.replaced = replaced
    if (entry.stagedAt === 0) return this.#stage(entry)
    entry.changedAt = this.#lane.staged()
    this.#advance()
  }

  /** Writes what is staged; `done` when it is on disk, or cannot be. */
  close(done: () => void): void {
    if (this.#state === 'closed') return done()
    this.#drained = () => {
      this.#state = 'closed'
      this.#timer?.cancel()
      this.#world.engine.close(done)
    }
    if (this.#state !== 'committing') this.#commit()
  }

  #stage(entry: Entry): void {
    assert(this.#state !== 'closed' || this.#drained !== null, 'staged before the store was opened')
    entry.stagedAt = this.#lane.staged()
    this.#staged.push(entry)
    if (!this.#marking) {
      this.#marking = true
      this.#world.clock.soon(this.#mark)
    }
    if (this.#state !== 'idle') {
      if (this.#state === 'waiting' && this.#staged.length - this.#stagedFrom === STAGED_MAX) this.#commitSoon(0)
      return
    }
    this.#commitSoon(this.#pace.waitMs)
  }

  #commitSoon(waitMs: number): void {
    this.#timer?.cancel()
    this.#state = 'waiting'
    this.#timer = this.#world.clock.after(waitMs, 'store.commit', () => this.#commit())
  }

  readonly #mark = (): void => {
    this.#marking = false
    this.#marks.push({ position: this.#positions.position, atMs: this.#world.clock.now() })
  }

  /** Taken back before its commit: nothing to write any more. */
  #isMoot(entry: Entry): boolean {
    return entry.value === null && entry.batch === 0 && !entry.writing && !entry.replaced && !entry.tried
  }

  /** Steps over what was taken back at the head of what is staged, and moves `safe` on when that is the next. */
  #advance(): void {
    const before = this.#stagedFrom
    while (this.#stagedFrom < this.#staged.length && this.#isMoot(this.#staged[this.#stagedFrom]!)) this.#stagedFrom++
    if (this.#stagedFrom === before) return
    if (this.#stagedFrom === this.#staged.length) {
      this.#staged = []
      this.#stagedFrom = 0
    }
    if (this.#state !== 'committing') this.#settle()
  }

  #settle(): void {
    const next = this.#staged[this.#stagedFrom]
    this.#settled = next === undefined ? this.#positions.position : next.stagedAt - 1
    this.#lane.settled(this.#settled)
  }

  #commit(): void {
    const { clock, engine } = this.#world
    this.#timer?.cancel()
    this.#timer = null
    this.#move()
    const nowMs = clock.now()
    const time = {
      ageMs: this.#ageOffsetMs + nowMs,
      wallMs: clock.wall(),
      synchronised: this.#world.synchronised(),
    }
    const batch = new BatchWriter(time, nowMs)
    this.#writing = []
    const until = this.#cut(nowMs)
    let index = this.#stagedFrom
    for (; index < this.#staged.length && this.#staged[index]!.stagedAt <= until; index++) {
      const entry = this.#staged[index]!
      const { value } = entry
      entry.stagedAt = 0
      if (this.#isMoot(entry)) continue
      entry.writing = true
      if (value === null) batch.remove(entry.id)
      this.#writing.push({ entry, value, bytes: value === null ? 0 : batch.put(entry.id, value) })
    }
    this.#staged = this.#staged.slice(index)
    this.#stagedFrom = 0
    if (batch.empty) return this.#idle()
    this.#state = 'committing'
    const bytes = batch.done()
    const number = ++this.#lastBatch
    engine.append(number, bytes, (error) => {
      if (error === null) this.#committed(number, bytes.length, clock.now() - nowMs)
      else this.#failed(error)
    })
  }

  /**
   * The position up to which is written now: what was staged just before has receivers that may acknowledge it yet.
   * Always the end of a turn, because what is staged in one turn stands or falls together; and all of it, when anything
   * before has been changed since.
   */
  #cut(nowMs: number): number {
    let cut = 0
    const oldEnough = nowMs - this.#pace.waitMs / 2
    for (let mark = this.#marks.peek(); mark !== undefined && mark.atMs <= oldEnough; mark = this.#marks.peek()) {
      cut = mark.position
      this.#marks.shift()
    }
    const { length } = this.#staged
    if (this.#drained !== null || this.#state === 'failed' || length - this.#stagedFrom >= STAGED_MAX)
      return this.#positions.position
    for (let index = this.#stagedFrom; index < length && this.#staged[index]!.stagedAt <= cut; index++) {
      const entry = this.#staged[index]!
      if (entry.changedAt > cut && !this.#isMoot(entry)) return this.#positions.position
    }
    return cut
  }

  #committed(number: number, length: number, tookMs: number): void {
    const { engine, meter } = this.#world
    this.#pace.flushed(tookMs)
    meter.count('store.commits')
    meter.count('store.bytes', length)
    for (const { entry, value, bytes } of this.#writing) {
      entry.writing = false
      entry.tried = false
      if (value !== null) this.#living.renew(entry, number, bytes)
      else if (entry.batch !== 0) this.#living.take(entry)
    }
    this.#writing = []
    engine.drop(this.#living.oldest?.batch ?? number)
    this.#idle()
  }

  #idle(): void {
    this.#state = 'idle'
    this.#advance()
    this.#settle()
    // All that could not be written is written now, or was taken back: there is room, until the next commit says no.
    if (this.#failure !== null) this.#world.log.info({}, 'the store writes again')
    this.#failure = null
    if (this.#drained !== null && this.#staged.length === 0) return this.#drained()
    if (this.#drained !== null) return this.#commit()
    if (this.#staged.length > 0 || this.#overfull) this.#commitSoon(this.#pace.waitMs)
  }

  /** Everything that was in the batch is staged again, before what came later. */
  #failed(error: HostError): void {
    const { log, meter, clock } = this.#world
    meter.count('store.failed')
    if (this.#failure === null) {
      log.error({ error: error.message }, 'the store cannot write: QoS 1 and 2 are refused until it can')
    }
    this.#failure = `store: cannot write (${error.message}): QoS 1 and 2 messages are refused`
    const again = this.#writing.map(({ entry }) => entry)
    const later = this.#staged.slice(this.#stagedFrom).filter((entry) => !entry.writing)
    for (const entry of again) {
      entry.writing = false
      entry.tried = true
      entry.stagedAt = this.#settled + 1
    }
    this.#staged = [...again, ...later]
    this.#stagedFrom = 0
    this.#writing = []
    this.#state = 'failed'
    if (this.#drained !== null) return this.#drained()
    this.#timer = clock.after(RETRY_MS, 'store.retry', () => this.#commit())
    for (const failed of this.#tellFailed) failed()
  }

  #stageAgain(entry: Entry): void {
    entry.stagedAt = this.#lane.staged()
    this.#staged.push(entry)
  }

  get #overfull(): boolean {
    return this.#world.engine.bytes > SLACK_BYTES + 2 * this.#living.bytes && this.#living.oldest !== null
  }

  /** Stages the oldest living records again when the disk holds too much. */
  #move(): void {
    if (!this.#overfull) return
    let bytes = 0
    for (let entry = this.#living.oldest; entry !== null && bytes < MOVED_BYTES; entry = entry.newer) {
      bytes += entry.bytes
      if (entry.stagedAt === 0) this.#stageAgain(entry)
    }
    this.#world.meter.count('store.moved', bytes)
  }

  #found(entries: readonly Entry[]): Found {
    const offsetMs = this.#ageOffsetMs
    const records = entries.map((entry): FoundRecord => {
      const { kind, body, ageMs } = entry.value as Raw
      return { kept: entry, id: entry.id, kind, body, countedFromMs: ageMs - offsetMs }
    })
    return {
      records,
      adopt: (kept, value) => {
        ;(kept as Entry).value = value
      },
      remove: (kept) => this.remove(kept),
    }
  }
}
