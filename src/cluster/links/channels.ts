// The channels of this node, over all its links: a name is opened once, and works towards each linked peer that has
// opened it too.

import { assert } from '../../base/errors.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { Channel, ChannelHandler, ChannelOptions, Channels } from '../ports.ts'
import { OpenChannel } from './channel.ts'
import { type LaneStream, Lanes } from './lanes.ts'
import type { Link } from './link.ts'

export class LinkChannels implements Channels {
  readonly #clock: Clock
  readonly #channels = new Map<string, OpenChannel>()
  readonly #lanes = new Set<Lanes>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  open(name: string, options: ChannelOptions, handler: ChannelHandler): Channel {
    assert(/^[a-z0-9.-]{1,64}$/.test(name) && !this.#channels.has(name), `channel ${name} opened twice or badly named`)
    const channel = new OpenChannel(name, this.#channels.size + 1, options, handler)
    this.#channels.set(name, channel)
    for (const lanes of this.#lanes) lanes.announce(channel)
    return channel
  }

  /** A link is up: the peer is told of all channels. The returned lanes are given the link's frames until `close`. */
  attach(link: Pick<Link, 'peer' | 'outbox'>, stream: LaneStream): Lanes {
    const lanes = new Lanes(link, stream, this.#clock, (name) => this.#channels.get(name))
    this.#lanes.add(lanes)
    for (const channel of this.#channels.values()) lanes.announce(channel)
    return lanes
  }

  /** The link is gone. */
  detach(lanes: Lanes): void {
    this.#lanes.delete(lanes)
    lanes.close()
  }
}
