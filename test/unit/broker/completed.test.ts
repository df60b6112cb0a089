// What a client has completed with QoS 2 it is not given again: not by a later run of its box, nor by another.

import { describe, expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { COMPLETED_MAX } from '../../../src/broker/completed.ts'
import type { Kept } from '../../../src/broker/ports.ts'
import type { Session } from '../../../src/broker/session.ts'
import { readItems, writeItem } from '../../../src/wire/link/records.ts'
import { EMPTY, type Message } from '../../../src/wire/message.ts'
import { RecordKind } from '../../../src/wire/record/batch.ts'
import { DurableLab, Platter } from './durable-lab.ts'

const OTHER = '00000000000000cc' as NodeId
const OWNER = '00000000000000bb' as NodeId
const away = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const

const message = (counter: number, retain = false): Message => ({
  ...{ origin: { node: 'aaaaaaaaaaaaaaaa' as NodeId, incarnation: 1 }, counter, topic: 't', qos: 2, retain },
  ...{ payload: Buffer.from(`${counter}`), properties: EMPTY, expiresAt: Number.POSITIVE_INFINITY },
  ...{ publisher: 'elsewhere' as ClientId, stamp: null },
})

/** A client that is given messages 1 to `count`, and completes them. */
function completed(lab: DurableLab, count: number, retain = false) {
  const client = lab.connected({ id: 'kept', ...away })
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 2, rap: true }] })
  lab.commit()
  client.one('suback')
  for (let counter = 1; counter <= count; counter++) {
    lab.broker.deliverFromPeer(message(counter, retain), false)
    lab.commit()
    const { messageId } = client.one('publish')
    client.pubrec(messageId)
    lab.commit()
    client.one('pubrel')
    client.pubcomp(messageId)
  }
  lab.commit()
  return client
}

const head = (lab: DurableLab): readonly Kept[] =>
  lab.broker.transfer.head(lab.broker.transfer.get('kept' as ClientId)!)

function itemsOf(lab: DurableLab) {
  const writer = new ByteWriter()
  for (const kept of head(lab)) writeItem(writer, kept.id, kept.value!, lab.clock.now())
  return readItems(new ByteReader(writer.done()))
}

const ids = (lab: DurableLab): number[] =>
  head(lab)
    .filter(({ value }) => value!.kind === RecordKind.completed)
    .map(({ id }) => id)

describe('what a client has completed is not given to it again', () => {
  test('by the next run of its box', () => {
    const platter = new Platter()
    completed(new DurableLab(platter), 2)
    const again = new DurableLab(platter)
    expect([1, 2, 3].map((counter) => again.broker.deliverFromPeer(message(counter), false))).toEqual([0, 0, 1])
  })

  test('when its box has died, and gets it from the one that stood in', () => {
    const platter = new Platter()
    const lab = new DurableLab(platter)
    const client = lab.connected({ id: 'kept', ...away }).subscribe('t', { qos: 2 })
    lab.commit()
    client.one('suback')
    client.drop()
    // The other was cut off from the publisher: the message comes there when the owner's client has long completed it.
    const other = new DurableLab(new Platter(), undefined, OTHER)
    const copy = other.broker.transfer.take(OWNER, 'standing-in')
    copy.add(itemsOf(lab))
    copy.end()
    completed(lab, 1)
    other.broker.deliverFromPeer(message(1), false)
    other.broker.deliverFromPeer(message(2), false)

    const again = new DurableLab(platter)
    const joining = again.broker.transfer.join(again.broker.transfer.get('kept' as ClientId)!, false)
    const stood = other.broker.transfer.get('kept' as ClientId)!
    const writer = new ByteWriter()
    for (const kept of other.broker.transfer.queued(stood, 0)) {
      const about = kept.value!.messageRecord!
      writeItem(writer, about.id, about.value!, 0)
      writeItem(writer, kept.id, kept.value!, 0)
    }
    joining.add(readItems(new ByteReader(writer.done())))
    joining.end()
    const back = again.client().connect({ id: 'kept', ...away })
    again.commit()
    expect(back.got()).toEqual(['t=2'])
  })

  test.each(['standing-in', 'arriving'] as const)('by another box that has its session: %s', (place) => {
    const lab = new DurableLab()
    completed(lab, 2).drop()
    const platter = new Platter()
    const other = new DurableLab(platter, undefined, OTHER)
    const taking = other.broker.transfer.take(OWNER, place)
    taking.add(itemsOf(lab))
    taking.end()
    expect([1, 3].map((counter) => other.broker.deliverFromPeer(message(counter), false))).toEqual([0, 1])
    other.commit()
    expect(new DurableLab(platter, undefined, OTHER).broker.deliverFromPeer(message(2), false)).toBe(0)
  })
})

test('what was published where its session has come to, and released there since, it is not given another way', () => {
  const lab = new DurableLab()
  completed(lab, 0).drop()
  const other = new DurableLab(new Platter(), undefined, OTHER)
  const publisher = other.connected({ id: 'publisher' })
  publisher.publish('t', 'own', { qos: 2, messageId: 7 })
  other.commit()
  publisher.one('pubrec')
  const taking = other.broker.transfer.take(OWNER, 'arriving')
  taking.add(itemsOf(lab))
  taking.end()
  publisher.pubrel(7)
  other.commit()
  const [own] = (other.broker.transfer.get('kept' as ClientId) as Session).queue.above(0)
  const back = other.connected({ id: 'kept', ...away })
  other.commit()
  const { messageId } = back.one('publish')
  back.pubrec(messageId)
  other.commit()
  back.one('pubrel')
  back.pubcomp(messageId)
  other.commit()
  // Parked for a box whose session stands in here, too.
  expect(other.broker.deliverFromPeer(own!.message, 'late')).toBe(0)
  expect(other.broker.deliverFromPeer(message(3), 'late')).toBe(1)
})

test('what has come with its retain flag is not counted: it may have been told as retained, and come live yet', () => {
  const lab = new DurableLab()
  completed(lab, 1, true)
  expect(ids(lab)).toEqual([])
})

test('so many are kept of a session, the latest; none when it ends', () => {
  const platter = new Platter()
  const lab = new DurableLab(platter)
  completed(lab, COMPLETED_MAX + 3).drop()
  expect(ids(lab).length).toBe(COMPLETED_MAX)
  lab.commit()
  const again = new DurableLab(platter)
  expect(ids(again)).toEqual(ids(lab))
  const oldest = [3, 4].map((counter) => again.broker.deliverFromPeer(message(counter), false))
  expect(oldest).toEqual([1, 0])
  const records = head(again)
  again.client().connect({ id: 'kept', clean: true })
  expect(records.filter(({ value }) => value !== null)).toEqual([])
})
