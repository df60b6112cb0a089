// Topic names: what a PUBLISH or a will may carry (MQTT 4.7).

import { ProtocolError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { Reason } from '../base/reasons.ts'

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23

/** The text itself when it is a topic name of at most `maxLevels` levels. */
export function parseTopicName(text: string, maxLevels: number): string | ProtocolError {
  // [MQTT-4.7.3-1] At least one character.
  if (text.length === 0) return invalid('a topic name is empty')
  let levels = 1
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code > SLASH) continue
    if (code === SLASH) levels++
    // [MQTT-3.3.2-2] [MQTT-4.7.3-2]
    else if (code === PLUS || code === HASH) return invalid('a topic name has a wildcard')
    else if (code === 0) return invalid('a topic name has a null character')
  }
  if (levels > maxLevels) return invalid(`a topic name has ${levels} levels, more than ${maxLevels}`)
  if (tooLong(text)) return invalid('a topic name is longer than 65,535 bytes')
  return text
}

/** [MQTT-4.7.3-3] Never true of what arrived as an MQTT string; texts from elsewhere come through here too. */
export function tooLong(text: string): boolean {
  return text.length * 3 > limits.mqttStringBytes && Buffer.byteLength(text) > limits.mqttStringBytes
}

const invalid = (message: string) => new ProtocolError(Reason.topicNameInvalid, message)
