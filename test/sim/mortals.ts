// Clients that say at `status/ID` that they are there, and have a will for the same topic: what devices do that want to be
// seen. Others look on, each at a box of its own, and stay there.

import type { SimClient } from './client.ts'
import type { Crowd } from './crowd.ts'
import { noProperties } from './publish.ts'
import type { Dice } from './random.ts'
import type { SimNode, World } from './world.ts'

const ACTIONS = { say: 60, drop: 15, leave: 12, desert: 8 } as const

/** Long enough for a will to be published meanwhile. */
const AWAY_MS = 12_000

export class Mortals {
  readonly #world: World
  readonly #nodes: readonly SimNode[]
  readonly #crowd: Crowd
  readonly #dice: Dice
  readonly #mortals: SimClient[] = []

  constructor(world: World, nodes: readonly SimNode[], crowd: Crowd, dice: Dice) {
    this.#world = world
    this.#nodes = nodes
    this.#crowd = crowd
    this.#dice = dice
  }

  hire(): void {
    const dice = this.#dice
    for (let left = dice.whole(2, 5); left > 0; left--) this.#mortal()
    for (const home of this.#nodes) this.#onlooker(home)
  }

  /** Plans `count` actions over the next `lengthMs`; none where nobody was hired. */
  busy(count: number, lengthMs: number): void {
    if (this.#mortals.length === 0) return
    for (let index = 0; index < count; index++) {
      const action = this.#dice.weighted(ACTIONS)
      const at = this.#dice.between(0, lengthMs)
      this.#world.timeline.after(at, null, `mortal.${action}`, () => this.#act(action))
    }
  }

  #mortal(): void {
    const dice = this.#dice
    const status = { delaySec: dice.pick([0, 0, 1, 3]) }
    const [home, clean] = [dice.chance(0.4) ? dice.pick(this.#nodes) : null, dice.chance(0.5)]
    const greet = (client: SimClient) => {
      this.#mortals.push(client)
      client.onConnected = () => this.#say(client)
    }
    const awayMs = dice.chance(0.5) ? AWAY_MS : 1500
    this.#crowd.hire({ home, clean, dice, awayMs, status, greet })
  }

  #onlooker(home: SimNode): void {
    const dice = this.#dice
    const greet = (client: SimClient) => {
      client.onConnected = (present) => {
        if (present && client.subscriptions().length > 0) return
        client.subscribe([{ filter: 'status/+', qos: 1, noLocal: false, retainAsPublished: false, id: null }])
      }
    }
    this.#crowd.hire({ home, clean: dice.chance(0.5), dice, awayMs: 1500, greet })
  }

  #say(client: SimClient): void {
    const topic = `status/${client.plan.id}`
    const message = { retain: true, payloadBytes: 20, properties: noProperties, expirySec: null, alias: false } as const
    client.publish({ topic, qos: 1, ...message })
  }

  #act(action: keyof typeof ACTIONS): void {
    const there = this.#mortals.filter((client) => client.connected)
    if (there.length === 0) return
    const client = this.#dice.pick(there)
    switch (action) {
      case 'say':
        return this.#say(client)
      case 'drop':
        return client.drop()
      case 'leave':
        return client.disconnect()
      case 'desert':
        return this.#crowd.desert(client)
    }
  }
}
