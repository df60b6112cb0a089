// Bugs of what crosses from box to box, and of what all boxes have alike.

import { RecentIds } from '../../../src/broker/recentids.ts'
import { RetainedMessages } from '../../../src/broker/retained.ts'
import { Arrivals } from '../../../src/cluster/forwarding/arrivals.ts'
import { Batches } from '../../../src/cluster/forwarding/batches.ts'
import { Outgoing } from '../../../src/cluster/forwarding/outgoing.ts'
import { type Plant, patched, patching } from './planting.ts'

export const deliveryPlants: readonly Plant[] = [
  {
    name: 'acknowledged before it is safe at the member that wants it',
    found: /is lost to the session/,
    promises: ['delivery'],
    plant: patching(() => {
      const wrote = patched(Outgoing.prototype, 'wrote', (original) => {
        return function (this: Outgoing, length, _awaited, expires) {
          original.call(this, length, false, expires)
        }
      })
      const take = patched(Outgoing.prototype, 'take', (original) => {
        return function (this: Outgoing, bytes, start, length, qos, _awaited, expiresAt, expiryAt) {
          return original.call(this, bytes, start, length, qos, false, expiresAt, expiryAt)
        }
      })
      return () => {
        take()
        wrote()
      }
    }),
  },
  {
    name: 'what was parked is forgotten at a restart',
    found: /is lost to the session/,
    promises: ['delivery'],
    plant: patching(() => patched(Outgoing.prototype, 'restore', () => () => {})),
  },
  {
    name: 'nothing is sent again over a new link',
    found: /is lost to the session|never reached/,
    promises: ['delivery'],
    plant: patching(() =>
      patched(Batches.prototype, 'again', (original) => {
        return function (this: Batches) {
          original.call(this, this.sequence)
        }
      }),
    ),
  },
  {
    name: 'what came over the last link counts again over the next',
    found: /reached c\d+ \d times/,
    plant: patching(() => {
      const repeated = patched(Arrivals.prototype, 'repeated', () => () => 0)
      const here = patched(Outgoing.prototype, 'here', (original) => {
        return function (this: Outgoing, message) {
          original.call(this, { ...message, received: 0, safe: 0 })
        }
      })
      return () => {
        here()
        repeated()
      }
    }),
  },
  {
    name: 'message ids that are not remembered',
    found: /reached c\d+ \d times/,
    plant: patching(() => patched(RecentIds.prototype, 'has', () => () => false)),
  },
  {
    name: 'what another box has removed stays retained',
    found: /though message \d+ came after it|not the same/,
    plant: patching(() =>
      patched(RetainedMessages.prototype, 'write', (original) => {
        return function (this: RetainedMessages, topic, value, stamp) {
          const known = this.get(topic)
          if (value === null && known !== undefined) return known
          return original.call(this, topic, value, stamp)
        }
      }),
    ),
  },
]
