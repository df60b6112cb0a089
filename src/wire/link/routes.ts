// The value of a route in a node's part: the key is the topic filter, without `$share/group/`.
//
//   flags u8: bit 0 durable (some persistent session wants it), bits 1-7 zero, ignored when read
//   ... bytes that a later version adds are ignored

import { PeerError } from '../../base/errors.ts'
import { parseTopicFilter } from '../../topic/filter.ts'

const DURABLE = 1
const PLAIN_BYTES = Buffer.from([0])
const DURABLE_BYTES = Buffer.from([DURABLE])

/** Bytes of the longest value that is accepted. */
export const ROUTE_BYTES_MAX = 64

export interface Route {
  readonly durable: boolean
}

export const encodeRoute = (route: Route): Buffer => (route.durable ? DURABLE_BYTES : PLAIN_BYTES)

export function decodeRoute(value: Buffer): Route {
  if (value.length === 0) throw new PeerError('route without flags')
  return { durable: (value[0]! & DURABLE) !== 0 }
}

/** Levels of the deepest filter that is announced: a walk through a trie as deep as a filter can be long would not end well. */
export const ROUTE_LEVELS_MAX = 1000

/** Whether a filter can be a route. What a client may subscribe to can be, unless it is absurdly deep. */
export const isForwardable = (filter: string): boolean => {
  const parsed = parseTopicFilter(filter, ROUTE_LEVELS_MAX)
  return !(parsed instanceof Error) && parsed.share === null
}

/** Throws PeerError unless a member may announce this route. */
export function checkRoute(filter: string, value: Buffer): void {
  decodeRoute(value)
  if (!isForwardable(filter)) throw new PeerError('route with an invalid filter')
  if (isNodeLocal(filter)) throw new PeerError('route for $SYS, which stays on its node')
}

/** `$SYS` tells of one node and is never forwarded; neither are wishes for it. */
export const isNodeLocal = (topicOrFilter: string): boolean =>
  topicOrFilter.charCodeAt(0) === 0x24 && (topicOrFilter === '$SYS' || topicOrFilter.startsWith('$SYS/'))
