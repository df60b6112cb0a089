// Values for the tests of the broker's parts.

import { HostError } from '../../../src/base/errors.ts'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import type { StateFiles } from '../../../src/base/ports/files.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { StampClock } from '../../../src/base/stamps.ts'
import { Accounts } from '../../../src/broker/accounts.ts'
import { Delivery, NO_IDS } from '../../../src/broker/delivery.ts'
import { LwwReplica } from '../../../src/cluster/maps/lwwreplica.ts'
import { EMPTY, type Message, type QoS } from '../../../src/wire/message.ts'
import { Mesh, nodeIdOf } from '../../mesh.ts'

export function message(payload: string, changes: Partial<Message> = {}): Message {
  return {
    origin: { node: '00000000000000aa' as NodeId, incarnation: 1 },
    counter: 1,
    topic: 't',
    qos: 1,
    retain: false,
    payload: Buffer.from(payload),
    properties: EMPTY,
    expiresAt: Number.POSITIVE_INFINITY,
    publisher: 'p' as ClientId,
    stamp: null,
    ...changes,
  }
}

export const delivery = (payload: string, qos: QoS = 1): Delivery =>
  new Delivery(message(payload, { qos }), qos, false, NO_IDS)

/** A state directory in memory; `full`: nothing more can be written. */
export class FilesInMemory implements StateFiles {
  readonly files = new Map<string, Buffer>()
  full = false
  read(name: string): Buffer | null {
    return this.files.get(name) ?? null
  }
  write(name: string, bytes: Buffer, _secret: boolean, done: (error: HostError | null) => void): void {
    if (this.full) return done(new HostError('failed', `${name}: no space left`))
    this.files.set(name, Buffer.from(bytes))
    done(null)
  }
}

let wallMs = 1_700_000_000_000

/** On a box that shares them with nobody. */
export function accountsInMemory(files: StateFiles = new FilesInMemory(), wall = () => ++wallMs): Accounts {
  const world = { ...new Mesh().start(nodeIdOf(0xaa)).world, meter: new Meter() }
  const stamps = new StampClock(nodeIdOf(0xaa), wall)
  return new Accounts(files, silentLog, (bounds, table) => new LwwReplica(bounds, world, stamps, table))
}
