// Bugs of trust and time, as the storms with guests find them; what needs months has plants of its own
// (months-story.test.ts).

import { ClusterTime } from '../../../src/cluster/clustertime.ts'
import { KeyHolding } from '../../../src/cluster/keyholding.ts'
import { Revocations } from '../../../src/cluster/revocations.ts'
import { Rotation } from '../../../src/cluster/rotation.ts'
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
