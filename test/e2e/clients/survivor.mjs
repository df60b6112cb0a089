// Clients that outlive their broker: a publisher of QoS 1 and 2 and two persistent subscribers, of which one comes and
// goes. They connect again whenever the connection breaks and keep their side of every exchange, as the standard asks.
// The publisher may be told another box than the subscribers. Told to finish by a line on standard input, they wait until everything acknowledged has come, and print what they saw.

import { connect } from 'node:net'
import mqttPacket from 'mqtt-packet'

const [host, port] = [process.argv[2], Number(process.argv[3])]
const publishersHost = process.argv[4] ?? host
const WINDOW = 20
const FINISH_MS = 30_000

/** One client with a session that goes on over connections. */
class Client {
  constructor(id, at = host) {
    this.id = id
    this.host = at
    this.socket = null
    this.connected = false
    this.wasPresent = 0
    this.lost = 0
    this.established = false
  }

  open() {
    const socket = connect(port, this.host)
    this.socket = socket
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    parser.on('packet', (packet) => this.socket === socket && this.packet(packet))
    socket.on('data', (bytes) => parser.parse(bytes))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.connected = false
      if (this.socket === socket) setTimeout(() => this.open(), 20)
    })
    socket.on('connect', () => {
      socket.setNoDelay(true)
      this.send({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clean: false,
        clientId: this.id,
        keepalive: 0,
      })
    })
  }

  send(packet) {
    if (!this.socket.destroyed) this.socket.write(mqttPacket.generate(packet))
  }

  packet(packet) {
    if (packet.cmd !== 'connack') return this.heard(packet)
    this.connected = true
    if (this.established && !packet.sessionPresent) this.lost++
    this.resume()
  }
}

class Publisher extends Client {
  count = 0
  acknowledged = []
  /** By packet id, in the order of sending. */
  under = new Map()
  stopped = false

  resume() {
    for (const [messageId, one] of this.under) {
      if (one.released) this.send({ cmd: 'pubrel', messageId })
      else this.publish(messageId, one, true)
    }
    this.more()
  }

  more() {
    while (this.connected && !this.stopped && this.under.size < WINDOW) {
      const n = ++this.count
      const one = { n, qos: 1 + (n % 2), released: false }
      const messageId = (n % 60_000) + 1
      this.under.set(messageId, one)
      this.publish(messageId, one, false)
    }
  }

  publish(messageId, { n, qos }, dup) {
    const payload = JSON.stringify({ n, fill: 'x'.repeat(100) })
    this.send({ cmd: 'publish', topic: `load/${qos}`, payload, qos, dup, retain: false, messageId })
  }

  heard({ cmd, messageId }) {
    this.established = true
    const one = this.under.get(messageId)
    if (cmd === 'pubrec') {
      if (one !== undefined) one.released = true
      return this.send({ cmd: 'pubrel', messageId })
    }
    if (one === undefined) return
    this.under.delete(messageId)
    this.acknowledged.push(one.n)
    setTimeout(() => this.more(), 2)
  }
}

class Subscriber extends Client {
  got = { 1: [], 2: [] }
  begun = new Set()
  subscribed = false

  resume() {
    if (!this.subscribed) {
      this.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'load/#', qos: 2 }] })
    }
  }

  heard(packet) {
    const { cmd, messageId } = packet
    if (cmd === 'suback') {
      this.subscribed = true
      this.established = true
    } else if (cmd === 'pubrel') {
      this.begun.delete(messageId)
      this.send({ cmd: 'pubcomp', messageId })
    } else if (cmd === 'publish') {
      const { n } = JSON.parse(packet.payload.toString())
      if (packet.qos === 1) {
        this.got[1].push(n)
        this.send({ cmd: 'puback', messageId })
      } else {
        if (!this.begun.has(messageId)) this.got[2].push(n)
        this.begun.add(messageId)
        this.send({ cmd: 'pubrec', messageId })
      }
    }
  }
}

const publisher = new Publisher('publisher', publishersHost)
const subscribers = [new Subscriber('stays'), new Subscriber('comes and goes')]
for (const subscriber of subscribers) subscriber.open()

const begun = setInterval(() => {
  if (!subscribers.every(({ subscribed }) => subscribed)) return
  clearInterval(begun)
  publisher.open()
}, 20)

const restless = setInterval(() => subscribers[1].socket.destroy(), 170)

process.stdin.once('data', () => {
  publisher.stopped = true
  clearInterval(restless)
  const until = Date.now() + FINISH_MS
  const done = setInterval(() => {
    const report = judge()
    if ((publisher.under.size > 0 || report.missing.length > 0) && Date.now() < until) return
    clearInterval(done)
    process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
  }, 100)
})

/** What was acknowledged and is missing, what came twice that must not, what came out of order. */
function judge() {
  const report = {
    acknowledged: publisher.acknowledged.length,
    received: 0,
    missing: [],
    twice: [],
    disorder: [],
    lost: [],
  }
  report.unanswered = publisher.under.size
  for (const client of [publisher, ...subscribers]) if (client.lost > 0) report.lost.push(client.id)
  for (const { id, got } of subscribers) {
    const seen = new Set([...got[1], ...got[2]])
    report.received += seen.size
    for (const n of publisher.acknowledged) if (!seen.has(n)) report.missing.push(`${id}: ${n}`)
    for (const n of got[2]) if (got[2].indexOf(n) !== got[2].lastIndexOf(n)) report.twice.push(`${id}: ${n}`)
    for (const qos of [1, 2]) {
      const first = [...new Set(got[qos])]
      for (let index = 1; index < first.length; index++) {
        if (first[index] < first[index - 1]) report.disorder.push(`${id}: ${first[index]} after ${first[index - 1]}`)
      }
    }
  }
  for (const list of ['missing', 'twice', 'disorder']) report[list] = report[list].slice(0, 10)
  return report
}
