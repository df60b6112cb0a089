// Three members with channels between them that carry what is said a moment later, for tests of relays.

import type { NodeId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import type { Clock } from '../../../src/base/ports/clock.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import type { ByteStream } from '../../../src/base/ports/streams.ts'
import { Relay } from '../../../src/cluster/links/relay.ts'
import type { ChannelHandler, Channels } from '../../../src/cluster/ports.ts'
import { SeededRandom } from './fakes.ts'

export class RelayBox {
  readonly id: NodeId
  readonly meter = new Meter()
  readonly relay: Relay
  readonly accepted: { stream: ByteStream; relay: NodeId }[] = []
  /** Members with a straight link. */
  readonly linked = new Set<NodeId>()
  /** Everything that came, as it came. */
  readonly heard: Buffer[] = []
  /** What broke the rules. */
  readonly wrong: unknown[] = []
  /** While true nothing is taken that goes to this member. */
  readonly full = new Set<NodeId>()
  handler: ChannelHandler | null = null
  all: readonly RelayBox[] = []

  constructor(id: NodeId, clock: Clock) {
    this.id = id
    const channels: Channels = {
      open: (name, _options, handler) => {
        this.handler = handler
        return {
          name,
          peers: () => [...this.linked],
          send: (peer, message) => {
            if (!this.linked.has(peer)) return 'unlinked'
            if (this.full.has(peer)) return 'full'
            const bytes = Buffer.from(message)
            clock.soon(() => this.all.find((box) => box.id === peer)!.take(this.id, bytes))
            return 'sent'
          },
          pendingBytes: () => 0,
        }
      },
    }
    const world = { clock, random: new SeededRandom(1), log: silentLog, meter: this.meter }
    this.relay = new Relay(world, channels, {
      self: id,
      direct: (member) => this.linked.has(member),
      accepted: (stream, relay) => this.accepted.push({ stream, relay }),
    })
  }

  take(from: NodeId, bytes: Buffer): void {
    if (!this.linked.has(from)) return
    this.heard.push(bytes)
    try {
      this.handler!.received(from, bytes)
    } catch (error) {
      this.wrong.push(error)
    }
  }
}

export function linkBoxes(one: RelayBox, other: RelayBox): void {
  one.linked.add(other.id)
  other.linked.add(one.id)
}

export function partBoxes(one: RelayBox, other: RelayBox): void {
  for (const [a, b] of [
    [one, other],
    [other, one],
  ] as const) {
    a.linked.delete(b.id)
    a.handler!.unlinked(b.id)
  }
}
