// The checker of order, told small stories by hand.

import { expect, test } from 'vitest'
import { checkDelivery } from './checkers/delivery.ts'
import type { Ground } from './checkers/ground.ts'
import { History } from './history.ts'
import { type Connection, Ledger, type Received, type Sent, type Subscription } from './ledger.ts'
import { Promises } from './promises.ts'

const properties = { payloadFormat: null, contentType: null, responseTopic: null, correlation: null, user: [] }
const publisher = { client: 'p', number: 0, node: 0, run: 0, version: 5, closedAt: null } as unknown as Connection
const reader = { client: 'r', number: 1, node: 0, run: 0, version: 5, closedAt: null } as unknown as Connection

/** What is wrong with the order when two retained messages, each sent twice, come so. */
function judged(
  came: readonly (readonly [key: number, retain: boolean])[],
  asPublished: boolean,
  subscribedAt = 0,
  { qos = 1, connectedAt = 0, leavesAt = null as number | null } = {},
): string[] {
  const ledger = new Ledger()
  ledger.connections.push({ ...reader, connectedAt })
  for (const key of [0, 1]) {
    ledger.write({
      ...{ key, connection: publisher, topic: 't', qos: 1, retain: true },
      ...{
        again: { connection: publisher, at: 50, whole: publisher },
        payload: Buffer.from(`${key}`),
        properties,
        expirySec: null,
        times: 2,
        at: 10 + key,
        ackedAt: null,
        reason: 0,
      },
      will: null,
    } as Sent)
  }
  for (const [filter, retainAsPublished, endAskedAt, endedAt] of [
    ['t', asPublished, 40, 40],
    ['+', false, leavesAt, null],
  ] as const) {
    ledger.subscriptions.push({
      ...{ client: 'r', connection: reader, persistent: true, filter, qos: 1, noLocal: false, retainAsPublished },
      ...{ id: null, askedAt: subscribedAt, grantedAt: subscribedAt + 1, endAskedAt, endedAt },
    } as Subscription)
  }
  for (const [index, [key, retain]] of came.entries()) {
    const fields = { payload: Buffer.from(`${key}`), properties, expirySec: null, qos, retain, dup: false }
    ledger.received.push({
      ...{ connection: reader, key, topic: 't', at: 20 + 15 * index },
      fields: { ...fields, subscriptionIds: [] },
    } as unknown as Received)
  }
  const history = new History()
  history.run(0, 0)
  const ground: Ground = {
    history,
    promises: new Promises(['order']),
    now: 10_000,
    machineOf: (node) => node,
    sameCluster: () => true,
    durable: () => true,
    flushMs: () => 0,
    answersMs: () => 0,
    heartbeatMs: 500,
    members: 1,
  }
  return checkDelivery(ledger, ground).problems.filter((problem) => / after message /.test(problem))
}

test('what came with the retain flag as published has come, and may come again without it', () => {
  expect(
    judged(
      [
        [0, true],
        [1, false],
        [0, false],
      ],
      true,
    ),
  ).toEqual([])
})

test('what came out of the store has not come', () => {
  expect(
    judged(
      [
        [0, true],
        [1, false],
        [0, false],
      ],
      false,
    ),
  ).toHaveLength(1)
})

test('what comes for the first time comes in its order', () => {
  expect(
    judged(
      [
        [1, false],
        [0, false],
      ],
      true,
    ),
  ).toHaveLength(1)
})

test('what nobody wanted when it was sent first comes in the order in which it was sent again', () => {
  const came = [[1, false] as const, [1, false] as const, [0, false] as const]
  expect(judged(came, true, 11)).toEqual([])
  // Nor whoever was about to unsubscribe, whether that was answered or not.
  expect(judged(came, true, 0, { leavesAt: 9 })).toEqual([])
  expect(judged(came, true)).toHaveLength(1)
})

test('so does what came with QoS 0 to a client that was away when it was sent first', () => {
  const came = [[1, false] as const, [1, false] as const, [0, false] as const]
  expect(judged(came, true, 0, { qos: 0, connectedAt: 12 })).toEqual([])
  expect(judged(came, true, 0, { qos: 0 })).toHaveLength(1)
  expect(judged(came, true, 0, { connectedAt: 12 })).toHaveLength(1)
})
