// What stands under $SYS/broker, by mosquitto's names. What mosquitto means by a name and we cannot say is left out.

import type { Fact, LoadCounts } from './sys.ts'
import type { Tally } from './tally.ts'

/** What the broker holds now. */
export interface Holdings {
  readonly clients: number
  readonly sessions: number
  readonly subscriptions: number
  readonly sharedSubscriptions: number
  readonly retained: number
  /** Messages that wait for a client or its acknowledgement; one that waits for two counts twice. */
  readonly waiting: number
  readonly waitingBytes: number
}

export function brokerFacts(tally: Tally, holdings: Holdings): Fact[] {
  const { clients, sessions, retained, waiting } = holdings
  const facts: [string, number][] = [
    ['clients/connected', clients],
    ['clients/disconnected', sessions - clients],
    ['clients/total', sessions],
    ['clients/maximum', tally.clientsMaximum],
    ['clients/expired', tally.expired],
    ['subscriptions/count', holdings.subscriptions],
    ['shared_subscriptions/count', holdings.sharedSubscriptions],
    ['retained messages/count', retained],
    ['messages/stored', retained + waiting],
    ['store/messages/count', retained + waiting],
    ['store/messages/bytes', holdings.waitingBytes],
    ['messages/received', tally.packetsIn],
    ['messages/sent', packetsOut(tally)],
    ['publish/messages/received', tally.messagesIn],
    ['publish/messages/sent', tally.messagesOut],
    ['publish/messages/dropped', tally.dropped],
    ['bytes/received', tally.bytesIn],
    ['bytes/sent', tally.bytesOut()],
  ]
  return facts.map(([name, count]) => [`$SYS/broker/${name}`, String(count)])
}

export const loadCounts = (tally: Tally): LoadCounts => ({
  'messages/received': tally.packetsIn,
  'messages/sent': packetsOut(tally),
  'publish/received': tally.messagesIn,
  'publish/sent': tally.messagesOut,
  'publish/dropped': tally.dropped,
  'bytes/received': tally.bytesIn,
  'bytes/sent': tally.bytesOut(),
  sockets: tally.sockets,
  connections: tally.connects,
})

/** PUBLISH and everything else. */
const packetsOut = (tally: Tally): number => tally.messagesOut + tally.answersOut
