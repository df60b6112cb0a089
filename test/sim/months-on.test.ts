// Ninety days and more in the life of boxes that are on: nobody has to do anything about certificates, ever.

import { expect, test } from 'vitest'
import { trustOf } from './guests.ts'
import { Months, SLOW } from './months-story.ts'
import type { SimNode } from './world.ts'

const ups = (...nodes: readonly SimNode[]): readonly number[] =>
  nodes.map((node) => node.status().counters['link.up'] ?? 0)
const earlierOf = (months: Months): readonly number[] =>
  months.nodes.map((node) => trustOf(node)?.custody.papers?.earlier.length ?? -1)

test('ninety days: listeners get their next certificates, no link breaks, nothing is lost', () => {
  const months = new Months('on for ninety days', 3, undefined, SLOW)
  const { nodes } = months
  const [a, b, c] = nodes as [SimNode, SimNode, SimNode]
  months.on(...nodes)
  months.write(a, 'kept', 10)
  months.sleepUntil(500)
  months.on(...nodes)
  months.world.run(600_000)
  months.write(b, 'gone', 10)
  months.write(c, 'gone', 0)
  const [before, linkedBefore] = [months.certificates(), ups(...nodes)]
  const changedOn: (number | null)[] = [null, null, null]
  months.quietUntil(590, () => {
    expect(months.linked()).toBe(true)
    for (const [index, certificate] of months.certificates().entries()) {
      expect(certificate).not.toBe('')
      if (certificate !== before[index]) changedOn[index] ??= Math.round(months.world.now / 86_400_000)
    }
  })
  // Two thirds of 824 days, of a certificate that was dated when this version was released.
  expect(changedOn).toEqual([560, 560, 560])
  expect(ups(...nodes)).toEqual(linkedBefore)
  expect([months.bytesAt('kept'), months.bytesAt('gone')]).toEqual([
    [10, 10, 10],
    [null, null, null],
  ])
  // The removal, too, is forgotten in its time: by one first, who says so to the others.
  const forgot = nodes.map((node) => {
    const { counters } = node.status()
    return (counters['lww.retained.forgotten'] ?? 0) + (counters['lww.retained.gone'] ?? 0)
  })
  expect(forgot).toEqual([1, 1, 1])
  expect(nodes.flatMap((node) => node.status().problems)).toEqual([])
  expect(months.problems).toEqual([])
}, 120_000)

test('a CA that was replaced is believed for ninety days of boxes that are on; then links are made anew, by the next', () => {
  const months = new Months('replaced and on', 3, undefined, SLOW)
  const { nodes } = months
  const [a, , c] = nodes as [SimNode, SimNode, SimNode]
  months.on(...nodes)
  months.write(a, 'kept', 10)
  months.off(c)
  months.rotate(a)
  const certificates = months.certificates().slice(0, 2)
  months.quietUntil(40)
  // It was away for forty days.
  months.on(c)
  months.world.run(600_000)
  expect([months.linked(), new Set(months.authorities()).size, earlierOf(months)]).toEqual([true, 1, [1, 1, 1]])
  const linkedBefore = ups(...nodes)
  months.quietUntil(89, () => expect(months.linked()).toBe(true))
  expect([earlierOf(months), ups(...nodes)]).toEqual([[1, 1, 1], linkedBefore])
  months.quietUntil(92)
  months.world.run(600_000)
  expect(earlierOf(months)).toEqual([0, 0, 0])
  const renewed = nodes.reduce((sum, node) => sum + (node.status().counters['link.renewed'] ?? 0), 0)
  expect([renewed > 0, months.linked(), months.bytesAt('kept')]).toEqual([true, true, [10, 10, 10]])
  expect(months.certificates().slice(0, 2)).toEqual(certificates)
  expect([nodes.flatMap((node) => node.status().problems), months.problems]).toEqual([[], []])
}, 120_000)
