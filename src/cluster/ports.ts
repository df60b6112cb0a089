// The seams inside the cluster: features speak over channels and know nothing of links, frames or TLS.

import type { NodeId } from '../base/ids.ts'
import type { Meter } from '../base/meter.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import type { Random } from '../base/ports/random.ts'

/** Who is told about a channel. All calls come from the event loop, never from within `send`. */
export interface ChannelHandler {
  /** A link to `peer` is up, and both ends have the channel. The first message may be sent in this call. */
  linked(peer: NodeId): void
  /** The link is gone; what was sent and not answered may or may not have arrived. */
  unlinked(peer: NodeId): void
  /**
   * A whole message (its pieces joined), valid during this call only. Throws PeerError for what breaks the rules: the
   * link then closes with that reason.
   */
  received(peer: NodeId, message: Buffer): void
  /**
   * There is room again: `pendingBytes` has fallen to half of `queueBytes` or less after it had been above, or after
   * `send` answered 'full'. Called once for each such fall, at the end of a turn or on credit, never within `send`.
   */
  room?(peer: NodeId): void
}

export interface Channel {
  readonly name: string
  /** Linked peers that have this channel too. */
  peers(): readonly NodeId[]
  /**
   * Sends one message in order. 'sent': on its way or within the channel's window. 'full': the channel to this peer is
   * over its bound and the message was not taken (CLUSTER 5: the caller's policy decides); a peer with nothing pending
   * takes any message. 'unlinked': no such peer.
   * The bytes are copied.
   */
  send(peer: NodeId, message: Buffer): 'sent' | 'full' | 'unlinked'
  /** Bytes taken by `send` that the peer has not yet made room for. */
  pendingBytes(peer: NodeId): number
}

export interface ChannelOptions {
  /** urgent: before everything (heartbeats, membership). normal: messages. bulk: snapshots, one piece at a time. */
  readonly priority: 'urgent' | 'normal' | 'bulk'
  /** Bytes that may wait for one peer before `send` answers 'full'. */
  readonly queueBytes: number
  /** Bytes of the longest message taken from a peer; without it, `limits.channelMessageBytes`. */
  readonly messageBytes?: number
}

export interface Channels {
  /** Opens a named channel to every linked peer, now and later. A name is opened once. */
  open(name: string, options: ChannelOptions, handler: ChannelHandler): Channel
}

/** What a member looks like to the features above links. */
export interface MemberView {
  readonly id: NodeId
  readonly state: 'alive' | 'suspect' | 'dead' | 'left'
  readonly linked: boolean
}

/** Membership as the features above links see it. */
export interface Membership {
  readonly self: NodeId
  member(id: NodeId): MemberView | null
  /** Called after each change of a member's state or link. */
  onChange(listener: (member: MemberView) => void): void
}

/** What a feature above links sees of the world. */
export interface FeatureWorld {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly meter: Meter
}
