// Clients that share the messages of a topic among them (MQTT 4.8.2). They subscribe to nothing else, so that whatever one
// of them receives has come by its group.

import type { SimClient } from './client.ts'
import type { Crowd } from './crowd.ts'
import { noProperties } from './publish.ts'
import type { Dice } from './random.ts'
import type { SimNode, World } from './world.ts'

/** Groups of one name for two filters, and of two names for one, are groups of their own. */
const GROUPS = ['$share/one/jobs/#', '$share/two/jobs/#', '$share/one/jobs/+'] as const
const TOPICS = ['jobs/1', 'jobs/2'] as const

const ACTIONS = { publish: 70, drop: 7, leave: 6, desert: 3, quit: 4, burst: 4 } as const

interface Worker {
  readonly client: SimClient
  readonly filter: string
  readonly qos: 0 | 1 | 2
}

export class Workers {
  readonly #world: World
  readonly #nodes: readonly SimNode[]
  readonly #crowd: Crowd
  readonly #dice: Dice
  readonly #workers: Worker[] = []

  constructor(world: World, nodes: readonly SimNode[], crowd: Crowd, dice: Dice) {
    this.#world = world
    this.#nodes = nodes
    this.#crowd = crowd
    this.#dice = dice
  }

  /** Two to four for each of one or two groups. */
  hire(): void {
    const dice = this.#dice
    const groups = dice.shuffle(GROUPS).slice(0, dice.whole(1, 2))
    for (const filter of groups) {
      // The same for all: what is chosen for one of QoS 0 nobody keeps.
      const qos = dice.pick([0, 1, 1, 2, 2] as const)
      for (let left = dice.whole(2, 4); left > 0; left--) this.#hire(filter, qos)
    }
  }

  /** Plans `count` actions over the next `lengthMs`; none where nobody was hired. */
  busy(count: number, lengthMs: number): void {
    if (this.#workers.length === 0) return
    for (let index = 0; index < count; index++) {
      const action = this.#dice.weighted(ACTIONS)
      const at = this.#dice.between(0, lengthMs)
      this.#world.timeline.after(at, null, `worker.${action}`, () => this.#act(action))
    }
  }

  #hire(filter: string, qos: Worker['qos']): void {
    const dice = this.#dice
    const home = dice.chance(0.5) ? dice.pick(this.#nodes) : null
    const greet = (client: SimClient) => {
      const worker: Worker = { client, filter, qos }
      this.#workers.push(worker)
      client.onConnected = (present) => {
        if (!present || client.subscriptions().length === 0) this.#subscribe(worker)
      }
    }
    this.#crowd.hire({ home, clean: dice.chance(0.4), dice, greet })
  }

  #subscribe({ client, filter, qos }: Worker): void {
    client.subscribe([{ filter, qos, noLocal: false, retainAsPublished: false, id: null }])
  }

  #act(action: keyof typeof ACTIONS): void {
    const dice = this.#dice
    if (action === 'publish' || action === 'burst') {
      const { talkers } = this.#crowd
      if (talkers.length === 0) return
      const client = dice.pick(talkers)
      for (let left = action === 'burst' ? 10 : 1; left > 0; left--) this.#publish(client)
      return
    }
    const working = this.#workers.filter(({ client }) => client.connected)
    if (working.length === 0) return
    const worker = dice.pick(working)
    const { client, filter } = worker
    switch (action) {
      case 'drop':
        return client.drop()
      case 'leave':
        return client.disconnect()
      case 'desert':
        return this.#crowd.desert(client)
      case 'quit':
        client.unsubscribe(filter)
        this.#world.timeline.after(dice.between(200, 3000), null, 'worker.again', () => {
          if (client.connected && client.subscriptions().length === 0) this.#subscribe(worker)
        })
    }
  }

  #publish(client: SimClient): void {
    const dice = this.#dice
    const message = { retain: false, payloadBytes: dice.whole(8, 100), properties: noProperties } as const
    const expirySec = dice.chance(0.1) ? 3600 : null
    const qos = dice.pick([0, 1, 1, 2, 2] as const)
    client.publish({ topic: dice.pick(TOPICS), qos, ...message, expirySec, alias: false })
  }
}
