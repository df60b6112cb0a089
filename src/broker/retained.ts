// The last retained message of each topic.

import type { Clock } from '../base/ports/clock.ts'
import { TopicTree } from '../topic/topics.ts'
import type { Message } from '../wire/message.ts'
import { Deadline, type Deadlines } from './deadlines.ts'
import type { Keeping, Use } from './keeping.ts'

/** The place of a topic's retained message; whoever is about to send it reads `message` then, so it is never outdated. */
export class Retained {
  readonly topic: string
  /** Null: removed. */
  message: Message | null
  /** Made with the first message that expires. */
  deadline: Deadline | null = null
  /** What the store keeps of it. */
  use: Use | null = null

  constructor(topic: string, message: Message) {
    this.topic = topic
    this.message = message
  }
}

export class RetainedMessages {
  readonly #clock: Clock
  readonly #deadlines: Deadlines
  readonly #keeping: Keeping
  readonly #topics = new TopicTree<Retained>()

  constructor(clock: Clock, deadlines: Deadlines, keeping: Keeping) {
    this.#keeping = keeping
    this.#clock = clock
    this.#deadlines = deadlines
  }

  get count(): number {
    return this.#topics.size
  }

  /** [MQTT-3.3.1-5] Replaces what was there. The message must be one that may be kept. */
  set(message: Message): void {
    this.restore(message, this.#keeping.retained(message))
  }

  /** One of an earlier run, or one that is kept already. */
  restore(message: Message, use: Use | null): void {
    let retained = this.#topics.get(message.topic)
    if (retained === undefined) {
      retained = new Retained(message.topic, message)
      this.#topics.set(message.topic, retained)
    } else {
      retained.message = message
      this.#keeping.done(retained.use, use !== null)
    }
    retained.use = use
    this.#watch(retained, message)
  }

  /** [MQTT-3.3.1-6] */
  remove(topic: string): void {
    const retained = this.#topics.delete(topic)
    if (retained === undefined) return
    retained.message = null
    this.#keeping.done(retained.use)
    if (retained.deadline !== null) this.#deadlines.clear(retained.deadline)
  }

  /** The places of all topics that the filter matches; what is in them may be gone by the time it is sent. */
  match(filter: string): Retained[] {
    const found: Retained[] = []
    this.#topics.match(filter, (retained) => {
      found.push(retained)
    })
    return found
  }

  #watch(retained: Retained, message: Message): void {
    if (message.expiresAt === Number.POSITIVE_INFINITY) {
      if (retained.deadline !== null) this.#deadlines.clear(retained.deadline)
      return
    }
    retained.deadline ??= new Deadline(() => this.#expire(retained))
    this.#deadlines.set(retained.deadline, message.expiresAt)
  }

  #expire(retained: Retained): void {
    const message = retained.message
    if (message !== null && message.expiresAt <= this.#clock.now()) this.remove(retained.topic)
  }
}
