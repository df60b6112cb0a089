// After calm every pair of members is linked, by exactly one stream, and stays so without anybody dialling again.

import type { Scenario } from '../scenario.ts'
import type { SimNode } from '../world.ts'
import { says } from './members.ts'

/** What is still missing for "every pair is linked", in words; empty: nothing. */
export function missingLinks(scenario: Scenario): string[] {
  const missing: string[] = []
  for (const a of scenario.members) {
    if (a.run?.ready !== true) {
      missing.push(`${a.label} does not run`)
      continue
    }
    const rows = a.members()
    for (const b of scenario.members) {
      if (a === b) continue
      const member = says(rows, b)
      if (member === undefined) missing.push(`${a.label} does not know ${b.label}`)
      else if (!member.linked) missing.push(`${a.label} is not linked to ${b.label} (${member.state})`)
      else if (member.state !== 'alive') missing.push(`${a.label} calls ${b.label} ${member.state}`)
    }
  }
  return missing
}

/** Streams between the members, as pairs of nodes: more than one for a pair is a link too many. */
export function surplusLinks(scenario: Scenario): string[] {
  const counts = new Map<string, number>()
  const byOwner = new Map(scenario.members.map((node) => [node.run?.clock, node]))
  for (const a of scenario.members) {
    for (const stream of a.run?.streams.streams() ?? []) {
      const b = byOwner.get(stream.peer.owner)
      if (b === undefined || stream.peer.gone || stream.lostTouch || stream.peer.lostTouch) continue
      const key = pairName(a, b)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
  }
  // Each stream has two ends.
  return [...counts].filter(([, count]) => count !== 2).map(([pair, count]) => `${pair} have ${count / 2} streams`)
}

const pairName = (a: SimNode, b: SimNode): string =>
  a.index < b.index ? `${a.label} and ${b.label}` : `${b.label} and ${a.label}`
