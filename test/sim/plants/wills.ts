// Bugs of the wills of clients whose box is gone.

import { Publisher } from '../../../src/broker/publish.ts'
import { compose } from '../../../src/compose.ts'
import { type Plant, patched } from './planting.ts'

export const willPlants: readonly Plant[] = [
  {
    name: 'wills fired at dead_after without write-back',
    found: /is there and has said \d+, and n\d+ retains/,
    promises: ['lastwords'],
    plant: () => ({
      build: (settings, ports) => compose({ ...settings, cluster: { ...settings.cluster, willAfterMs: 0 } }, ports),
      remove: patched(Publisher.prototype, 'putBack', () => () => {}),
    }),
  },
]
