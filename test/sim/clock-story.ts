// A box whose clock is wrong, alone at first: people set it up, and its clients talk. Then it joins two boxes whose clocks
// are right. What was promised in hours and days is asked of the whole cluster: it ends in its time, not before or after.

import { HostError } from '../../src/base/errors.ts'
import { RELEASED_MS } from '../../src/cluster/trust/certificates.ts'
import { SimClient } from './client.ts'
import { trustOf } from './guests.ts'
import { Months, SLOW } from './months-story.ts'
import { goodQuality } from './network.ts'
import { streamsOf } from './streams.ts'
import type { SimNode } from './world.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** Of what is said to last for an hour. */
const HOUR_SEC = 3600
const AGREE_MS = 4500

export interface WrongClock {
  /** How far it is off when the box is set up. */
  readonly offMs: number
  /** By how much it jumps then, once with the box running and once while it is off. */
  readonly jumpsMs: number
}

/** What is wrong in the end. */
export function tellClock(name: string, { offMs, jumpsMs }: WrongClock): readonly string[] {
  const months = new Months(`clock ${name}`, 3, undefined, SLOW)
  const { world, problems } = months
  const [a, b, c] = months.nodes as [SimNode, SimNode, SimNode]
  const machine = world.network.addMachine(0)
  const fresh = world.addNode({ ...a.plan, machine, bundle: null, mqttPort: 1890 })
  for (const other of [a, b]) months.cut(other, c, true)
  c.wallOffsetMs = offMs
  months.on(a, b, c)
  const wrong = (what: string, seen: unknown, wanted: unknown) => {
    const [is, should] = [JSON.stringify(seen), JSON.stringify(wanted)]
    if (is !== should) problems.push(`${what}: ${is}, not ${should}`)
  }
  const roamer = clientOf(months, 'roamer')
  /** Whether its session was there, and how many messages it got. */
  const visits = (node: SimNode): readonly [boolean, number] => {
    const before = world.ledger.received.length
    roamer.connect({ node: node.index, run: node.run!.number, endpoint: node.mqtt })
    world.run(5000)
    const present = roamer.connection?.sessionPresent === true
    roamer.subscribe([{ filter: 'for/roamer', qos: 1, noLocal: false, retainAsPublished: false, id: null }])
    world.run(1000)
    roamer.disconnect()
    world.run(1000)
    const mine = world.ledger.received.slice(before).filter(({ connection }) => connection.client === 'roamer')
    return [present, mine.length]
  }

  // Alone:
  wrong('a first visit', visits(c), [false, 0])
  months.say(c, { topic: 'for/roamer', retain: false, payloadBytes: 10, expirySec: HOUR_SEC })
  months.say(c, { topic: 'hour', retain: true, payloadBytes: 10, expirySec: HOUR_SEC })
  months.write(c, 'alone', 10)
  months.write(c, 'gone', 10)
  months.write(c, 'gone', 0)
  months.write(a, 'theirs', 10)
  months.write(a, 'gone', 10)
  months.write(a, 'gone', 0)
  if (jumpsMs !== 0) {
    c.run!.clock.jumpWall(jumpsMs)
    c.wallOffsetMs += jumpsMs
    world.run(MINUTE_MS)
    months.off(c)
    c.wallOffsetMs += jumpsMs
    months.on(c)
    months.write(c, 'alone', 12)
  }
  const alone = jumpsMs === 0 ? 10 : 12
  const made = c.run!.node.operator.invite({ ttlMs: HOUR_MS, uses: 1, issuer: false })
  const late = c.run!.node.operator.invite({ ttlMs: HOUR_MS, uses: 1, issuer: false })
  const begunMs = world.now

  // Together:
  for (const other of [a, b]) months.cut(other, c, false)
  world.run(2 * MINUTE_MS)
  const times = () => months.nodes.map((node) => Math.abs(node.run!.node.operator.time.now() - world.wallMs) < AGREE_MS)
  const shown = () => ['alone', 'theirs', 'gone', 'hour'].map((topic) => months.bytesAt(topic).join(' '))
  const same = (...lengths: readonly (number | null)[]) => lengths.map((each) => [each, each, each].join(' '))
  wrong('linked', months.linked(), true)
  wrong('cluster time is right', times(), [true, true, true])
  wrong('retained', shown(), same(alone, 10, null, 10))
  wrong('the session of a client, at another box', visits(a), [true, 1])
  for (const [index, node] of months.nodes.entries()) {
    const [fromMs, toMs] = months.listenerDates()[index]!
    const nowMs = Math.max(world.wallMs, RELEASED_MS)
    if (!(fromMs <= nowMs && toMs > nowMs + 300 * DAY_MS)) {
      problems.push(`the listeners of ${node.label} show what is good from ${new Date(fromMs)} to ${new Date(toMs)}`)
    }
  }
  months.on(fresh)
  wrong('let in by the code', join(months, fresh, a, made), true)
  wrong('everybody is linked with the new box', trustOf(fresh)?.custody.cluster, trustOf(a)?.custody.cluster)

  // Fifty minutes after it was said, what is to last for an hour is there; two hours after, nothing of it is.
  months.quietUntil((begunMs + 50 * MINUTE_MS) / DAY_MS)
  wrong('retained, after 50 minutes', shown(), same(alone, 10, null, 10))
  wrong('the session, after 50 minutes', visits(b), [true, 0])
  months.quietUntil((begunMs + 3 * HOUR_MS) / DAY_MS)
  wrong('retained, after three hours', shown(), same(alone, 10, null, null))
  wrong('the session, after three hours', visits(a), [false, 0])
  const codes = a.run!.node.operator.invites()
  wrong('the codes, after three hours', codes instanceof HostError ? codes.message : codes.map(({ state }) => state), [
    'expired',
    'expired',
  ])
  if (late instanceof HostError) problems.push(late.message)
  return problems
}

function clientOf({ world }: Months, id: string): SimClient {
  const machine = world.network.addMachine(0)
  for (const node of world.nodes) {
    world.network.path(machine, node.machine).quality = goodQuality
    world.network.path(node.machine, machine).quality = goodQuality
  }
  const plan = { id, version: 5, clean: false, topicAliases: 0, keepAliveSec: 0, ackAfterMs: 0, will: false } as const
  const clock = world.clock(id)
  return new SimClient(plan, clock, streamsOf(world.network, machine, clock), world.ledger)
}

function join(
  { world }: Months,
  fresh: SimNode,
  member: SimNode,
  made: { readonly code: string } | HostError,
): boolean | string {
  if (made instanceof HostError) return made.message
  let answer: boolean | string = 'no answer'
  const to = { address: member.machine.address, port: member.status().cluster.port ?? 0 }
  world.timeline.after(0, fresh.run!.clock, 'people.join', () => {
    fresh.run!.node.operator.join({ to, code: made.code, replaces: null }, ({ linked, words }) => {
      answer = linked || words
    })
  })
  world.run(MINUTE_MS)
  return answer
}
