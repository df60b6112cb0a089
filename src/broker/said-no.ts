// What we say no to, in the log: clients come again, so the words are bounded.

import type { Endpoint } from '../base/ports/streams.ts'
import type { PacketTooLarge } from '../wire/mqtt/framing.ts'
import type { Refusal } from './connect.ts'
import type { ConnectionHome } from './home.ts'

/** A packet over the limit: whose it was and what it was about. */
export function tellTooLarge(
  { tally, tooLarge, log }: ConnectionHome,
  { announced, topic }: PacketTooLarge,
  client: string | null,
  { address }: Endpoint,
): void {
  tally.count('mqtt.refused.packet-too-large')
  const unsaid = tooLarge.now()
  if (unsaid !== null) log.warn({ client, address, bytes: announced, topic, unsaid }, 'packet too large')
}

/** A client that may not connect. */
export function tellRefused(
  { tally, refused, log }: ConnectionHome,
  { refused: reason, why }: Refusal,
  listener: string,
  { address }: Endpoint,
): void {
  tally.count(`mqtt.refused.${reason.toString(16)}`)
  const unsaid = refused.now()
  if (unsaid !== null) log.info({ address, listener, why, unsaid }, 'client refused')
}
