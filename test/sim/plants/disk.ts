// Bugs of what must outlive a run: the store, the promises that stand on it, and how long clients wait for them.

import type { StoreEngine } from '../../../src/base/ports/engine.ts'
import { Keeping } from '../../../src/broker/keeping.ts'
import { RetainedMessages } from '../../../src/broker/retained.ts'
import { Safety } from '../../../src/broker/safety.ts'
import { Sessions } from '../../../src/broker/sessions.ts'
import { compose, type Ports } from '../../../src/compose.ts'
import { otherPorts, otherSettings, type Plant, patched, patching } from './planting.ts'

/** The node's disk, with another `append`. */
const withAppend = (ports: Ports, append: StoreEngine['append']): Ports => {
  const { engine } = ports
  const other: StoreEngine = {
    open: (batch, done) => engine.open(batch, done),
    append,
    drop: (below) => engine.drop(below),
    get bytes() {
      return engine.bytes
    },
    close: (done) => engine.close(done),
  }
  return { ...ports, engine: other }
}

const SLOW_MS = 20_000
const SLUGGISH_MS = 400

export const diskPlants: readonly Plant[] = [
  {
    name: 'acknowledged before it is on the disk',
    found: /is lost to the session|its session was gone|has nothing retained/,
    plant: otherPorts((ports) =>
      withAppend(ports, (number, bytes, done) => {
        // Half of what is written stays in a buffer that a power cut empties.
        if (number % 2 === 0) return ports.engine.append(number, bytes, done)
        ports.clock.soon(() => done(null))
      }),
    ),
  },
  {
    name: 'nothing is kept on the disk',
    found: /its session was gone/,
    plant: otherSettings((settings) => ({ ...settings, store: { durability: 'memory' } })),
  },
  {
    name: 'a queue that is not kept',
    found: /is lost to the session/,
    plant: patching(() => patched(Keeping.prototype, 'delivery', () => (_session, delivery) => delivery)),
  },
  {
    name: 'a subscription that is not kept',
    found: /is lost to the session|lacks routes/,
    plant: patching(() => patched(Keeping.prototype, 'subscribed', () => () => {})),
  },
  {
    name: 'a QoS 2 packet id told before it is on the disk',
    found: /reached c\d+ \d times/,
    // On a disk that takes its time; with the others it is rare that a box dies just then.
    plant: () => ({
      build: (settings, ports) =>
        compose(
          settings,
          withAppend(ports, (number, bytes, done) => {
            ports.clock.after(SLUGGISH_MS, 'slow disk', () => ports.engine.append(number, bytes, done))
          }),
        ),
      remove: patched(Safety.prototype, 'isSafe', () => () => true),
    }),
  },
  {
    name: 'a retained message that is not kept',
    found: /has nothing retained/,
    plant: patching(() => patched(RetainedMessages.prototype, 'found', () => () => false)),
  },
  {
    name: 'a session that goes on though a new one was asked for',
    found: /was given the old one/,
    plant: patching(() =>
      patched(Sessions.prototype, 'open', (original) => {
        return function (this: Sessions, access, terms, packet) {
          return original.call(this, access, terms, { ...packet, cleanStart: false })
        }
      }),
    ),
  },
  {
    name: 'acknowledgements that wait for ever',
    found: /was (not )?acknowledged for/,
    plant: otherPorts((ports) =>
      withAppend(ports, (number, bytes, done) =>
        ports.engine.append(number, bytes, (error) => void ports.clock.after(SLOW_MS, 'slow disk', () => done(error))),
      ),
    ),
  },
  {
    name: 'a CONNACK that waits for somebody',
    found: /for the CONNACK of/,
    plant: otherPorts((ports) => ({
      ...ports,
      authenticator: {
        authenticate: (_request, done) => void ports.clock.after(SLOW_MS, 'slow', () => done('allowed')),
      },
    })),
  },
]
