// The clients of a world and what they do: who connects where, subscribes to what and publishes what, drawn from the
// seed. All of them live on a machine of their own with a good path to every node.

import { COPIED_MS } from './checkers/ground.ts'
import { SimClient } from './client.ts'
import { goodQuality, type Machine } from './network.ts'
import type { Promises } from './promises.ts'
import { noProperties, type PublishProperties } from './publish.ts'
import type { Dice } from './random.ts'
import { streamsOf } from './streams.ts'
import type { ClientPlan, PublishWish, SubscribeWish, Target } from './wishes.ts'
import type { SimNode, World } from './world.ts'

const TOPICS = ['a', 'a/b', 'a/b/c', 'a//c', '/a', 'x/1/t', 'x/2/t', 'x/2', 'größe/ä'] as const
const FILTERS = [
  ...TOPICS,
  '#',
  'a/#',
  'a/+',
  'a/+/c',
  '+',
  '+/b',
  '+/+',
  '/+',
  'x/+/t',
  'x/#',
  'x/2/#',
  'größe/#',
  'wills/+',
  'r/+',
  'r/#',
] as const

/** Where what is published is to be retained, or removed. */
const RETAINED_TOPICS = ['r/0', 'r/1', 'r/2'] as const

/** Messages of a flood: more than the buffers between two boxes take at once. */
const FLOOD = 150

/** How long a client may be away that counts on its session. */
const AWAY_MS = 8000

/** How often a client with a session to come back to wants a new one. */
const CLEAN_START = 0.04

const ACTIONS = {
  publish: 54,
  retain: 8,
  subscribe: 9,
  unsubscribe: 5,
  chase: 12,
  leave: 5,
  drop: 4,
  desert: 3,
  burst: 3,
} as const

interface Place {
  readonly client: SimClient
  /** Where it always connects; null: anywhere. */
  readonly home: SimNode | null
  /** It does nothing of itself: somebody else tells it what to do. */
  readonly hired: boolean
  /** How long it may be away; null: as long as its like. */
  readonly awayMs: number | null
}

/** A client that only does what it is told. */
export interface Hired {
  readonly home: SimNode | null
  readonly clean: boolean
  readonly dice: Dice
  readonly awayMs?: number | null
  readonly status?: ClientPlan['status']
  /** Called before it connects. */
  readonly greet: (client: SimClient) => void
}

export class Crowd {
  readonly #world: World
  readonly #promises: Promises
  readonly #dice: Dice
  readonly #looking: Dice
  readonly #nodes: readonly SimNode[]
  readonly #places: Place[] = []
  readonly #machine: Machine
  /** No more reconnecting: the world is about to end. */
  closing = false

  constructor(world: World, nodes: readonly SimNode[], dice: Dice, promises: Promises) {
    this.#world = world
    this.#promises = promises
    this.#nodes = nodes
    this.#dice = dice
    this.#looking = dice.fork('looking')
    this.#machine = world.network.addMachine(0)
    for (const node of world.nodes) {
      world.network.path(this.#machine, node.machine).quality = goodQuality
      world.network.path(node.machine, this.#machine).quality = goodQuality
      const told = node.onGone
      node.onGone = (run) => {
        told(run)
        const lives = node.durable || promises.has('sessions')
        const copiedSince = node.durable ? world.now : world.now - COPIED_MS
        const unwrittenSince = Math.min(copiedSince, world.history.unwrittenSince(node.index, world.now))
        const forgottenSince = world.history.forgottenSince(node.index, world.now)
        for (const { client } of this.#places) {
          client.nodeGone(node.index, run, lives, unwrittenSince, forgottenSince)
        }
        this.#unreachable(node)
      }
      node.onMoved = () => this.#unreachable(node)
    }
  }

  get clients(): readonly SimClient[] {
    return this.#places.map((place) => place.client)
  }

  /** Adds a client that stays on `home`, or on any node of the cluster. */
  add(home: SimNode | null, clean: boolean): SimClient {
    return this.#add({ home, clean, dice: this.#dice, greet: () => {} }, false)
  }

  hire(hired: Hired): SimClient {
    return this.#add(hired, true)
  }

  #add({ home, clean, dice, awayMs = null, status, greet }: Hired, hired: boolean): SimClient {
    const plan: ClientPlan = {
      id: `c${this.#places.length}`,
      version: dice.chance(0.6) ? 5 : 4,
      clean,
      topicAliases: dice.chance(0.3) ? 3 : 0,
      keepAliveSec: dice.chance(0.2) ? 3 : 0,
      ackAfterMs: dice.chance(0.2) ? dice.between(1, 60) : 0,
      will: dice.chance(0.4),
      ...(status === undefined ? {} : { status }),
    }
    const clock = this.#world.clock(plan.id)
    const client = new SimClient(plan, clock, streamsOf(this.#world.network, this.#machine, clock), this.#world.ledger)
    const place: Place = { client, home, hired, awayMs }
    this.#places.push(place)
    greet(client)
    client.onClosed = () => this.#closed(place)
    client.mayBeRefused = (node) => this.#world.history.wasFull(node, this.#world.now, this.#world.now)
    this.#connect(place)
    return client
  }

  /** Who is connected and does what comes to its mind. */
  get talkers(): readonly SimClient[] {
    return this.#places.filter(({ hired, client }) => !hired && client.connected).map(({ client }) => client)
  }

  /** Plans `count` actions over the next `lengthMs`. */
  busy(count: number, lengthMs: number): void {
    for (let index = 0; index < count; index++) {
      const action = this.#dice.weighted(ACTIONS)
      const at = this.#dice.between(0, lengthMs)
      this.#world.timeline.after(at, null, `client.${action}`, () => this.#act(action))
    }
  }

  /** Who is away comes back now. */
  everybodyBack(): void {
    for (const place of this.#places) if (place.client.connection === null) this.#connect(place)
  }

  /** Somebody publishes much at once. */
  flood(): void {
    const connected = this.talkers
    if (connected.length === 0) return
    const client = this.#dice.pick(connected)
    const wish = { ...this.#wish('a/b'), qos: 0, payloadBytes: 1000, retain: false } as const
    for (let index = 0; index < FLOOD; index++) client.publish(wish)
  }

  #act(action: keyof typeof ACTIONS): void {
    const dice = this.#dice
    const connected = this.talkers
    if (connected.length === 0) return
    const client = dice.pick(connected)
    switch (action) {
      case 'publish':
        return client.publish(this.#wish(dice.pick(TOPICS)))
      case 'retain': {
        const payloadBytes = dice.chance(0.25) ? 0 : 30
        const topic = dice.pick(RETAINED_TOPICS)
        client.publish({ ...this.#wish(topic), retain: true, payloadBytes })
        if (this.#promises.has('retained')) this.#look(topic)
        return
      }
      case 'burst':
        for (let index = 0; index < 12; index++) client.publish(this.#wish('a/b'))
        return
      case 'subscribe':
        return this.subscribe(client)
      case 'unsubscribe': {
        const subscriptions = client.subscriptions()
        if (subscriptions.length > 0) client.unsubscribe(dice.pick(subscriptions).filter)
        return
      }
      case 'chase':
        return this.#chase(client, dice.pick(connected))
      case 'leave':
        return client.disconnect()
      case 'drop':
        return client.drop()
      case 'desert':
        return this.desert(client)
    }
  }

  subscribe(client: SimClient): void {
    const dice = this.#dice
    const filters = new Set([dice.pick(FILTERS)])
    if (dice.chance(0.3)) filters.add(dice.pick(FILTERS))
    const id = client.plan.version === 5 && dice.chance(0.4) ? dice.whole(1, 200_000) : null
    client.subscribe([...filters].map((filter) => this.#subscription(client, filter, id)))
  }

  /** Subscribes to something new and has another client publish to it in the very turn of the SUBACK. */
  #chase(subscriber: SimClient, publisher: SimClient): void {
    const topic = `chase/${this.#world.timeline.events}`
    const told = subscriber.onGranted
    subscriber.onGranted = (filter) => {
      told(filter)
      if (filter === topic) publisher.publish(this.#wish(topic))
    }
    subscriber.subscribe([this.#subscription(subscriber, topic, null)])
  }

  /** Somebody who may have had the message live asks what is retained. */
  #look(topic: string): void {
    const dice = this.#looking
    const connected = this.talkers
    if (connected.length === 0 || dice.chance(0.5)) return
    const client = dice.pick(connected)
    const id = null
    this.#world.timeline.after(dice.between(5, 500), null, 'client.look', () => {
      client.subscribe([
        { filter: topic, qos: dice.pick([0, 1, 2] as const), noLocal: false, retainAsPublished: false, id },
      ])
    })
  }

  /** Connects anew at once, while its old connection lives. */
  desert(client: SimClient): void {
    const place = this.#places.find((one) => one.client === client)!
    if (place.home === null && !this.#promises.has('single')) return
    client.desert()
    // A node that has just died has nobody to ask.
    if (client.connection === null) this.#connect(place)
  }

  #subscription(client: SimClient, filter: string, id: number | null): SubscribeWish {
    const dice = this.#dice
    const v5 = client.plan.version === 5
    return {
      filter,
      qos: dice.pick([0, 1, 2] as const),
      noLocal: v5 && dice.chance(0.15),
      retainAsPublished: v5 && dice.chance(0.3),
      id,
    }
  }

  #wish(topic: string): PublishWish {
    const dice = this.#dice
    return {
      topic,
      qos: dice.pick([0, 1, 2] as const),
      retain: dice.chance(0.05),
      payloadBytes: dice.chance(0.02) ? dice.whole(10_000, 60_000) : dice.whole(8, 200),
      properties: dice.chance(0.4) ? this.#properties() : noProperties,
      expirySec: dice.chance(0.15) ? dice.whole(600, 10_000) : null,
      alias: dice.chance(0.3),
    }
  }

  #properties(): PublishProperties {
    const dice = this.#dice
    const user: [string, string][] = []
    const count = dice.whole(0, 4)
    for (let index = 0; index < count; index++) user.push([dice.pick(['a', 'b', 'größe']), String(index)])
    return {
      payloadFormat: dice.chance(0.3) ? 1 : null,
      contentType: dice.chance(0.3) ? 'text/plain' : null,
      responseTopic: dice.chance(0.3) ? 'answers/here' : null,
      correlation: dice.chance(0.3) ? 'which one' : null,
      user,
    }
  }

  #connect(place: Place): void {
    const up = this.#nodes.filter((node) => node.up)
    const node = place.home ?? (up.length > 0 ? this.#dice.pick(up) : null)
    if (node === null || !node.up || node.run!.ready === false) return this.#later(place)
    const cleanStart = !place.client.plan.clean && this.#dice.chance(CLEAN_START)
    const target: Target = { node: node.index, run: node.run!.number, endpoint: node.mqtt, cleanStart }
    place.client.connect(target)
  }

  #closed(place: Place): void {
    if (!this.closing) this.#later(place)
  }

  #later(place: Place): void {
    // Who has a session to come back to may take its time.
    const awayMs = place.awayMs ?? (!place.client.plan.clean && this.#dice.chance(0.25) ? AWAY_MS : 1500)
    this.#world.timeline.after(this.#dice.between(100, awayMs), null, 'client.again', () => {
      if (place.client.connection === null && !this.closing) this.#connect(place)
    })
  }

  /** Clients do not wait for ever for a box that is not there any more. */
  #unreachable(node: SimNode): void {
    for (const { client } of this.#places) {
      const { connection } = client
      if (connection === null || connection.node !== node.index) continue
      this.#world.timeline.after(300, null, 'client.notices', () => {
        if (client.connection === connection) client.drop()
      })
    }
  }
}
