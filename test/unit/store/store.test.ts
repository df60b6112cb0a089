import { describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { Kept } from '../../../src/broker/ports.ts'
import { LogEngine } from '../../../src/host/log-engine.ts'
import { Card } from '../../power-cut.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import { StoreBox, text, turns } from './store-box.ts'

const on = (card: Card, clock?: VirtualClock) => new StoreBox(new LogEngine(card), clock).open()
const again = (card: Card) => on(card.after(card.steps.length, 'dropped', () => 0))

describe('group commit', () => {
  test('what is staged is safe when it is on disk, not before', async () => {
    const card = new Card()
    const box = await on(card)
    box.store.put(text('one'))
    box.store.put(text('two'))
    expect([box.store.position, box.store.safe]).toEqual([2, 0])
    const before = card.steps.length
    await turns()
    expect([box.store.safe, card.steps.length]).toEqual([0, before])
    await box.commit()
    expect(box.store.safe).toBe(2)
    expect(box.meter.get('store.commits')).toBe(1)
    expect([...(await again(card)).texts.values()]).toEqual(['one', 'two'])
  })

  test('what is taken back before its commit is safe at once and never written', async () => {
    const card = new Card()
    const box = await on(card)
    let moved = 0
    box.store.watch(() => moved++)
    const [first, second] = [box.store.put(text('one')), box.store.put(text('two'))]
    box.store.remove(second)
    expect(box.store.safe).toBe(0)
    box.store.remove(first)
    box.clock.settle()
    expect([box.store.safe, moved]).toEqual([box.store.position, 1])
    await box.commit()
    expect([box.meter.get('store.commits'), card.steps.length]).toEqual([0, 0])
  })

  test('a record removed while it is being written is gone at the next start', async () => {
    const card = new Card()
    const box = await on(card)
    const kept = box.store.put(text('one'))
    box.clock.advance(60)
    box.store.remove(kept)
    await turns()
    await box.commit()
    expect(box.store.safe).toBe(box.store.position)
    expect([...(await again(card)).texts.values()]).toEqual([])
  })

  test('a changed record is written as it is when its turn comes', async () => {
    const card = new Card()
    const box = await on(card)
    const value = { now: 'first' }
    const kept = box.store.put({ kind: 9, write: (into) => into.raw(Buffer.from(value.now)) })
    value.now = 'second'
    box.store.changed(kept)
    await box.commit()
    value.now = 'third'
    expect(box.store.changed(kept)).toBeGreaterThan(box.store.safe)
    await box.commit()
    expect((await again(card)).texts).toEqual(new Map([[kept.id, 'third']]))
  })

  test('a slow disk is flushed less often', async () => {
    const clock = new VirtualClock()
    const slow = new LogEngine(new Card())
    const append = slow.append.bind(slow)
    slow.append = (number, bytes, done) => {
      clock.after(40, 'flush', () => append(number, bytes, done))
    }
    const box = await new StoreBox(slow, clock).open()
    for (let commit = 0; commit < 20; commit++) {
      box.store.put(text('x'))
      await box.commit()
      await box.commit()
    }
    const before = box.meter.get('store.commits')
    box.store.put(text('x'))
    clock.advance(49)
    await turns()
    box.store.put(text('y'))
    clock.advance(45)
    await turns()
    expect(box.meter.get('store.commits')).toBe(before + 1)
  })
})

describe('room', () => {
  test('a log that outgrows what lives is moved on and given back, and loses nothing', async () => {
    const card = new Card()
    const box = await on(card)
    const old = Array.from({ length: 50 }, (_, index) => box.store.put(text(`old ${index} ${'o'.repeat(2000)}`)))
    let churn: Kept | null = null
    for (let commit = 0; commit < 300; commit++) {
      if (churn !== null) box.store.remove(churn)
      churn = box.store.put(text('c'.repeat(100_000)))
      await box.commit()
    }
    const engine = new LogEngine(card)
    const next = await new StoreBox(engine).open()
    expect(engine.bytes).toBeLessThan(14 * 1024 * 1024)
    expect(next.texts.size).toBe(51)
    for (const [index, { id }] of old.entries()) expect(next.texts.get(id)).toMatch(new RegExp(`^old ${index} o`))
    expect(box.meter.get('store.moved')).toBeGreaterThan(0)
  })

  test('a full disk: full is said, nothing is safe, and everything is written when there is room', async () => {
    const card = new Card()
    const box = await on(card)
    box.store.put(text('before'))
    await box.commit()
    card.failing = Object.assign(new Error('full'), { code: 'ENOSPC' })
    const kept = box.store.put(text('meanwhile'))
    await box.commit()
    expect(box.store.full).toBe(true)
    expect(box.store.safe).toBe(1)
    expect(box.store.problems.join()).toContain('no space left on the disk')
    box.store.remove(box.store.put(text('passing')))
    await box.commit()
    card.failing = null
    box.clock.advance(1000)
    await box.commit()
    expect([box.store.full, box.store.safe, box.store.problems]).toEqual([false, box.store.position, []])
    expect([...(await again(card)).texts.values()].sort()).toEqual(['before', 'meanwhile'])
    expect((await again(card)).texts.get(kept.id)).toBe('meanwhile')
  })

  test('what was taken back after a failed write stays away, though the write may have come through', async () => {
    const card = new Card()
    const engine = new LogEngine(card)
    const append = engine.append.bind(engine)
    let lying = true
    // On the disk, and yet an error.
    engine.append = (number, bytes, done) =>
      append(number, bytes, (error) => done(lying ? new HostError('failed', 'input/output error') : error))
    const box = await new StoreBox(engine).open()
    const [kept] = [box.store.put(text('acknowledged meanwhile')), box.store.put(text('stays'))]
    await box.commit()
    expect(box.store.full).toBe(true)
    box.store.remove(kept)
    lying = false
    box.clock.advance(1000)
    await box.commit()
    expect([...(await again(card)).texts.values()]).toEqual(['stays'])
  })
})

describe('damage', () => {
  const filled = async (): Promise<Card> => {
    const card = new Card()
    const box = await on(card)
    for (let record = 0; record < 20; record++) {
      box.store.put(text(`record ${record} ${'r'.repeat(1000)}`))
      await box.commit()
    }
    return card
  }

  test('a spoilt batch in the middle costs itself, is said loudly, and the store opens', async () => {
    const card = await filled()
    card.spoil('segment-000000000001', 10_000, 40)
    const box = await on(card)
    expect(box.store.problems).toEqual([
      'store: segment-000000000001 is damaged in 1 places: what can be read was kept',
    ])
    expect(box.texts.size).toBe(19)
    box.store.put(text('and on'))
    await box.commit()
    expect(box.store.safe).toBe(1)
  })

  test('a segment without a label is set aside', async () => {
    const card = await filled()
    card.spoil('segment-000000000001', 0, 32)
    const box = await on(card)
    expect(box.store.problems[0]).toContain('set aside as damaged-segment-000000000001')
    expect(await card.list()).toContain('damaged-segment-000000000001')
    expect(box.texts.size).toBe(0)
  })

  test('records of kinds from a later version are kept', async () => {
    const card = new Card()
    const first = await on(card)
    first.store.put(text('from tomorrow', 200))
    await first.commit()
    const second = await on(card)
    second.store.put(text('known'))
    await second.commit()
    expect([...(await on(card)).texts.values()]).toEqual(['from tomorrow', 'known'])
  })
})

describe('time', () => {
  const offFor = async (synchronised: [boolean, boolean]): Promise<number> => {
    const card = new Card()
    const before = new VirtualClock()
    const first = new StoreBox(new LogEngine(card), before)
    first.synchronised = synchronised[0]
    await first.open()
    first.store.put(text('x'))
    await first.commit()
    // Off for an hour by the wall clock; the monotonic clock begins anew.
    const after = new VirtualClock(5, before.wall() + 3_600_000)
    const second = new StoreBox(new LogEngine(card), after)
    second.synchronised = synchronised[1]
    await second.open()
    const [record] = second.found!.records
    return Math.round((after.now() - record!.countedFromMs) / 60_000)
  }

  test('time off counts only between two synchronised clocks', async () => {
    expect(await offFor([true, true])).toBe(60)
    expect(await offFor([true, false])).toBe(0)
    expect(await offFor([false, true])).toBe(0)
  })
})

describe('keyed records', () => {
  test('are put, replaced, removed and found again', async () => {
    const card = new Card()
    const box = await on(card)
    const { records } = box.store
    records.put('accounts', 'anna', Buffer.from('1'))
    records.put('accounts', 'bert', Buffer.from('2'))
    records.put('rules', 'anna', Buffer.from('3'))
    await box.commit()
    records.put('accounts', 'anna', Buffer.from('4'))
    records.remove('accounts', 'bert')
    await box.commit()
    const next = await on(card)
    for (const record of next.found!.records) next.store.records.found(record, next.found!)
    expect(next.store.records.keys('accounts')).toEqual(['anna'])
    expect(next.store.records.get('accounts', 'anna')?.toString()).toBe('4')
    expect(next.store.records.get('rules', 'anna')?.toString()).toBe('3')
    expect(next.store.records.get('rules', 'bert')).toBeNull()
  })
})
