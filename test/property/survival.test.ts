// Whatever a publisher, a subscriber and the network do, and whenever the box dies: what was acknowledged to the publisher
// comes to the subscriber that was promised its subscription, QoS 2 once, in order of topic and QoS.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Client } from '../conformance/lab.ts'
import { DurableLab, Platter } from '../unit/broker/durable-lab.ts'

const RUNS = Number(process.env['EDGE_SURVIVALS'] ?? 60)
const EXPIRY_SEC = 3600
const lasting = { clean: false, properties: { sessionExpiryInterval: EXPIRY_SEC } } as const

type Topic = 'a' | 'b'
type Step =
  | { readonly do: 'publish'; readonly topic: Topic; readonly qos: 1 | 2; readonly expires: boolean }
  | { readonly do: 'subscribe' | 'unsubscribe'; readonly topic: Topic }
  | { readonly do: 'heed'; readonly who: 'publisher' | 'subscriber'; readonly packets: number }
  | { readonly do: 'leave' | 'return'; readonly who: 'publisher' | 'subscriber' }
  | { readonly do: 'crash'; readonly landed: boolean }
  | { readonly do: 'commit' | 'outlast' }
  | { readonly do: 'pass'; readonly ms: number }

interface Sent {
  readonly n: number
  readonly topic: Topic
  readonly qos: 1 | 2
  readonly expires: boolean
  readonly packetId: number
  /** Whether the subscriber may count on it: it had its SUBACK before this was sent, and wanted it until this was done. */
  promised: boolean
  released: boolean
}

/** A client with a session of its own side, over connections and brokers that come and go. */
abstract class Side {
  readonly id: string
  #client: Client | null = null
  /** Received, and not looked at yet; lost with the connection. */
  #unread: { cmd: string; messageId: number; [key: string]: unknown }[] = []

  constructor(id: string) {
    this.id = id
  }

  get client(): Client | null {
    return this.#client
  }

  connect(lab: DurableLab): void {
    if (this.#client !== null) return
    this.#client = lab.client().connect({ id: this.id, ...lasting })
    this.#collect()
    const connack = this.#unread.shift()
    expect([connack?.cmd, connack?.['reasonCode']]).toEqual(['connack', 0])
    if (connack?.['sessionPresent'] !== true) this.forgotten()
    this.resumed()
  }

  drop(): void {
    this.#client?.drop()
    this.#client = null
    this.#unread = []
  }

  /** Looks at some of what came; false: there was nothing. */
  heed(packets: number): boolean {
    this.#collect()
    const found = this.#unread.splice(0, packets)
    for (const packet of found) this.heard(packet)
    return found.length > 0
  }

  send(packet: object): void {
    this.#client?.send(packet)
  }

  #collect(): void {
    if (this.#client !== null) this.#unread.push(...this.#client.take())
  }

  /** The broker knows nothing of its session. */
  abstract forgotten(): void
  abstract resumed(): void
  abstract heard(packet: { cmd: string; messageId: number; [key: string]: unknown }): void
}

class Publisher extends Side {
  readonly sent: Sent[] = []
  readonly acknowledged: Sent[] = []
  /** What is not acknowledged yet, by packet id, in order. */
  readonly under = new Map<number, Sent>()
  #ids = 0
  problems: string[] = []

  publish(topic: Topic, qos: 1 | 2, expires: boolean, promised: boolean): void {
    if (this.client === null || this.under.size >= 20) return
    const one: Sent = { n: this.sent.length, topic, qos, expires, promised, packetId: ++this.#ids, released: false }
    this.sent.push(one)
    this.under.set(one.packetId, one)
    this.#say(one, false)
  }

  forgotten(): void {
    for (const { n, released } of this.under.values())
      if (released) this.problems.push(`${n}: its PUBREC was forgotten`)
  }

  resumed(): void {
    for (const one of this.under.values()) {
      if (one.released) this.send({ cmd: 'pubrel', messageId: one.packetId })
      else this.#say(one, true)
    }
  }

  heard({ cmd, messageId, reasonCode = 0 }: { cmd: string; messageId: number; reasonCode?: unknown }): void {
    const one = this.under.get(messageId)
    // A PUBREL that is sent again may find its exchange done.
    if (cmd !== 'pubcomp' && (reasonCode as number) >= 0x80)
      this.problems.push(`${cmd} ${messageId} says ${reasonCode}`)
    if (cmd === 'pubrec') {
      if (one !== undefined) one.released = true
      return this.send({ cmd: 'pubrel', messageId })
    }
    if (one === undefined) return
    this.under.delete(messageId)
    this.acknowledged.push(one)
  }

  #say({ topic, n, qos, packetId, expires }: Sent, dup: boolean): void {
    const properties = expires ? { properties: { messageExpiryInterval: 60 } } : {}
    this.send({
      ...{ cmd: 'publish', topic, payload: `${n}`, qos, messageId: packetId, dup, retain: false },
      ...properties,
    })
  }
}

class Subscriber extends Side {
  readonly got: { readonly n: number; readonly qos: number; readonly topic: string }[] = []
  readonly granted = new Set<Topic>()
  readonly #begun = new Set<number>()
  readonly #asked = new Map<number, Topic>()
  #ids = 0

  subscribe(topic: Topic): void {
    if (this.client === null) return
    this.#asked.set(++this.#ids, topic)
    this.client.subscribe(topic, { qos: 2, messageId: this.#ids })
  }

  unsubscribe(topic: Topic): void {
    if (this.client === null) return
    this.granted.delete(topic)
    // What was asked before counts no more when its answer comes.
    for (const [id, asked] of this.#asked) if (asked === topic) this.#asked.delete(id)
    this.send({ cmd: 'unsubscribe', messageId: ++this.#ids, unsubscriptions: [topic] })
  }

  forgotten(): void {
    this.granted.clear()
    this.#begun.clear()
  }

  resumed(): void {
    this.#asked.clear()
  }

  heard({ cmd, messageId, ...packet }: { cmd: string; messageId: number; [key: string]: unknown }): void {
    if (cmd === 'suback') {
      const topic = this.#asked.get(messageId)
      if (topic !== undefined) this.granted.add(topic)
    } else if (cmd === 'pubrel') {
      this.#begun.delete(messageId)
      this.send({ cmd: 'pubcomp', messageId })
    } else if (cmd === 'publish') {
      const { qos, topic } = packet as unknown as { qos: number; topic: string }
      const n = Number(packet['payload'])
      if (qos === 1) {
        this.got.push({ n, qos, topic })
        this.send({ cmd: 'puback', messageId })
      } else {
        if (!this.#begun.has(messageId)) this.got.push({ n, qos, topic })
        this.#begun.add(messageId)
        this.send({ cmd: 'pubrec', messageId })
      }
    }
  }
}

class Story {
  #lab = new DurableLab(new Platter())
  readonly publisher = new Publisher('publisher')
  readonly subscriber = new Subscriber('subscriber')
  /** Promises made before this many messages are over: the subscriber's session has ended since. */
  #since = 0

  constructor() {
    this.publisher.connect(this.#lab)
    this.subscriber.connect(this.#lab)
  }

  run(steps: readonly Step[]): string[] {
    for (const step of steps) this.#take(step)
    this.#end()
    return this.#judged()
  }

  #take(step: Step): void {
    const lab = this.#lab
    switch (step.do) {
      case 'publish':
        this.publisher.connect(lab)
        return this.publisher.publish(step.topic, step.qos, step.expires, this.subscriber.granted.has(step.topic))
      case 'subscribe':
        this.subscriber.connect(lab)
        return this.subscriber.subscribe(step.topic)
      case 'unsubscribe':
        for (const one of this.publisher.under.values()) if (one.topic === step.topic) one.promised = false
        return this.subscriber.unsubscribe(step.topic)
      case 'heed':
        return void this[step.who].heed(step.packets)
      case 'leave':
        return this[step.who].drop()
      case 'return':
        return this[step.who].connect(lab)
      case 'commit':
        return lab.commit()
      case 'pass':
        return lab.advance(step.ms)
      case 'outlast':
        // The publisher stays: what it began must not end with its session.
        this.publisher.connect(lab)
        if (this.subscriber.client !== null) return
        lab.advance((EXPIRY_SEC + 1) * 1000)
        // On disk too: the next run's clock begins where this one's did, and an hour that it never saw would not count.
        for (let commit = 0; commit < 3; commit++) lab.commit()
        this.#since = this.publisher.sent.length
        return this.subscriber.forgotten()
      case 'crash':
        lab.engine.die(step.landed)
        this.publisher.drop()
        this.subscriber.drop()
        this.#lab = new DurableLab(lab.platter)
    }
  }

  /** Everybody is back, and all that was begun comes to its end. */
  #end(): void {
    this.publisher.connect(this.#lab)
    this.subscriber.connect(this.#lab)
    let quiet = 0
    for (let round = 0; round < 500 && quiet < 4; round++) {
      const busy = [this.publisher.heed(1000), this.subscriber.heed(1000)].includes(true)
      this.#lab.commit()
      quiet = busy || this.publisher.under.size > 0 ? 0 : quiet + 1
    }
  }

  #judged(): string[] {
    const { publisher, subscriber } = this
    const problems = [...publisher.problems]
    if (publisher.under.size > 0) problems.push(`${publisher.under.size} never answered`)
    const seen = new Set(subscriber.got.map(({ n }) => n))
    for (const { n, promised, expires } of publisher.acknowledged) {
      if (promised && !expires && n >= this.#since && !seen.has(n)) problems.push(`${n} is missing`)
    }
    const twice = subscriber.got.filter(
      ({ n, qos }, at) => qos === 2 && subscriber.got.findIndex((g) => g.n === n) < at,
    )
    problems.push(...twice.map(({ n }) => `${n} came twice`))
    // One that was nobody's when it was first sent, or that has expired meanwhile, may come when it is sent again.
    const counted = subscriber.got.filter(({ n }) => publisher.sent[n]!.promised && !publisher.sent[n]!.expires)
    for (const topic of ['a', 'b']) {
      for (const qos of [1, 2]) {
        const order = [...new Set(counted.filter((g) => g.topic === topic && g.qos === qos).map(({ n }) => n))]
        for (const [at, n] of order.entries())
          if (n < (order[at - 1] ?? -1)) problems.push(`${n} after ${order[at - 1]}`)
      }
    }
    return problems
  }
}

const who = fc.constantFrom('publisher' as const, 'subscriber' as const)
const topic = fc.constantFrom<Topic>('a', 'a', 'b')
const step = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      topic,
      qos: fc.constantFrom(1 as const, 2 as const),
      expires: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('heed' as const), who, packets: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 10, 30, 60, 1000, 70_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('subscribe' as const), topic }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unsubscribe' as const), topic }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('return' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('outlast' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), landed: fc.boolean() }) },
)

test('nothing acknowledged is missing, no QoS 2 comes twice, order holds, whenever the box dies', () => {
  let crashes = 0
  let acknowledged = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), (steps) => {
      const story = new Story()
      const begin: Step[] = [
        { do: 'subscribe', topic: 'a' },
        { do: 'commit' },
        { do: 'heed', who: 'subscriber', packets: 1 },
      ]
      expect(story.run([...begin, ...steps])).toEqual([])
      crashes += steps.filter((one) => one.do === 'crash').length
      acknowledged += story.publisher.acknowledged.length
    }),
    { numRuns: RUNS },
  )
  console.info(`${RUNS} stories, ${crashes} deaths, ${acknowledged} messages acknowledged`)
  expect(crashes).toBeGreaterThan(RUNS)
  expect(acknowledged).toBeGreaterThan(RUNS * 5)
}, 300_000)
