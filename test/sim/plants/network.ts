// Bugs of links, members, routes and forwarding.

import { Bug } from '../../../src/base/errors.ts'
import type { LocalDelivery } from '../../../src/broker/ports.ts'
import { Cluster } from '../../../src/cluster/cluster.ts'
import { Routes } from '../../../src/cluster/forwarding/routes.ts'
import { Link } from '../../../src/cluster/links/link.ts'
import { Vouching } from '../../../src/cluster/links/vouching.ts'
import { Members } from '../../../src/cluster/members/members.ts'
import type { Bundle } from '../../../src/cluster/settings.ts'
import { compose } from '../../../src/compose.ts'
import { EMPTY, type Message } from '../../../src/wire/message.ts'
import { simulateRelay } from '../relay-story.ts'
import { otherSettings, type Plant, patched, patching } from './planting.ts'

/** What members send passes through `bend` before it reaches the broker. */
function bentDelivery(
  bend: (message: Message, local: LocalDelivery, cluster: Cluster, count: number) => number,
): Plant['plant'] {
  return () => {
    const remove = patched(Cluster.prototype, 'attach', (original) => {
      return function (this: Cluster, local: LocalDelivery) {
        let count = 0
        original.call(this, {
          deliverFromPeer: (message, late, targets) => {
            const straight: LocalDelivery = { deliverFromPeer: (bent) => local.deliverFromPeer(bent, late, targets) }
            return bend(message, straight, this, ++count)
          },
        })
      }
    })
    return { build: compose, remove }
  }
}

/** Gives every node the bundle of the first that has one. */
const bundleForAll = (): Plant['plant'] => () => {
  let bundle: Bundle | null = null
  return {
    build: (settings, ports) => {
      bundle ??= settings.bundle
      return compose({ ...settings, bundle }, ports)
    },
    remove: () => {},
  }
}

const copyOf = (message: Message): Message => ({
  ...message,
  payload: Buffer.from(message.payload),
  properties: Buffer.from(message.properties),
})

/** One in so many messages is enough to be found, and leaves the rest of the world as it is. */
const SELDOM = 12

export const networkPlants: readonly Plant[] = [
  {
    name: 'SUBACK before the others have the routes',
    found: /never reached|no matching subscribers/,
    plant: () => ({
      build: compose,
      remove: patched(Routes.prototype, 'wanted', (original) => {
        return function (this: Routes, filter: string, durable: boolean, taken: () => void) {
          original.call(this, filter, durable, () => {})
          taken()
        }
      }),
    }),
  },
  {
    name: 'routes kept after a death',
    found: /dead, and keeps its routes/,
    plant: () => ({
      build: compose,
      remove: patched(Members.prototype, 'onChange', (original) => {
        return function (this: Members, listener: Parameters<Members['onChange']>[0]) {
          original.call(this, (member) => {
            if (member.state !== 'dead') listener(member)
          })
        }
      }),
    }),
  },
  {
    name: 'routes never taken back',
    found: /routes too many/,
    plant: () => ({ build: compose, remove: patched(Routes.prototype, 'unwanted', () => () => {}) }),
  },
  {
    name: 'what a member sent is sent on',
    found: /reached c\d+ \d times/,
    plant: bentDelivery((message, local, cluster, count) => {
      if (count % SELDOM === 0) cluster.peers.forward(message)
      return local.deliverFromPeer(message)
    }),
  },
  {
    name: 'what a member sent is delivered twice',
    found: /reached c\d+ \d times/,
    plant: bentDelivery((message, local, _cluster, count) => {
      if (count % SELDOM === 0) local.deliverFromPeer(message)
      return local.deliverFromPeer(message)
    }),
  },
  {
    name: 'what a member sent is lost',
    found: /never reached/,
    plant: bentDelivery((message, local, _cluster, count) =>
      count % SELDOM === 0 ? 0 : local.deliverFromPeer(message),
    ),
  },
  {
    name: 'what a member sent is overtaken by the next',
    found: /after message/,
    plant: () => {
      let held: Message | null = null
      return bentDelivery((message, local, _cluster, count) => {
        if (held === null && count % SELDOM === 0) {
          held = copyOf(message)
          return 0
        }
        const reached = local.deliverFromPeer(message)
        if (held !== null) local.deliverFromPeer(held)
        held = null
        return reached
      })()
    },
  },
  {
    name: 'properties lost on the way',
    found: /with properties/,
    plant: bentDelivery((message, local, _cluster, count) =>
      local.deliverFromPeer(count % SELDOM === 0 ? { ...message, properties: EMPTY } : message),
    ),
  },
  {
    name: 'QoS lowered on the way',
    found: /with QoS 0, not/,
    plant: bentDelivery((message, local) => local.deliverFromPeer({ ...message, qos: 0 })),
  },
  {
    name: 'the payload changed on the way',
    found: /another payload/,
    plant: bentDelivery((message, local, _cluster, count) => {
      if (count % SELDOM !== 0) return local.deliverFromPeer(message)
      const payload = Buffer.from(message.payload)
      payload[payload.length - 1]! ^= 1
      return local.deliverFromPeer({ ...message, payload })
    }),
  },
  {
    name: 'the retain flag put on what is live',
    found: /as retained, but was not|with the retain flag/,
    plant: bentDelivery((message, local) => local.deliverFromPeer({ ...message, retain: true })),
  },
  {
    name: 'the topic changed on the way',
    found: /no subscription for it|with topic/,
    plant: bentDelivery((message, local, _cluster, count) =>
      local.deliverFromPeer(count % SELDOM === 0 ? { ...message, topic: `${message.topic}/x` } : message),
    ),
  },
  {
    name: 'a Bug of ours',
    found: /threw Bug: planted/,
    plant: bentDelivery((message, local, _cluster, count) => {
      if (count === 2 * SELDOM) throw new Bug('planted')
      return local.deliverFromPeer(message)
    }),
  },
  {
    name: 'a silent member is not called dead',
    found: /has heard nothing of/,
    plant: otherSettings((settings) => ({
      ...settings,
      cluster: { ...settings.cluster, heartbeatMs: 20_000, deadAfterMs: 60_000 },
    })),
  },
  {
    name: '"dead" by own evidence only',
    found: /dead, which others are linked with/,
    story: simulateRelay,
    plant: patching(() => patched(Vouching.prototype, 'for', () => () => [])),
  },
  {
    name: 'nodes that never announce themselves',
    found: /after the last start: n\d+ does not know/,
    plant: otherSettings((settings) => ({
      ...settings,
      cluster: {
        ...settings.cluster,
        beacon: { ...settings.cluster.beacon, enabled: false },
        mdns: { enabled: false },
      },
    })),
  },
  {
    name: 'a double link is not settled',
    found: /have \d streams/,
    plant: () => ({
      build: compose,
      remove: patched(Link.prototype, 'close', (original) => {
        return function (this: Link, ...reasons: Parameters<Link['close']>) {
          if (reasons[0] !== 'duplicate') original.apply(this, reasons)
        }
      }),
    }),
  },
  {
    name: 'a box of another cluster is let in',
    found: /does not belong to its cluster|has no certificate, and members/,
    plant: bundleForAll(),
  },
]
