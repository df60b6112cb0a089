// What is decided of a CONNECT whose client has proven who it is, before the rest of the cluster is asked about it.

import type { ClientId } from '../base/ids.ts'
import { Reason } from '../base/reasons.ts'
import type { ConnectPacket } from '../wire/mqtt/packets.ts'
import { Access } from './authorize.ts'
import { NO_ROOM, type Refusal, type Terms, takesConnack, termsFor } from './connect.ts'
import type { ConnectionHome } from './home.ts'
import type { Claim } from './ports.ts'

export interface Admission {
  readonly terms: Terms
  readonly access: Access
  readonly claim: Claim
}

/** `proof` is our last word in an enhanced authentication. */
export function admission(
  home: ConnectionHome,
  listener: string,
  packet: ConnectPacket,
  account: string | null,
  proof?: Buffer,
): Admission | Refusal {
  const terms = termsFor(packet, home.settings, home.madeUpClientId, proof)
  if (!takesConnack(terms, packet)) return NO_ROOM
  const { clientId, expirySec } = terms
  const access = new Access(account, clientId, home.rules, listener)
  if (packet.will !== null && !access.mayPublish(packet.will.topic)) {
    return { refused: Reason.notAuthorized, why: 'will topic not allowed' }
  }
  return { terms, access, claim: { clientId, account, cleanStart: packet.cleanStart, lasting: expirySec > 0 } }
}

/** Clients that have a session here may always come back. */
export const noMemory = ({ memory, sessions }: ConnectionHome, { clientId }: ConnectPacket): Refusal | null =>
  memory.tight && sessions.get(clientId as ClientId) === undefined
    ? { refused: Reason.serverBusy, why: 'memory is short' }
    : null

export const ON_ITS_WAY: Refusal = { refused: Reason.serverBusy, why: 'its session is on its way from another box' }
