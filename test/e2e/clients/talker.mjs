// A client that speaks bytes, for stories of clients that are too much for a box; the box is the third argument of whoever
// imports this.

import { readFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import mqttPacket from 'mqtt-packet'

const host = process.argv[3]
export const v5 = { protocolVersion: 5 }

export class Client {
  constructor(id, options = {}) {
    this.id = id
    const { protocolVersion = 5, ...others } = options
    this.form = { protocolVersion }
    this.options = others
    this.closed = false
    this.publishes = 0
    this.lastPayload = null
    this.acknowledges = true
    this.waiting = []
    this.socket = dial({ host, port: 1883, noDelay: true })
    this.ended = new Promise((resolve) => this.socket.once('close', resolve)).then(() => {
      this.closed = true
      for (const { resolve } of this.waiting.splice(0)) resolve(null)
    })
    this.socket.on('error', () => {})
    const parser = mqttPacket.parser(this.form)
    parser.on('packet', (packet) => this.packet(packet))
    this.socket.on('data', (bytes) => parser.parse(bytes))
  }

  packet(packet) {
    if (packet.cmd === 'publish') {
      this.publishes++
      this.lastPayload = packet.payload
      this.onPublish?.(packet)
      if (packet.qos === 1 && this.acknowledges) this.send({ cmd: 'puback', messageId: packet.messageId })
      return
    }
    if (packet.cmd === 'puback' && this.onAcknowledged !== undefined) return this.onAcknowledged(packet)
    const at = this.waiting.findIndex(({ cmd }) => cmd === packet.cmd)
    if (at >= 0) this.waiting.splice(at, 1)[0].resolve(packet)
  }

  send(packet) {
    return this.socket.write(mqttPacket.generate(packet, this.form))
  }

  /** The next packet of a kind; null when the connection ends instead. */
  next(cmd) {
    return this.closed ? Promise.resolve(null) : new Promise((resolve) => this.waiting.push({ cmd, resolve }))
  }

  connect() {
    const answer = this.next('connack')
    this.send({
      ...{ cmd: 'connect', protocolId: 'MQTT', ...this.form, clientId: this.id, clean: true, keepalive: 0 },
      ...this.options,
    })
    return answer
  }

  async subscribe(topic, qos) {
    const answer = this.next('suback')
    this.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] })
    return answer
  }
}

export async function connected(id, options) {
  const client = new Client(id, options)
  const connack = await client.connect()
  if ((connack?.reasonCode ?? connack?.returnCode) !== 0)
    throw new Error(`${id} is refused: ${JSON.stringify(connack)}`)
  return client
}

/** The thread of the box that serves clients, where the story is told it (BOX_PID), and this one. */
const threads = [process.env.BOX_PID, process.pid].filter(Boolean).map((pid) => `/proc/${pid}/task/${pid}/schedstat`)

/** Milliseconds in which box and client had something to do and the machine had no core for them. */
function corelessMs() {
  let ns = 0
  for (const thread of threads) ns += Number(readFileSync(thread, 'utf8').split(' ')[1])
  return ns / 1e6
}

/**
 * How long a well-behaved client waits for answers, all the while; `end` gives the longest, without the time that others
 * on this machine had its cores.
 */
export function neighbour(client) {
  let longest = 0
  let asked = 0
  let on = true
  const done = (async () => {
    while (on) {
      const at = performance.now() - corelessMs()
      client.send({ cmd: 'pingreq' })
      await client.next('pingresp')
      longest = Math.max(longest, performance.now() - corelessMs() - at)
      asked++
      await pause(10)
    }
  })()
  return {
    async end() {
      on = false
      await done
      return { asked, longestMs: Math.round(longest), closed: client.closed }
    },
  }
}

/**
 * Publishes with QoS 1, `window` under way; `next` gives the payload, or null for no more. Counts reasons; `answered` is
 * told each, in order.
 */
export function publish(client, topic, window, next, answered = () => {}) {
  const reasons = {}
  let open = 0
  let id = 0
  return new Promise((resolve) => {
    const more = () => {
      for (let payload; open < window && (payload = next(reasons)) !== null; open++) {
        id = (id % 60_000) + 1
        client.send({ cmd: 'publish', topic, payload, qos: 1, messageId: id })
      }
      if (open === 0) resolve(reasons)
    }
    client.onAcknowledged = ({ reasonCode = 0 }) => {
      open--
      answered(reasonCode)
      reasons[reasonCode] = (reasons[reasonCode] ?? 0) + 1
      more()
    }
    more()
  })
}
