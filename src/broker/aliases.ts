// Topic aliases, both ways. They belong to the connection and end with it. [MQTT-3.3.2-7]

import type { Receivers } from './receivers.ts'

/** Client to server: the client says which number stands for which topic. */
export class IncomingAliases {
  readonly #maximum: number
  readonly #topics: (Receivers | undefined)[] = []

  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /** [MQTT-3.3.2-12] Every alias up to our own maximum is taken. */
  allows(alias: number): boolean {
    return alias >= 1 && alias <= this.#maximum
  }

  set(alias: number, receivers: Receivers): void {
    this.#topics[alias] = receivers
  }

  get(alias: number): Receivers | undefined {
    return this.#topics[alias]
  }
}

/** Server to client: the first topics sent get a number, up to the client's maximum, and keep it. */
export class OutgoingAliases {
  readonly #maximum: number
  readonly #aliases = new Map<string, number>()

  /** `maximum` is the client's Topic Alias Maximum, above 0. [MQTT-3.3.2-11] */
  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /** The topic's alias; 0: it has none. */
  find(topic: string): number {
    return this.#aliases.get(topic) ?? 0
  }

  /** An alias for a topic that has none, taken once `assign` is called; 0: all are taken. */
  next(): number {
    return this.#aliases.size < this.#maximum ? this.#aliases.size + 1 : 0
  }

  assign(topic: string): void {
    this.#aliases.set(topic, this.#aliases.size + 1)
  }
}
