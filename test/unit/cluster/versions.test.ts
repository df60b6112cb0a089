// Boxes of neighbouring versions in one cluster. There is one version of the protocol yet; others are pretended.

import { beforeEach, describe, expect, test } from 'vitest'
import type { Versions } from '../../../src/wire/link/hello.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import { ClusterBox, Lan } from './clusterbox.ts'
import { at } from './fakes.ts'
import { BUNDLE, Lab, type TrustGateway } from './trustlab.ts'

const OLD: Versions = { versionMin: 1, versionMax: 1 }
const NOW: Versions = { versionMin: 1, versionMax: 2 }
const NEXT: Versions = { versionMin: 2, versionMax: 3 }

describe('a cluster that is upgraded box by box', () => {
  let lab: Lab
  let boxes: TrustGateway[]
  beforeEach(() => {
    lab = new Lab()
    boxes = [1, 2, 3].map((last) => lab.gateway(last, { settings: { protocol: OLD } }))
    lab.advance(10_000)
  })

  const install = (index: number, protocol: Versions): void => {
    const { files, last } = boxes[index]!
    boxes[index]!.stop()
    boxes[index] = lab.gateway(last, { files, settings: { protocol } })
    lab.advance(40_000)
  }
  /** What is spoken on the links, both ends asked; one that is missing is none. */
  const spoken = (): readonly (number | null)[] =>
    boxes.flatMap((box) =>
      boxes
        .filter((other) => other !== box)
        .map((other) => box.cluster.presence!.links.to(other.id as never)?.version ?? null),
    )
  const all = (version: number) => Array.from({ length: 6 }, () => version)

  test('is whole at each step, speaks nothing that a box before its upgrade does not know, and each box can go back by one', () => {
    expect(spoken()).toEqual(all(1))
    for (const index of [0, 1, 2]) {
      install(index, NOW)
      expect(spoken()).toEqual(all(1))
    }
    install(1, OLD)
    expect(spoken()).toEqual(all(1))
    install(1, NOW)
    for (const index of [2, 0]) {
      install(index, NEXT)
      expect(spoken()).not.toContain(null)
      expect(Math.max(...spoken().map(Number))).toBe(2)
    }
    install(1, NEXT)
    expect(spoken()).toEqual(all(2))
    expect(boxes.map(({ hasKey }) => hasKey)).toEqual([true, true, true])
  })

  test('refuses a box that is two behind, says so, and goes on', () => {
    install(0, NOW)
    install(1, NOW)
    install(1, NEXT)
    const [first, second, third] = boxes as [TrustGateway, TrustGateway, TrustGateway]
    expect([first.linked, second.linked, third.linked]).toEqual(['gw-2 gw-3', 'gw-1', 'gw-1'])
    const reasons = [second, third].flatMap(({ cluster }) => cluster.status().refused.map(({ reason }) => reason))
    expect(reasons).toContain('version')
  })
})

describe('a box that comes to a member', () => {
  test.each([
    ['of the version before', NOW, OLD, true],
    ['of the version after', OLD, NOW, true],
    ['two versions ahead', OLD, NEXT, false],
  ])('%s', (_name, own, theirs, linked) => {
    const clock = new VirtualClock()
    const lan = new Lan(clock)
    const member = new ClusterBox(lan, 1, { bundle: BUNDLE, settings: { protocol: theirs } })
    clock.advance(1000)
    const fresh = new ClusterBox(lan, 2, { settings: { protocol: own } })
    clock.advance(9000)
    const found = fresh.join({ code: member.invite().code, to: at('10.0.0.1') })
    clock.advance(15_000)
    expect(found).toMatchObject([{ linked }])
    expect(found[0]!.words).toMatch(linked ? /^let in by/ : /version/)
    expect(fresh.linked).toEqual(linked ? ['gw-1'] : [])
  })
})
