// Bugs of trust and time, as the storms with guests find them; what needs months has plants of its own
// (months-story.test.ts).

import type { Clock } from '../../../src/base/ports/clock.ts'
import { ClusterTime } from '../../../src/cluster/time/clustertime.ts'
import { FILES } from '../../../src/cluster/trust/identity.ts'
import { KeyHolding } from '../../../src/cluster/trust/keyholding.ts'
import { Revocations } from '../../../src/cluster/trust/revocations.ts'
import { Rotation } from '../../../src/cluster/trust/rotation.ts'
import { Together } from '../../../src/cluster/trust/together.ts'
import { tellTrust } from '../trust-story.ts'
import { type Plant, patched, patching, withClocks } from './planting.ts'

/** How long a removal counts that goes by its stamp. */
const EXPIRY_MS = 5000

export const trustPlants: readonly Plant[] = [
  {
    name: 'every box keeps to its own idea of the time',
    found: /cluster time of/,
    plant: patching(() => patched(ClusterTime.prototype, 'attach', () => () => {})),
  },
  {
    name: 'a removed box is let in again',
    found: /does not know that .* was removed|has been removed, and has links/,
    plant: patching(() => patched(Revocations.prototype, 'has', () => () => false)),
  },
  {
    name: 'a box forgets which cluster it has left, and comes back by its password',
    found: /has left, and has links|is in the same cluster again/,
    plant: patching(() =>
      patched(Together.prototype, 'write', (original) => {
        return function (this: Together, writes, done) {
          const forgetful = writes.map((write) => {
            if (write.name !== FILES.node) return write
            return { ...write, text: JSON.stringify({ ...JSON.parse(write.text), gaveUp: [] }) }
          })
          original.call(this, forgetful, done)
        }
      }),
    ),
  },
  {
    name: 'who was cut off is not offered the CA that has replaced its own',
    found: /stands on another CA/,
    plant: patching(() => patched(Rotation.prototype, 'look', () => () => {})),
  },
  {
    name: 'the key of a new CA stays on one box',
    found: /the key of the CA is on 1 boxes/,
    plant: patching(() => {
      const removals = [
        patched(KeyHolding.prototype, 'look', () => () => {}),
        patched(KeyHolding.prototype, 'heir', () => () => null),
      ]
      return () => {
        for (const remove of removals) remove()
      }
    }),
  },
  {
    // They count by their stamps: not before these, and not for ever after, by the own clock.
    name: 'revocations by stamp',
    found: /was removed, and had a link again|was removed and has links/,
    story: tellTrust,
    plant: () => {
      const stamps = new WeakMap<Revocations, Map<string, number>>()
      const clocks = new WeakMap<Revocations, Clock>()
      return withClocks((building) => {
        const removals = [
          patched(Revocations.prototype, 'watch', (original) => {
            return function (this: Revocations, watcher) {
              const clock = building()
              if (clock !== null) clocks.set(this, clock)
              original.call(this, watcher)
            }
          }),
          patched(Revocations.prototype, 'add', (original) => {
            return function (this: Revocations, entries, done) {
              const known = stamps.get(this) ?? new Map<string, number>()
              stamps.set(this, known)
              for (const { node } of entries) known.set(node, known.get(node) ?? clocks.get(this)!.wall())
              return original.call(this, entries, done)
            }
          }),
          patched(Revocations.prototype, 'has', (original) => {
            return function (this: Revocations, node, key) {
              const stamp = stamps.get(this)?.get(node) ?? 0
              const wall = clocks.get(this)?.wall() ?? 0
              return stamp <= wall && wall < stamp + EXPIRY_MS && original.call(this, node, key)
            }
          }),
        ]
        return () => {
          for (const remove of removals) remove()
        }
      })
    },
  },
]
