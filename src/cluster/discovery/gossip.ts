// Members tell each other of the members they know: all of them when a link comes up, and each change that they see
// themselves. What is told becomes a candidate, so that one known address leads to a whole cluster.

import type { NodeId } from '../../base/ids.ts'
import { KiB } from '../../base/limits.ts'
import type { Meter } from '../../base/meter.ts'
import type { Endpoint } from '../../base/ports/streams.ts'
import { decodeMembers, ENTRIES_MAX, encodeMembers, type MemberEntry } from '../../wire/link/members.ts'
import type { Member, Members } from '../members/members.ts'
import type { Channel, Channels } from '../ports.ts'

const OPTIONS = { priority: 'urgent', queueBytes: 512 * KiB, messageBytes: 512 * KiB } as const

export class Gossip {
  readonly #members: Members
  readonly #self: () => MemberEntry
  readonly #meter: Meter
  readonly #channel: Channel
  readonly #heard: (node: NodeId, endpoint: Endpoint) => void
  /** Peers that have missed something. */
  readonly #owed = new Set<NodeId>()

  /** `heard` gets every address told. */
  constructor(
    channels: Channels,
    members: Members,
    self: () => MemberEntry,
    meter: Meter,
    heard: (node: NodeId, endpoint: Endpoint) => void,
  ) {
    this.#members = members
    this.#self = self
    this.#meter = meter
    this.#heard = heard
    this.#channel = channels.open('members', OPTIONS, {
      linked: (peer) => this.#tellAll(peer),
      unlinked: (peer) => void this.#owed.delete(peer),
      received: (peer, message) => this.#received(peer, message),
      room: (peer) => {
        if (this.#owed.delete(peer)) this.#tellAll(peer)
      },
    })
  }

  /** This member has changed, as we see ourselves. */
  tell(member: Member): void {
    this.#spread(member, member.id)
  }

  #tellAll(peer: NodeId): void {
    const entries = [this.#self()]
    for (const member of this.#members.values()) {
      if (member.id !== peer) entries.push(member.entry())
    }
    for (let from = 0; from < entries.length; from += ENTRIES_MAX) {
      this.#send(peer, entries.slice(from, from + ENTRIES_MAX))
    }
  }

  #received(peer: NodeId, message: Buffer): void {
    for (const entry of decodeMembers(message)) {
      const news = this.#members.told(entry, peer)
      if (news !== null) this.#spread(news, peer)
      if (entry.id === this.#members.self || entry.left) continue
      for (const endpoint of entry.endpoints) this.#heard(entry.id, endpoint)
    }
  }

  #spread(member: Member, but: NodeId): void {
    const entries = [member.entry()]
    for (const peer of this.#channel.peers()) {
      if (peer !== but && peer !== member.id) this.#send(peer, entries)
    }
  }

  /** What a peer has no room for is told with everything else when it has. */
  #send(peer: NodeId, entries: readonly MemberEntry[]): void {
    if (this.#channel.send(peer, encodeMembers(entries)) !== 'full') return
    this.#meter.count('members.full')
    this.#owed.add(peer)
  }
}
