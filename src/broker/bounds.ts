// Bounds of the broker that are not configuration, with the sums that must hold between them.

import { assert } from '../base/errors.ts'
import { KiB, MiB } from '../base/limits.ts'

export const bounds = {
  /** Output of one connection over which nothing more is delivered to it: QoS 0 is dropped, QoS 1 and 2 stay queued. */
  outputBytes: 4 * MiB,
  /** The same while memory is short. */
  tightOutputBytes: 256 * KiB,
  /** Output over which the connection is not read either: only its own acknowledgements can have grown so far. */
  outputPauseBytes: 12 * MiB,
  /** The longest packet that goes as part of a run of packets copied as one piece. */
  runPacketBytes: 64 * KiB,
  /** The largest packet taken before CONNECT was accepted: nobody unknown makes us buffer megabytes. */
  connectPacketBytes: 256 * KiB,
  /** Connections over the limits that are taken on to be told so; those beyond are closed without a word. */
  surplusConnections: 64,
  /** Milliseconds after which a CONNECT is answered, whatever it waits for: 3 s are promised. */
  connackMs: 2500,
  /** Ends of sessions that are not yet safe. */
  endingsRemembered: 10_000,
  /** Milliseconds that a closed connection has to take its last bytes. */
  lingerMs: 5000,
  /** Topics whose receivers are remembered, in each of the cache's two halves. */
  receiversCached: 1 << 17,
  /** Bytes that a queued message costs beyond its own: what the queue's byte bound counts. */
  queuedOverheadBytes: 128,
  /** A client that was connected when this box died has so long to come back before its will goes out, or its share of a
   * group's messages to another. */
  willHeldMs: 30_000,
  /** Retained messages matched or sent to one session before others get their turn. */
  retainedPerTurn: 512,
  /** Deadlines that may come due in one turn: an end of a session takes its subscriptions with it. */
  deadlinesPerTurn: 256,
  /** Words in the log that clients can provoke: how many together, and the pause between them after that. */
  wordsAtOnce: 10,
  wordMs: 6000,
  /** Topics for which a client that has access rules keeps the answer, for each direction. */
  decisionsRemembered: 256,
} as const

assert(
  bounds.outputBytes + 4 * MiB < bounds.outputPauseBytes,
  'a delivery that passes the first bound by one packet must not stop the reading of a connection',
)
