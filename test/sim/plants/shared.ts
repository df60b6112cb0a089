// Bugs of what all boxes hold alike.

import { compareStamps } from '../../../src/base/stamps.ts'
import { Retained } from '../../../src/broker/retained.ts'
import { LwwComparing } from '../../../src/cluster/lwwcomparing.ts'
import { LwwReplica } from '../../../src/cluster/lwwreplica.ts'
import { LwwServing } from '../../../src/cluster/lwwserving.ts'
import { type Plant, patched, patching } from './planting.ts'

export const sharedPlants: readonly Plant[] = [
  {
    name: 'what a box has missed is never found',
    found: /not the same/,
    promises: ['retained'],
    plant: patching(() => patched(LwwComparing.prototype, 'rootOf', () => () => false)),
  },
  {
    name: 'the earlier write wins',
    found: /not the same|came after it/,
    promises: ['retained'],
    plant: patching(() =>
      patched(
        LwwReplica.prototype,
        'takes',
        () => (before, stamp) => before === null || compareStamps(stamp, before) < 0,
      ),
    ),
  },
  {
    name: 'a removal that is forgotten at once',
    found: /not the same|retains message/,
    promises: ['retained'],
    plant: patching(() =>
      patched(LwwReplica.prototype, 'wrote', (original) => {
        return function (this: LwwReplica, entry, before, tell) {
          original.call(this, entry, before, tell)
          if (entry instanceof Retained && entry.message === null) this.drop(entry.key)
        }
      }),
    ),
  },
  {
    name: 'a donor that gives nothing',
    found: /not the same/,
    promises: ['retained'],
    plant: patching(() => patched(LwwServing.prototype, 'asked', () => () => {})),
  },
]
