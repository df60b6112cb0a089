// Bounds that are not configuration, with the sums that must hold between them (STYLE 5).

import { assert } from './errors.ts'

export const KiB = 1024
export const MiB = 1024 * KiB

export const limits = {
  /** Bytes of the longest MQTT string; a topic or filter is one (MQTT 1.5.4). */
  mqttStringBytes: 65_535,
  /** Levels of the deepest topic or filter that may be configured: the trie is walked by recursion. */
  topicLevels: 1000,
  /** Bytes of a piece of a large transfer on a link (CLUSTER 1). */
  pieceBytes: 16 * KiB,
  /** Bytes of the longest frame on a link: the largest MQTT packet is sent in pieces, so a frame stays small. */
  frameBytes: 64 * KiB,
  /** Bytes of the longest message on a channel once its pieces are joined. */
  channelMessageBytes: 272 * MiB,
  /** Bytes that a channel may have in flight to one peer before it waits for credit. */
  channelWindowBytes: MiB,
  /** Entries of the table of candidates (CLUSTER 1). */
  candidates: 512,
  /** Members that one node knows, dead ones included. */
  members: 256,
  /** Entries that one node may have in one replicated map. */
  partEntries: 2_000_000,
  /** Rows kept of refused peers for `status`. */
  refusals: 64,
} as const

assert(limits.pieceBytes + 64 <= limits.frameBytes, 'a piece with its header must fit a frame')
assert(limits.frameBytes <= limits.channelWindowBytes, 'a frame must fit the window of a channel')
