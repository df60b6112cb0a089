// What has happened to the members between two looks at them: join, leave, dead, heal. Pure but for what it remembers.

import type { MemberStatus } from '../status.ts'

export interface MemberEvent {
  readonly event: 'join' | 'leave' | 'dead' | 'heal'
  readonly id: string
  readonly name: string
}

interface Seen {
  readonly state: MemberStatus['state']
  readonly linked: boolean
  /** It had a link once and has not left since. */
  readonly joined: boolean
}

const UNSEEN: Seen = { state: 'suspect', linked: false, joined: false }

export class MemberEvents {
  #seen = new Map<string, Seen>()

  look(rows: readonly MemberStatus[]): MemberEvent[] {
    const events: MemberEvent[] = []
    const seen = new Map<string, Seen>()
    for (const { id, name, self, state, linked } of rows) {
      if (self) continue
      const before = this.#seen.get(id) ?? UNSEEN
      const event = happened(before, state, linked)
      if (event !== null) events.push({ event, id, name })
      seen.set(id, { state, linked, joined: state !== 'left' && (linked || before.joined) })
    }
    this.#seen = seen
    return events
  }
}

function happened(before: Seen, state: MemberStatus['state'], linked: boolean): MemberEvent['event'] | null {
  if (linked && !before.linked) return before.joined ? 'heal' : 'join'
  if (state === 'left' && before.joined) return 'leave'
  return state === 'dead' && before.state !== 'dead' && before.joined ? 'dead' : null
}
