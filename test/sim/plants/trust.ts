// Bugs of trust and time, as the storms with guests find them; what needs months has plants of its own
// (months-story.test.ts).

import { ClusterTime } from '../../../src/cluster/clustertime.ts'
import { FILES } from '../../../src/cluster/identity.ts'
import { KeyHolding } from '../../../src/cluster/keyholding.ts'
import { Revocations } from '../../../src/cluster/revocations.ts'
import { Rotation } from '../../../src/cluster/rotation.ts'
import { Together } from '../../../src/cluster/together.ts'
import { type Plant, patched, patching } from './planting.ts'

export const trustPlants: readonly Plant[] = [
  {
    name: 'every box keeps to its own idea of the time',
    found: /cluster time of/,
    promises: ['clocks'],
    plant: patching(() => patched(ClusterTime.prototype, 'attach', () => () => {})),
  },
  {
    name: 'a removed box is let in again',
    found: /does not know that .* was removed|has been removed, and has links/,
    promises: ['trust'],
    plant: patching(() => patched(Revocations.prototype, 'has', () => () => false)),
  },
  {
    name: 'a box forgets which cluster it has left, and comes back by its password',
    found: /has left, and has links|is in the same cluster again/,
    promises: ['trust'],
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
    promises: ['trust'],
    plant: patching(() => patched(Rotation.prototype, 'look', () => () => {})),
  },
  {
    name: 'the key of a new CA stays on one box',
    found: /the key of the CA is on 1 boxes/,
    promises: ['trust'],
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
]
