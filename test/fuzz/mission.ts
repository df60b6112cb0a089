// One client with its bytes good and bad, and what must come back: a run of steps that some driver plays to a broker,
// in memory or over a socket.

import type { Dice } from '../sim/random.ts'
import { answerKey, type Expected, type Limits, Oracle, type Version } from './oracle.ts'
import { connect, request, spoilt } from './packets.ts'

/** What to do next. After `send` the driver waits for the answers expected, or the close. */
export type Step =
  | { readonly do: 'connect' }
  | { readonly do: 'send'; readonly bytes: Buffer; readonly settled: (reply: Buffer, closed: boolean) => boolean }
  | { readonly do: 'drop' }

export interface Reply {
  readonly bytes: Buffer
  readonly closed: boolean
}

export interface Finding {
  readonly problem: string
  /** All that was sent on the connection, the last step apart. */
  readonly sent: string
  readonly step: string
  readonly reply: string
}

export interface Outcome {
  packets: number
  readonly findings: Finding[]
  readonly retained: Set<string>
  /** Some client's messages were not followed. */
  unfollowed: boolean
}

const PING = Buffer.from([0xc0, 0])

export function* mission(dice: Dice, name: string, limits: Limits, outcome: Outcome): Generator<Step, void, Reply> {
  const oracle = new Oracle(limits)
  const version = dice.pick([4, 5] as const)
  for (let connection = dice.whole(1, 2); connection > 0 && outcome.findings.length === 0; connection--) {
    yield { do: 'connect' }
    oracle.reconnect()
    yield* oneConnection(dice, name, version, oracle, outcome)
    yield { do: 'drop' }
  }
  for (const topic of oracle.retained) outcome.retained.add(topic)
  if (oracle.unfollowed) outcome.unfollowed = true
}

function* oneConnection(
  dice: Dice,
  name: string,
  version: 4 | 5,
  oracle: Oracle,
  outcome: Outcome,
): Generator<Step, void, Reply> {
  const history: Buffer[] = []
  const spoil = dice.pick([0, 0.05, 0.3, 0.8])
  const maybeSpoilt = (bytes: Buffer) => (dice.chance(spoil) ? spoilt(dice, bytes, request(dice, version)) : bytes)
  const hello = connect(dice, version, name, dice.chance(0.7))
  let first = true
  for (let steps = dice.whole(1, 12); steps > 0; steps--) {
    const parts: Buffer[] = []
    if (first) parts.push(dice.chance(0.25) ? maybeSpoilt(hello) : hello)
    const count = first ? dice.whole(0, 2) : dice.whole(1, 6)
    for (let index = 0; index < count; index++) parts.push(maybeSpoilt(request(dice, version)))
    outcome.packets += parts.length
    first = false
    const bytes = Buffer.concat([...parts, PING])
    const expected = oracle.feed(bytes)
    const reply = yield { do: 'send', bytes, settled: (got, closed) => isSettled(expected, oracle, got, closed) }
    const problem = judge(expected, oracle, reply)
    if (problem !== null) {
      const sent = Buffer.concat(history).toString('hex')
      outcome.findings.push({ problem, sent, step: bytes.toString('hex'), reply: reply.bytes.toString('hex') })
      return
    }
    history.push(bytes)
    // After what nobody can foretell, or half a packet, there is nothing more to be learnt here.
    if (reply.closed || expected.unsure || expected.closes !== 'no' || oracle.pending > 0) return
  }
}

/** Packets of the reply; null when it ends within one, or is none. */
function split(bytes: Buffer): Buffer[] | null {
  const packets: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    let length = 0
    let index = at + 1
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[index++]
      if (byte === undefined || shift > 21) return null
      length += (byte & 127) << shift
      if (byte < 128) break
    }
    if (index + length > bytes.length) return null
    packets.push(bytes.subarray(at, index + length))
    at = index + length
  }
  return packets
}

const keys = (packets: readonly Buffer[], version: Version): string[] =>
  packets.map((packet) => answerKey(packet, version)).filter((key) => key !== null)

/** Whether nothing more is to be waited for. */
function isSettled(expected: Expected, oracle: Oracle, reply: Buffer, closed: boolean): boolean {
  if (closed) return true
  if (expected.closes !== 'no') return false
  const packets = split(reply)
  if (packets === null) return false
  const got = keys(packets, oracle.version)
  if (expected.unsure) return !expected.answers.includes('13/0') || got.includes('13/0')
  return missing(expected.answers, got).length === 0
}

function judge(expected: Expected, oracle: Oracle, { bytes, closed }: Reply): string | null {
  const packets = split(bytes)
  if (packets === null) return 'the broker sent something that is not whole packets'
  const { version } = oracle
  for (const packet of packets) {
    if (packet.length > oracle.maximumPacketSize) return 'a packet larger than the client takes'
    const said = note(oracle, packet)
    if (said !== null) return said
  }
  const got = keys(packets, version)
  if (expected.unsure) {
    const answered = !expected.answers.includes('13/0') || got.includes('13/0')
    return closed || answered ? null : 'neither answered nor closed'
  }
  const last = packets.at(-1)
  switch (expected.closes) {
    case 'no':
      if (closed) return `closed, for no reason that the standard has${last?.[0] === 0xe0 ? ` (${last[2]})` : ''}`
      break
    case 'refused':
      if (!closed) return `not closed: ${expected.why}`
      if (packets.length > 1 || (got.length > 0 && got[0] !== '2/no')) return 'more than a refusal'
      return null
    case 'closed':
      if (!closed) return `not closed: ${expected.why}`
      if (version === 5 && last?.[0] !== 0xe0) return 'closed without DISCONNECT'
      if (version === 5 && last![2]! < 0x80) return `DISCONNECT with reason ${last![2]}`
      break
    case 'said-goodbye':
      if (!closed) return `not closed: ${expected.why}`
      if (last?.[0] === 0xe0) return 'DISCONNECT after a good DISCONNECT'
  }
  // QoS 2 PUBRELs of the session come unasked after CONNACK.
  const extra = missing(got, expected.answers).filter((key) => !(key.startsWith('6/') && got.includes('2/0')))
  if (extra.length > 0) return `not asked for: ${extra.join(' ')}`
  if (expected.closes !== 'no' && oracle.limits.answersLater) return null
  const lacking = missing(expected.answers, got)
  return lacking.length === 0 ? null : `not answered: ${lacking.join(' ')}`
}

/** Tells the oracle what came; says what the broker must never send. */
function note(oracle: Oracle, packet: Buffer): string | null {
  const type = packet[0]! >> 4
  let at = 1
  while (packet[at]! >= 128) at++
  at++
  if (type === 2) {
    oracle.sessionPresent(packet[at] === 1)
  } else if (type === 3) {
    const qos = (packet[0]! >> 1) & 3
    const id = at + 2 + packet.readUInt16BE(at)
    if (qos === 3 || (qos === 0 && (packet[0]! & 8) !== 0)) return 'a PUBLISH with wrong flags'
    if (qos > 0 && packet.readUInt16BE(id) === 0) return 'a PUBLISH with id 0'
    oracle.received(3, qos > 0 ? packet.readUInt16BE(id) : 0, qos)
  } else if (type === 6) {
    oracle.received(6, packet.readUInt16BE(at), 0)
  } else if (type === 14 && oracle.version !== 5) {
    return 'a DISCONNECT before MQTT 5'
  }
  return null
}

/** Those of `wanted` that are not in `got`, each as often as it stands there. */
function missing(wanted: readonly string[], got: readonly string[]): string[] {
  const left = [...got]
  return wanted.filter((key) => {
    const at = left.indexOf(key)
    if (at < 0) return true
    left.splice(at, 1)
    return false
  })
}
