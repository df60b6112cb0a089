// Topic filters: what a SUBSCRIBE may carry (MQTT 4.7, and 4.8.2 for `$share/group/filter`).

import { ProtocolError } from '../base/errors.ts'
import { Reason } from '../base/reasons.ts'
import { tooLong } from './name.ts'

export interface TopicFilter {
  /** The filter that topics are matched against: without `$share/group/`. */
  readonly filter: string
  /** The share name; null: not a shared subscription. */
  readonly share: string | null
  /** As subscribed. */
  readonly text: string
  /** Whether `filter` has a wildcard; without one it matches just the topic of that name. */
  readonly wildcard: boolean
}

const SHARE = '$share/'
const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23

/** A valid filter of at most `maxLevels` levels, those of `$share/group/` not counted. */
export function parseTopicFilter(text: string, maxLevels: number): TopicFilter | ProtocolError {
  if (tooLong(text)) return invalid('a topic filter is longer than 65,535 bytes')
  let share: string | null = null
  let start = 0
  if (text.startsWith(SHARE)) {
    // [MQTT-4.8.2-1] [MQTT-4.8.2-2] A name of at least one character without wildcards, then `/` and a filter.
    const slash = text.indexOf('/', SHARE.length)
    if (slash < 0) return invalid('a shared subscription has no topic filter')
    share = text.slice(SHARE.length, slash)
    if (share.length === 0 || /[+#\0]/.test(share)) return invalid('a shared subscription has no valid share name')
    start = slash + 1
  }
  // [MQTT-4.7.3-1] At least one character.
  if (text.length === start) return invalid('a topic filter is empty')
  let levels = 1
  let wildcard = false
  for (let index = start; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code > SLASH) continue
    if (code === SLASH) {
      levels++
    } else if (code === PLUS || code === HASH) {
      // [MQTT-4.7.1-1] `#` fills the last level. [MQTT-4.7.1-2] `+` fills a whole level.
      const fills =
        (index === start || text.charCodeAt(index - 1) === SLASH) &&
        (index === text.length - 1 || (code === PLUS && text.charCodeAt(index + 1) === SLASH))
      if (!fills) return invalid('a wildcard does not fill its level, or # is not last')
      wildcard = true
    } else if (code === 0) {
      return invalid('a topic filter has a null character')
    }
  }
  if (levels > maxLevels) return invalid(`a topic filter has ${levels} levels, more than ${maxLevels}`)
  return { filter: start === 0 ? text : text.slice(start), share, text, wildcard }
}

const invalid = (message: string) => new ProtocolError(Reason.topicFilterInvalid, message)
