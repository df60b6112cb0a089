// What `edge-mqtt cluster time` asks of a running daemon.

import { HostError } from '../base/errors.ts'
import type { MemberTime, TimeStatus } from '../cluster/time/clustertime.ts'
import type { Node } from '../compose.ts'
import type { Commands } from './control/server.ts'

export interface ShownMemberTime extends MemberTime {
  readonly name: string
}

export interface ShownTime extends Omit<TimeStatus, 'members'> {
  readonly members: readonly ShownMemberTime[]
}

type Asked = Pick<Node, 'operator' | 'status'>

export function timeCommands(node: () => Promise<Asked>): Commands {
  return {
    'cluster heals': { everybody: false, run: async () => (await node()).operator.heals() },
    'cluster time': { everybody: false, run: async ({ set }) => time(await node(), set) },
  }
}

/** As date and time of day with a zone, or `now`: what this machine's own clock shows. Null: neither. */
export function parseTime(text: string, nowMs: number): number | null {
  if (text === 'now') return nowMs
  // Without a zone it would be read in the daemon's, which need not be that of whoever types.
  if (!/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)) return null
  const ms = Date.parse(text.replace(' ', 'T'))
  return Number.isNaN(ms) ? null : ms
}

function time(node: Asked, set: unknown): ShownTime {
  const { time } = node.operator
  if (set !== undefined) {
    const ms = typeof set === 'string' ? parseTime(set, Date.now()) : null
    if (ms === null) {
      throw new HostError(
        'invalid',
        `not a time: ${JSON.stringify(set)}; right would be 2026-05-01T14:30:00Z, 2026-05-01T16:30:00+02:00 or now`,
      )
    }
    const why = time.set(ms)
    if (why !== null) throw new HostError('invalid', why)
  }
  const names = new Map(node.status().cluster.members.map(({ id, name }) => [id, name]))
  const shown = time.status()
  const name = (id: string) => names.get(id) ?? id
  return {
    ...shown,
    from: name(shown.from),
    members: shown.members.map((member) => ({ ...member, name: name(member.id) })),
  }
}
