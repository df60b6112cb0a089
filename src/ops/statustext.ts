// `edge-mqtt status` for people: one screen, and the one line that systemd shows.

import { endpointText } from '../base/ports/streams.ts'
import type { MemberStatus } from '../cluster/status.ts'
import type { NodeStatus } from '../compose.ts'

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`

/** Numbers of a rate as people read them: 0, 0.4, 12, 1 534. */
function rateText(perSecond: number): string {
  if (perSecond > 0 && perSecond < 10) return perSecond.toFixed(1).replace(/\.0$/, '')
  return String(Math.round(perSecond)).replace(/\B(?=(\d{3})+$)/g, ' ')
}

/** How this node stands in its cluster, in a few words. */
export function standing(status: NodeStatus): string {
  const { cluster } = status
  if (!cluster.enabled) return 'single node'
  if (cluster.state === 'waiting') {
    const { asking } = cluster
    return asking === null
      ? 'waiting to be let in'
      : `waiting to be let in: edge-mqtt cluster approve ${status.node.id} (${asking.words})`
  }
  if (cluster.state === 'removed') return 'removed from its cluster'
  const members = cluster.members.filter((member) => member.state !== 'left')
  if (members.every((member) => member.self)) return cluster.id === null ? 'looking for others' : 'alone'
  const linked = members.filter((member) => member.self || member.linked).length
  return `${linked} of ${members.length} members linked`
}

/** `gw-1: 3 of 3 members linked, 42 clients, 118 msg/s in, 240 out` */
export function statusLine(status: NodeStatus): string {
  const { inPerSecond, outPerSecond } = status.rates
  const parts = [
    standing(status),
    plural(status.clients, 'client'),
    `${rateText(inPerSecond)} msg/s in`,
    `${rateText(outPerSecond)} out`,
  ]
  const trouble = status.problems.length === 0 ? '' : ` (${plural(status.problems.length, 'problem')})`
  return `${status.node.name}: ${parts.join(', ')}${trouble}`
}

/** The two largest units of a span: `3d 4h`, `12m 5s`, `0s`. */
export function spanText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const
  const from = parts.findIndex(([count]) => count > 0)
  if (from === -1) return '0s'
  return parts
    .slice(from, from + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ')
}

/** Columns as wide as their widest cell; the last is left as it is. */
export function table(rows: readonly (readonly string[])[], indent = '  '): string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  return rows.map((row) => (indent + row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')).trimEnd())
}

/** A name or a text from elsewhere, safe on a terminal: no control characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const safe = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?')

function memberRow(member: MemberStatus, nowMs: number): readonly string[] {
  const state = member.self
    ? 'this box'
    : `${member.state}, ${member.linked ? 'linked' : 'no link'}${member.rttMs === null ? '' : ` (${member.rttMs.toFixed(1)} ms)`}`
  return [
    safe(member.name),
    state,
    member.self ? '' : `for ${spanText(nowMs - member.sinceMs)}`,
    safe(member.address),
    safe(member.version),
    member.id,
    queueText(member),
  ]
}

/** What waits for it here; nothing where nothing does. */
function queueText({ queue }: MemberStatus): string {
  if (queue === undefined) return ''
  const counts = [
    [queue.queued, 'waiting'],
    [queue.parked, 'parked'],
    [queue.dropped, 'dropped (QoS 0)'],
  ] as const
  return counts.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`])).join(', ')
}

/** The members, the refused and the waiting: `edge-mqtt cluster status`. */
export function clusterText(status: NodeStatus, nowMs: number): string {
  const { cluster } = status
  if (!cluster.enabled) return 'Cluster    off (cluster.enabled is false)\n'
  const id = cluster.id === null ? 'no cluster yet' : cluster.id
  const lines = [`Cluster    ${safe(cluster.name)} (${id}), port ${cluster.port ?? 'not open'}: ${standing(status)}`]
  if (cluster.address !== null) {
    const holder = cluster.members.find(({ id }) => id === cluster.address?.holder)
    lines.push(
      `Address    ${cluster.address.address}: ${holder === undefined ? 'held by nobody' : `held by ${safe(holder.name)}`}`,
    )
  }
  if (cluster.members.length > 0) {
    lines.push('', 'Members', ...table(cluster.members.map((member) => memberRow(member, nowMs))))
  }
  if (cluster.refused.length > 0) {
    const rows = cluster.refused.map(({ address, reason, count, lastMs }) => [
      safe(address),
      safe(reason),
      `${count} times, last ${spanText(nowMs - lastMs)} ago`,
    ])
    lines.push('', 'Refused', ...table(rows))
  }
  if (cluster.waiting.length > 0) {
    const rows = cluster.waiting.map(({ address, id: node, name, words, replaces }) => [
      safe(name),
      node,
      safe(address),
      safe(words),
      replaces === null ? '' : `in place of ${safe(replaces)}`,
    ])
    lines.push('', 'Waiting to be let in (its own status must show the same words: edge-mqtt cluster approve ID)')
    lines.push(...table(rows))
  }
  return `${lines.join('\n')}\n`
}

/** The whole screen. `nowMs`: milliseconds since 1970 on the clock that stamped the status. */
export function statusText(status: NodeStatus, nowMs: number): string {
  const { node } = status
  const counted = [
    plural(status.clients, 'client'),
    plural(status.sessions, 'session'),
    plural(status.subscriptions, 'subscription'),
    `${status.retained} retained`,
    plural(status.routes, 'route'),
  ]
  const lines = [
    statusLine(status),
    '',
    `Node       ${node.id} ${node.state}, up ${spanText(node.uptimeMs)}, version ${node.version}`,
    `Traffic    ${rateText(status.rates.inPerSecond)} msg/s in, ${rateText(status.rates.outPerSecond)} out, ${status.dropped} dropped`,
    `Holds      ${counted.join(', ')}`,
    ...status.listeners.map(
      ({ name, type, bind, port, connections }, index) =>
        `${index === 0 ? 'Listeners' : '         '}  ${name} (${type}) on ${type === 'unix' ? bind : endpointText({ address: bind, port })}: ${plural(connections, 'connection')}`,
    ),
    clusterText(status, nowMs).trimEnd(),
  ]
  if (status.problems.length > 0)
    lines.push('', 'Problems', ...status.problems.map((problem) => `  ! ${safe(problem)}`))
  return `${lines.join('\n')}\n`
}
