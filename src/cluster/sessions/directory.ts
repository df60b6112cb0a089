// Which box owns which session, and which holds its copy: the same on every node once they have heard of each other.
// Only a CONNECT makes a new epoch, and the later epoch counts, whenever its entry was written.

import type { ClientId, NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import { compareStamps, type Stamp } from '../../base/stamps.ts'
import type { SessionView } from '../../broker/ports.ts'
import { type DirectoryEntry, decodeEntry, ENTRY_BYTES_MAX, encodeEntry } from '../../wire/link/sessions.ts'
import type { LwwMapEvents, LwwMapOptions } from '../maps/lwwmap.ts'

export type { DirectoryEntry } from '../../wire/link/sessions.ts'

/** The replicated map that it stands in. */
export interface SharedValues {
  readonly isUpToDate: boolean
  value(key: string): { readonly value: Buffer; readonly stamp: Stamp } | null
  entries(): Iterable<{ readonly key: string; readonly value: Buffer; readonly stamp: Stamp }>
  set(key: string, value: Buffer | null, stamp?: Stamp): unknown
}

export class Directory {
  readonly #values: SharedValues
  #listener: ((clientId: ClientId) => void) | null = null

  /** `open` opens the map; what it calls when a member has changed an entry comes from within that. */
  constructor(open: (options: LwwMapOptions, events: LwwMapEvents) => SharedValues) {
    this.#values = open(
      {
        name: 'sessions',
        keyBytesMax: limits.mqttStringBytes,
        valueBytesMax: ENTRY_BYTES_MAX,
        entriesMax: limits.partEntries,
        // Clients connect to wherever there is a box again.
        atOnce: true,
        check: (_key, value) => {
          if (value !== null) decodeEntry(value)
        },
      },
      {
        changed: (key, _value, _stamp, from) => {
          if (from !== null) this.#listener?.(key as ClientId)
        },
      },
    )
  }

  /** The one who hears of what members have written; called from within. */
  watch(listener: (clientId: ClientId) => void): void {
    this.#listener = listener
  }

  /** Whether all who are linked have said what they know. */
  get isUpToDate(): boolean {
    return this.#values.isUpToDate
  }

  get(clientId: ClientId): DirectoryEntry | null {
    const found = this.#values.value(clientId)
    return found === null ? null : decodeEntry(found.value)
  }

  set(clientId: ClientId, entry: DirectoryEntry): void {
    this.#values.set(clientId, encodeEntry(entry))
  }

  /** Says what has been so since its epoch, and was never said: whatever is known since then counts more. */
  recall(clientId: ClientId, entry: DirectoryEntry): void {
    this.#values.set(clientId, encodeEntry(entry), entry.epoch)
  }

  /** Forgets sessions that have been over since before `wallMs`. */
  sweep(wallMs: number): void {
    const old: string[] = []
    for (const { key, value, stamp } of this.#values.entries()) {
      if (stamp.wallMs < wallMs && decodeEntry(value).over) old.push(key)
    }
    for (const key of old) this.#values.set(key, null)
  }
}

/** From before there was a cluster: older than any CONNECT. */
export const noEpoch = (node: NodeId): Stamp => ({ wallMs: 0, counter: 0, node })

/** What becomes of a session of this node by what the directory says of its client. */
export type Verdict =
  /** It is this node's. */
  | { readonly at: 'mine' }
  /** It is this node's, and the directory does not know. */
  | { readonly at: 'unknown' }
  /** Another node owns it under the same epoch: this one keeps it going while that is away. */
  | { readonly at: 'stand-in'; readonly owner: NodeId }
  /** Its client has connected elsewhere since; 'new': with the copy of this; 'all': without anything of this. */
  | { readonly at: 'gone-on'; readonly owner: NodeId; readonly owed: 'new' | 'all' }
  /** It is over, or was not wanted any more. */
  | { readonly at: 'over' }

export function verdict(session: Pick<SessionView, 'epoch'>, entry: DirectoryEntry | null, self: NodeId): Verdict {
  if (entry === null) return { at: 'unknown' }
  const epoch = session.epoch ?? noEpoch(self)
  const order = compareStamps(epoch, entry.epoch)
  if (order > 0) return { at: 'unknown' }
  if (entry.over) return { at: 'over' }
  if (entry.owner === self) return { at: 'mine' }
  if (order === 0) return { at: 'stand-in', owner: entry.owner }
  if (compareStamps(entry.base, epoch) <= 0) return { at: 'gone-on', owner: entry.owner, owed: 'new' }
  return entry.fresh ? { at: 'over' } : { at: 'gone-on', owner: entry.owner, owed: 'all' }
}
