// $SYS: what the broker says of itself in topics, by mosquitto's names where they mean the same. Worked out every ten
// seconds; only what has changed goes out, only to those who subscribed, with QoS 0, so that it never waits for anybody.
// Who subscribes is told what was worked out last. It stays on this node: neither stored nor forwarded.

import type { ClientId } from '../base/ids.ts'
import { type Clock, every, type Timer } from '../base/ports/clock.ts'
import { TopicTree } from '../topic/topics.ts'
import { EMPTY, type Message, type Origin } from '../wire/message.ts'
import type { Publisher } from './publish.ts'
import type { ReceiversCache } from './receivers.ts'
import type { RetainedPlace } from './retained-feed.ts'
import { Load } from './sys-load.ts'
import { isSys } from './sys-topic.ts'

/** A topic and what it says now; an empty text: it says nothing any more. */
export type Fact = readonly [topic: string, text: string]

/** Cumulative counts whose averages stand under `$SYS/broker/load/`, by their names there. */
export type LoadCounts = Readonly<Record<string, number>>

export interface SysWorld {
  readonly clock: Clock
  readonly origin: Origin
  readonly publisher: Publisher
  readonly receivers: ReceiversCache
  facts(): Iterable<Fact>
  loads(): LoadCounts
}

/** Mosquitto's sys_interval. */
const INTERVAL_MS = 10_000
const NOBODY = '' as ClientId

export class Sys {
  readonly #world: SysWorld
  readonly #topics = new TopicTree<RetainedPlace>()
  readonly #load: Load
  readonly #ticking: Timer

  constructor(world: SysWorld) {
    this.#world = world
    this.#load = new Load(world.clock.now())
    this.#ticking = every(world.clock, INTERVAL_MS, 'broker.sys', () => {
      this.#load.look(world.clock.now(), world.loads())
      this.#renew(true)
    })
  }

  /** What a new subscriber to this filter is told; null: the filter is none of ours. */
  match(filter: string): RetainedPlace[] | null {
    if (!isSys(filter)) return null
    if (this.#topics.size === 0) this.#renew(false)
    const found: RetainedPlace[] = []
    this.#topics.match(filter, (retained) => {
      found.push(retained)
    })
    return found
  }

  /** Tells those who have subscribed, and nobody later. */
  tell(topic: string, text: string): void {
    const { receivers, publisher } = this.#world
    if (!receivers.of(topic).nobody) publisher.sys(this.#message(topic, text, false))
  }

  stop(): void {
    this.#ticking.cancel()
  }

  /** `telling`: those who have subscribed. */
  #renew(telling: boolean): void {
    for (const [topic, text] of this.#world.facts()) this.#put(topic, text, telling)
    for (const [name, text] of this.#load.facts()) this.#put(`$SYS/broker/load/${name}`, text, telling)
  }

  #put(topic: string, text: string, telling: boolean): void {
    const known = this.#topics.get(topic)
    if (known?.message?.payload.equals(Buffer.from(text))) return
    if (text === '') {
      if (this.#topics.delete(topic) === undefined) return
      known!.message = null
    } else {
      const message = this.#message(topic, text, true)
      if (known === undefined) this.#topics.set(topic, { message })
      else known.message = message
    }
    const { receivers, publisher } = this.#world
    if (telling && !receivers.of(topic).nobody) publisher.sys(this.#message(topic, text, true))
  }

  #message(topic: string, text: string, retain: boolean): Message {
    return {
      origin: this.#world.origin,
      counter: 0,
      topic,
      qos: 0,
      retain,
      payload: text === '' ? EMPTY : Buffer.from(text),
      properties: EMPTY,
      expiresAt: Number.POSITIVE_INFINITY,
      publisher: NOBODY,
      stamp: null,
    }
  }
}
