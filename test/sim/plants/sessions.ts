// Bugs of sessions that move, stand in and come back.

import type { NodeId } from '../../../src/base/ids.ts'
import type { Clock } from '../../../src/base/ports/clock.ts'
import type { Broker } from '../../../src/broker/broker.ts'
import { type Deadline, Deadlines } from '../../../src/broker/deadlines.ts'
import { HERE } from '../../../src/broker/place.ts'
import type { Kept, LocalSessions, SessionImport } from '../../../src/broker/ports.ts'
import type { Session } from '../../../src/broker/session.ts'
import { SessionTransfer } from '../../../src/broker/sessiontransfer.ts'
import { Cluster } from '../../../src/cluster/cluster.ts'
import { CopyFeed } from '../../../src/cluster/sessions/copyfeed.ts'
import { SimClock } from '../clock.ts'
import { type Plant, patched, patching, withClocks } from './planting.ts'

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
        return function (this: SessionTransfer, session, merges) {
          const joining = original.call(this, session, merges)
          this.drop(session)
          return joining
        }
      }),
    ),
  },
  {
    // An end by the wall clock comes nearer by as much as somebody sets that forward.
    name: 'expiry by wall clock',
    found: /its session was gone|is lost to the session/,
    plant: () => {
      const brokers = new WeakMap<Clock, LocalSessions>()
      const keepers = new WeakMap<Deadline, Deadlines>()
      return withClocks((building) => {
        const removals = [
          patched(Cluster.prototype, 'attach', (original) => {
            return function (this: Cluster, local) {
              const clock = building()
              if (clock !== null) brokers.set(clock, (local as Broker).transfer)
              original.call(this, local)
            }
          }),
          patched(Deadlines.prototype, 'set', (original) => {
            return function (this: Deadlines, deadline, at) {
              keepers.set(deadline, this)
              original.call(this, deadline, at)
            }
          }),
          patched(SimClock.prototype, 'jumpWall', (original) => {
            return function (this: SimClock, byMs) {
              original.call(this, byMs)
              const sessions = [...(brokers.get(this)?.all() ?? [])] as Session[]
              const waiting = sessions.flatMap(({ queue }) => queue.above(-1))
              for (const message of new Set(waiting.map((delivery) => delivery.message))) {
                Object.assign(message, { expiresAt: message.expiresAt - byMs })
              }
              for (const session of sessions) {
                const { deadline } = session
                if (session.connection !== null || deadline === null) continue
                session.endsAt -= byMs
                keepers.get(deadline)?.set(deadline, session.endsAt)
              }
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
