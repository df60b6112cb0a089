// Bugs of sessions that move, stand in and come back.

import type { NodeId } from '../../../src/base/ids.ts'
import { HERE } from '../../../src/broker/place.ts'
import type { Kept, SessionImport } from '../../../src/broker/ports.ts'
import type { Session } from '../../../src/broker/session.ts'
import { SessionTransfer } from '../../../src/broker/sessiontransfer.ts'
import { CopyFeed } from '../../../src/cluster/copyfeed.ts'
import { type Plant, patched, patching } from './planting.ts'

/** What goes wrong when a session is made of a copy. */
const standingIn = (bend: (session: Session) => void): Plant['plant'] =>
  patching(() =>
    patched(SessionTransfer.prototype, 'take', (original) => {
      return function (this: SessionTransfer, from: NodeId, place: 'arriving' | 'standing-in'): SessionImport {
        const taking = original.call(this, from, place)
        if (place === 'arriving') return taking
        const end = taking.end.bind(taking)
        taking.end = () => {
          end()
          if (taking.session !== null) bend(taking.session as Session)
        }
        return taking
      }
    }),
  )

export const sessionPlants: readonly Plant[] = [
  {
    name: 'acknowledged before the copy',
    found: /is lost to the session|its session was gone/,
    promises: ['delivery', 'sessions'],
    // The copy is one record behind, and so is who waits for it.
    plant: patching(() => {
      const latest = new WeakMap<CopyFeed, Kept>()
      return patched(CopyFeed.prototype, 'staged', (original) => {
        return function (this: CopyFeed, kept) {
          const before = latest.get(this)
          latest.set(this, kept)
          return before === undefined ? 0 : original.call(this, before)
        }
      })
    }),
  },
  {
    name: 'a stand-in makes an epoch',
    found: /its session was gone|is lost to the session|routes|connection at node/,
    promises: ['delivery', 'sessions'],
    plant: standingIn((session) => {
      if (session.epoch !== null) session.epoch = { ...session.epoch, wallMs: session.epoch.wallMs + 1 }
      session.place = HERE
    }),
  },
  {
    name: 'an owner that comes back yields to the stand-in',
    found: /its session was gone|is lost to the session|routes/,
    promises: ['delivery', 'sessions'],
    plant: patching(() =>
      patched(SessionTransfer.prototype, 'join', (original) => {
        return function (this: SessionTransfer, session) {
          const joining = original.call(this, session)
          this.drop(session)
          return joining
        }
      }),
    ),
  },
]
