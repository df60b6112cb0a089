// Bugs of what all boxes hold alike.

import { compareStamps } from '../../../src/base/stamps.ts'
import { Retained, RetainedMessages } from '../../../src/broker/retained.ts'
import { LwwComparing } from '../../../src/cluster/maps/lwwcomparing.ts'
import { LwwReplica } from '../../../src/cluster/maps/lwwreplica.ts'
import { LwwServing } from '../../../src/cluster/maps/lwwserving.ts'
import { decodeLww, encodeLww } from '../../../src/wire/link/lww.ts'
import { simulateReturn } from '../return-story.ts'
import { type Plant, patched, patching } from './planting.ts'

export const sharedPlants: readonly Plant[] = [
  {
    name: 'an account that stays on its box',
    found: /has \w+ in \w+, n\d+ in \w+: not the same/,
    plant: patching(() => {
      const rootOf = patched(LwwComparing.prototype, 'rootOf', () => () => false)
      const wrote = patched(LwwReplica.prototype, 'wrote', (original) => {
        return function (this: LwwReplica, entry, before) {
          original.call(this, entry, before, false)
        }
      })
      return () => {
        wrote()
        rootOf()
      }
    }),
  },
  {
    name: 'what a box has missed is never found',
    found: /not the same/,
    plant: patching(() => patched(LwwComparing.prototype, 'rootOf', () => () => false)),
  },
  {
    name: 'the earlier write wins',
    found: /not the same|came after it/,
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
    plant: patching(() => patched(LwwServing.prototype, 'asked', () => () => {})),
  },
  {
    name: 'retained messages travel beside the live ones',
    found: /is told of the older message/,
    plant: patching(() => patched(RetainedMessages.prototype, 'hear', () => () => {})),
  },
  {
    name: 'horizons that nobody heeds',
    found: /has risen again/,
    story: simulateReturn,
    plant: patching(() => {
      const takes = patched(LwwReplica.prototype, 'takes', (original) => {
        return function (this: LwwReplica, before, stamp) {
          return original.call(this, before, stamp) || before === null
        }
      })
      const attach = patched(LwwReplica.prototype, 'attach', (original) => {
        return function (this: LwwReplica, channels) {
          original.call(this, {
            open: (name, options, handler) =>
              channels.open(name, options, {
                ...handler,
                received: (peer, bytes) => {
                  const blind = withoutHorizon(bytes)
                  if (blind !== null) handler.received(peer, blind)
                },
              }),
          })
        }
      })
      return () => {
        attach()
        takes()
      }
    }),
  },
]

/** What a box would have said that has forgotten nothing; null: nothing. */
function withoutHorizon(bytes: Buffer): Buffer | null {
  const message = decodeLww(bytes)
  if (message === null || !('horizon' in message)) return bytes
  return message.kind === 'gone' ? null : encodeLww({ ...message, horizon: null })
}
