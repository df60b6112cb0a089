// What a client has sent and nobody has answered yet, by packet id. Publishes belong to its session: what is left of
// them is sent again over the next connection (MQTT 4.4). Requests end with theirs.

import type { Connection, Sent, Subscription } from './ledger.ts'
import { writePublish } from './publish.ts'

export interface Publishing {
  readonly sent: Sent
  /** PUBREC has come: only the PUBREL is sent again. */
  released: boolean
}

export class Unanswered {
  readonly publishing = new Map<number, Publishing>()
  readonly subscribing = new Map<number, Subscription[]>()
  readonly unsubscribing = new Map<number, Subscription[]>()
  #nextPacketId = 1

  packetId(): number {
    do {
      this.#nextPacketId = this.#nextPacketId >= 65_535 ? 1 : this.#nextPacketId + 1
    } while (
      this.publishing.has(this.#nextPacketId) ||
      this.subscribing.has(this.#nextPacketId) ||
      this.unsubscribing.has(this.#nextPacketId)
    )
    return this.#nextPacketId
  }

  connectionEnded(): void {
    this.subscribing.clear()
    this.unsubscribing.clear()
  }

  sessionEnded(): void {
    this.publishing.clear()
  }

  /** What the next connection of the session says first, in the order in which it was said before. */
  *again(
    connection: Connection,
    at: number,
  ): IterableIterator<{ readonly packetId: number; readonly publish: Buffer | null }> {
    for (const [packetId, { sent, released }] of this.publishing) {
      sent.times++
      sent.again = { connection, at, whole: released ? sent.again.whole : connection }
      if (released) {
        yield { packetId, publish: null }
        continue
      }
      const { topic, qos, retain, payload, properties, expirySec } = sent
      const fields = { topic, qos, dup: true, retain, packetId, payload, properties, expirySec }
      yield {
        packetId,
        publish: writePublish(connection.version, { ...fields, topicAlias: null, subscriptionIds: [] }),
      }
    }
  }
}
