// Maps over a real store on a card of the test's own: what a restart finds.

import { expect, test } from 'vitest'
import { StampClock } from '../../../../src/base/stamps.ts'
import { Replicated } from '../../../../src/cluster/maps/replicated.ts'
import { LogEngine } from '../../../../src/host/log-engine.ts'
import { Mesh, nodeIdOf } from '../../../mesh.ts'
import { Card } from '../../../power-cut.ts'
import { StoreBox, turns } from '../../store/store-box.ts'

const A = nodeIdOf(0xa)
const DAY_MS = 24 * 3600 * 1000

async function start(card: Card, startMs = Date.UTC(2026, 0, 1)) {
  const box = await new StoreBox(new LogEngine(card)).open()
  const { clock, store } = box
  clock.wallOffsetMs = startMs
  const world = { ...new Mesh().start(A).world, clock }
  const stamps = new StampClock(A, () => clock.wall())
  const replicated = new Replicated(world, stamps, store)
  const events: string[] = []
  const open = (name: string) =>
    replicated.open(
      { name, keyBytesMax: 100, valueBytesMax: 100, entriesMax: 100 },
      { changed: (key, value) => events.push(`${name} ${key} ${value}`) },
    )
  const [facts, others] = [open('facts'), open('others')]
  const strangers = [...box.found!.records].filter((record) => !replicated.found(record, box.found!))
  return { box, facts, others, replicated, events, strangers, stamps }
}

const after = (card: Card) => card.after(card.steps.length, 'dropped', () => 0)

test('entries, removed ones and what was forgotten are there after a restart, each in its map', async () => {
  const card = new Card()
  const first = await start(card)
  first.facts.set('x', Buffer.from('1'))
  const written = first.facts.set('x', Buffer.from('2'))
  const removed = first.facts.set('y', null)
  const other = first.others.set('x', Buffer.from('3'))
  await first.box.commit()

  const second = await start(after(card))
  expect(second.facts.value('x')).toEqual({ key: 'x', value: Buffer.from('2'), stamp: written })
  expect([second.facts.value('y'), second.facts.stampOf('y')]).toEqual([null, removed])
  expect(second.others.value('x')?.stamp).toEqual(other)
  expect([second.facts.size, second.others.size]).toEqual([1, 1])
  expect(second.strangers).toEqual([])
  expect(second.events).toEqual([])
})

test('what a restart finds is written on under its records, with later stamps whatever the clock says', async () => {
  const card = new Card()
  const first = await start(card)
  const before = first.facts.set('x', Buffer.from('1'))!
  await first.box.commit()
  const rest = after(card)
  const second = await start(rest, 0)
  const now = second.facts.set('x', Buffer.from('2'))!
  expect(now.wallMs).toBeGreaterThanOrEqual(before.wallMs)
  await second.box.commit()
  const third = await start(after(rest))
  expect([...third.facts.entries()]).toEqual([{ key: 'x', value: Buffer.from('2'), stamp: now }])
})

test('a removal that was forgotten stays forgotten', async () => {
  const card = new Card()
  const first = await start(card)
  const removed = first.facts.set('x', null)
  await first.box.commit()
  first.box.clock.advance(31 * DAY_MS)
  expect(first.facts.stampOf('x')).toBe(null)
  await turns()
  await first.box.commit()
  const second = await start(after(card))
  expect(second.facts.stampOf('x')).toBe(null)
  expect(second.facts.horizon).toEqual(removed)
})
