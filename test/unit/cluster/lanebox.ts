// Two sets of channels joined by one held or flowing pair of streams, without greeting: for tests of channels.

import type { PeerError } from '../../../src/base/errors.ts'
import type { NodeId } from '../../../src/base/ids.ts'
import { Outbox, Turn } from '../../../src/base/outbox.ts'
import { LinkChannels } from '../../../src/cluster/links/channels.ts'
import type { Lanes } from '../../../src/cluster/links/lanes.ts'
import type { Channel, ChannelOptions } from '../../../src/cluster/ports.ts'
import { FrameReader } from '../../../src/wire/link/frame.ts'
import type { VirtualClock } from '../../virtual-clock.ts'
import { at, node } from './fakes.ts'
import type { MemoryStream, Net } from './net.ts'

export class LaneBox {
  readonly peer: NodeId
  readonly channels: LinkChannels
  readonly outbox: Outbox
  readonly stream: MemoryStream
  lanes: Lanes | null = null
  error: PeerError | null = null
  /** Kinds of frames in the order in which they came, with the channel's number. */
  readonly frames: string[] = []
  readonly events: string[] = []
  readonly got: { readonly channel: string; readonly message: Buffer }[] = []

  constructor(clock: VirtualClock, peer: NodeId, stream: MemoryStream) {
    this.peer = peer
    this.stream = stream
    this.channels = new LinkChannels(clock)
    this.outbox = new Outbox(new Turn(clock), stream)
  }

  open(name: string, options: Partial<ChannelOptions> = {}, onMessage?: (message: Buffer) => void): Channel {
    return this.channels.open(
      name,
      { priority: 'normal', queueBytes: 1024 * 1024, ...options },
      {
        linked: (peer) => this.events.push(`${name} linked ${peer[0]}`),
        unlinked: (peer) => this.events.push(`${name} unlinked ${peer[0]}`),
        received: (_peer, message) => {
          this.got.push({ channel: name, message: Buffer.from(message) })
          onMessage?.(message)
        },
        room: (peer) => this.events.push(`${name} room ${peer[0]}`),
      },
    )
  }

  link(): void {
    const lanes = this.channels.attach(this, this.stream)
    this.lanes = lanes
    const reader = new FrameReader()
    this.stream.open({
      received: (bytes, start, end) => {
        if (this.error !== null) return
        try {
          reader.read(bytes, start, end, (kind, number, buffer, from, to) => {
            this.frames.push(`${kind}/${number}`)
            lanes.received(kind, number, buffer, from, to)
            return true
          })
        } catch (error) {
          this.error = error as PeerError
        }
      },
      drained: () => lanes.drained(),
      closed: () => {},
    })
  }

  unlink(): void {
    if (this.lanes !== null) this.channels.detach(this.lanes)
    this.lanes = null
  }

  texts(channel: string): string[] {
    return this.got.filter((one) => one.channel === channel).map(({ message }) => message.toString())
  }
}

export function lanePair(net: Net): [LaneBox, LaneBox] {
  const [near, far] = net.pair('10.0.0.1', at('10.0.0.2'))
  return [new LaneBox(net.clock, node('b'), near), new LaneBox(net.clock, node('a'), far)]
}
