// What a client's acknowledgements do: PUBACK, PUBREC and PUBCOMP for what it was sent, PUBREL for what it sends.

import { ProtocolError } from '../base/errors.ts'
import { Reason } from '../base/reasons.ts'
import { AckView } from '../wire/mqtt/acks.ts'
import type { Connected } from './connected.ts'
import type { ConnectionHome } from './home.ts'

/** The acknowledgement in hand; one for all, because handling one is never interrupted. */
const ack = new AckView()

/** An error closes the connection. */
export function acknowledged(
  client: Connected,
  { tally, safety }: Pick<ConnectionHome, 'tally' | 'safety'>,
  buffer: Buffer,
  packetStart: number,
  bodyStart: number,
  end: number,
): ProtocolError | null {
  const error = ack.read(buffer, packetStart, bodyStart, end, client.version)
  if (error !== null) return error
  const { session, sender } = client
  const { kind, packetId, reason } = ack
  if (kind === 'pubrel') {
    client.publishing().release(packetId)
    return null
  }
  const became =
    kind === 'puback'
      ? session.puback(packetId)
      : kind === 'pubrec'
        ? session.pubrec(packetId, reason)
        : session.pubcomp(packetId)
  if (became === 'out-of-turn') {
    return new ProtocolError(Reason.protocolError, `a ${kind} that is not what its message waits for`)
  }
  if (became === 'unknown') tally.count(`mqtt.unknown.${kind}`)
  if (kind === 'pubrec' && reason < Reason.unspecifiedError) {
    // [MQTT-4.3.3-4]
    const reply = became === 'unknown' ? Reason.packetIdentifierNotFound : Reason.success
    safety.ack(sender, 'pubrel', packetId, reply, session.inflight.find(packetId)?.safeAt ?? 0)
  }
  return null
}
