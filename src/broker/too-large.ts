// A packet over the limit, in the log: whose it was and what it was about.

import type { Endpoint } from '../base/ports/streams.ts'
import type { PacketTooLarge } from '../wire/mqtt/framing.ts'
import type { ConnectionHome } from './home.ts'

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
