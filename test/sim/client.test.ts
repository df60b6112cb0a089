// The clients' own book-keeping: what the checkers believe.

import { expect, test } from 'vitest'
import { SimClient } from './client.ts'
import { SimClock, Timeline } from './clock.ts'
import { type Connection, Ledger, type Subscription } from './ledger.ts'
import { Network } from './network.ts'
import { Dice } from './random.ts'
import { streamsOf } from './streams.ts'
import type { ClientPlan } from './wishes.ts'

test('a CONNECT for a clean session that nobody took in ends nothing of the session before', () => {
  const timeline = new Timeline()
  const network = new Network(timeline, new Dice('client'))
  const clock = new SimClock(timeline, 0, 'client', 0, 0)
  const machine = network.addMachine(0)
  const ledger = new Ledger()
  const plan: ClientPlan = {
    ...{ id: 'c', version: 4, clean: false, ackAfterMs: 0, keepAliveSec: 0, will: false },
    ...{ receiveMaximum: 65535, topicAliases: 0 },
  }
  const before = { client: 'c', number: 0, node: 0, run: 0 } as unknown as Connection
  const subscription = {
    ...{ client: 'c', connection: before, persistent: true, filter: 'a', qos: 1, grantedAt: 1 },
    ...{ endAskedAt: null, endedAt: null },
  } as unknown as Subscription
  ledger.connections.push(before)
  ledger.subscriptions.push(subscription)
  const client = new SimClient(plan, clock, streamsOf(network, machine, clock), ledger)
  client.connect({ node: 0, run: 1, endpoint: { address: machine.address, port: 1883 }, cleanStart: true })
  timeline.runUntil(10_000)
  const { askedAt, closedAt } = ledger.connections.at(-1)!
  expect([askedAt, closedAt === null]).toEqual([null, false])
  expect(subscription).toMatchObject({ endAskedAt: null, endedAt: null })
})
