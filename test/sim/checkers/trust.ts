// At rest all members agree on trust and time: one CA, its key on two boxes, the same boxes removed, one cluster time; a
// box that was removed or has left is linked with nobody.

import { type Guest, trustOf } from '../guests.ts'
import type { Scenario } from '../scenario.ts'
import type { SimNode } from '../world.ts'
import type { Ground } from './ground.ts'
import { says } from './members.ts'

/** Less is not told apart from a message that was slow on its way, and cluster time passes it on once. */
const AGREE_MS = 4500
const DAY_MS = 86_400_000

/** Everybody who is to be a member at the end. */
export const memberNodes = ({ members, guests }: Scenario): readonly SimNode[] => [
  ...members,
  ...guests.filter((guest) => guest.stays).map((guest) => guest.node),
]

/** What is still missing for "guests are in or out, and all agree on trust"; empty: nothing. */
export function missingTrust(scenario: Scenario): string[] {
  const missing: string[] = []
  const nodes = memberNodes(scenario)
  for (const { node, place, way } of scenario.guests) {
    if (place === 'coming') missing.push(`${node.label} has not come in by ${way}: ${problemsOf(node)}`)
    if (place === 'going') missing.push(`${node.label} has not left: ${problemsOf(node)}`)
  }
  const papers = nodes.map((node) => trustOf(node)?.custody.papers ?? null)
  const first = papers[0] ?? null
  for (const [index, node] of nodes.entries()) {
    const own = papers[index] ?? null
    if (own === null) missing.push(`${node.label} is no member`)
    else if (own.authority.fingerprint !== first?.authority.fingerprint) {
      missing.push(
        `${node.label} stands on another CA (replaced ${own.generation} times) than ${nodes[0]!.label} (${first?.generation})`,
      )
    }
    for (const guest of scenario.guests) {
      if (guest.removedId !== null && trustOf(node)?.removed(guest.removedId) !== true) {
        missing.push(`${node.label} does not know that ${guest.node.label} was removed`)
      }
      if (!guest.stays || guest.node === node) continue
      const [there, back] = [saysOf(node, guest.node), saysOf(guest.node, node)]
      if (there?.linked !== true || back?.linked !== true) {
        missing.push(`${node.label} and ${guest.node.label}, a guest, are not linked`)
      }
    }
  }
  const holders = papers.filter((each) => (each?.authority.privateKey ?? null) !== null).length
  if (holders < Math.min(2, nodes.length)) missing.push(`the key of the CA is on ${holders} boxes`)
  missing.push(...notMembers(scenario.guests))
  return missing
}

/** What must be so at any time. */
export function notMembers(guests: readonly Guest[]): string[] {
  const wrong: string[] = []
  // Boxes that share a password form a cluster by themselves: those that have left the same one, too, a new one.
  const alike = guests.filter(({ place, way }) => place === 'left' && way === 'password')
  for (const guest of guests) {
    const { node, place } = guest
    if ((place !== 'removed' && place !== 'left') || node.run?.ready !== true) continue
    const friends = alike.includes(guest) ? alike.filter((other) => other !== guest) : []
    const linked = node.members().filter((member) => !member.self && member.linked)
    if (linked.some(({ id }) => !friends.some((friend) => friend.isCalled(id)))) {
      wrong.push(`${node.label} has ${place === 'left' ? 'left' : 'been removed'}, and has links`)
    }
    if (place === 'left' && guest.cameTo(node.status().cluster.id)) {
      wrong.push(`${node.label} has left, and is in the same cluster again`)
    }
  }
  return wrong
}

/** Cluster time is the same on all, and right where a clock is; nothing is dated a day ahead of it. */
export function wrongTime(scenario: Scenario, ground: Ground, realMs: number): string[] {
  if (!ground.promises.has('clocks')) return []
  const wrong: string[] = []
  const nodes = memberNodes(scenario).filter((node) => node.run?.ready === true)
  const times = nodes.map((node) => node.run!.node.operator.time.now())
  const right = nodes.some((node) => node.wallOffsetMs === 0)
  const base = right ? realMs : times[0]!
  for (const [index, node] of nodes.entries()) {
    const offMs = times[index]! - base
    if (Math.abs(offMs) > AGREE_MS) wrong.push(`cluster time of ${node.label} is off by ${Math.round(offMs)} ms`)
    for (const { topic, writtenMs } of node.run!.node.retained.list('#', 0, 1000).rows) {
      if (writtenMs > times[index]! + DAY_MS) wrong.push(`${node.label} holds ${topic} of the day after tomorrow`)
    }
  }
  return wrong
}

const saysOf = (node: SimNode, of: SimNode) => (node.run?.ready === true ? says(node.members(), of) : undefined)

const problemsOf = (node: SimNode): string =>
  node.run?.ready === true ? node.status().problems.join('; ') : 'it does not run'
