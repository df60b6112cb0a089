// What stands under $SYS/cluster on each node, in its own view: the members, and what happens to them.

import type { Clock } from '../../base/ports/clock.ts'
import type { ClusterStatus, MemberStatus } from '../status.ts'
import { MemberEvents } from './memberevents.ts'

export const EVENTS = '$SYS/cluster/event'

export class MemberTopics {
  readonly #events = new MemberEvents()
  /** Members that have a topic, so that it can be taken away again. */
  #told = new Set<string>()
  #looking = false

  /** A member may have changed: looked at once at the end of the turn, as a message may be on its way to it. */
  changed(clock: Clock, status: () => ClusterStatus | null, tell: (text: string) => void): void {
    if (this.#looking) return
    this.#looking = true
    clock.soon(() => {
      this.#looking = false
      const now = status()
      if (now !== null) for (const text of this.events(now, clock.wall())) tell(text)
    })
  }

  /** What has happened since the last call, as texts for `EVENTS`. */
  events(status: ClusterStatus, wallMs: number): string[] {
    return this.#events.look(status.members).map((event) => JSON.stringify({ ...event, atMs: Math.round(wallMs) }))
  }

  /** The topics and what they say now; an empty text for a member that is no more. */
  *facts(status: ClusterStatus): IterableIterator<readonly [string, string]> {
    const { name, id, state, members } = status
    const present = members.filter((member) => member.state !== 'left')
    yield ['$SYS/cluster/name', name]
    yield ['$SYS/cluster/id', id ?? '']
    yield ['$SYS/cluster/state', state]
    yield ['$SYS/cluster/members/count', String(present.length)]
    yield ['$SYS/cluster/members/linked', String(present.filter(({ self, linked }) => self || linked).length)]
    const told = new Set<string>()
    for (const member of members) {
      told.add(member.id)
      yield [topicOf(member.id), text(member)]
    }
    for (const gone of this.#told) if (!told.has(gone)) yield [topicOf(gone), '']
    this.#told = told
  }
}

const topicOf = (id: string): string => `$SYS/cluster/nodes/${id}`

function text({ id, name, self, state, linked, address, version, sinceMs }: MemberStatus): string {
  return JSON.stringify({ id, name, self, state, linked, address, version, sinceMs: Math.round(sinceMs) })
}
