// Fills the queue of a client that is away at one box, and connects it at another; prints one line of JSON: what came, how
// long it took, and how long a neighbour at each box waited for its answers meanwhile.
//   node heavy.mjs HOST OTHER MESSAGES BYTES

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import mqttPacket from 'mqtt-packet'

const [host, other, ...numbers] = process.argv.slice(2)
const [messages, bytes] = numbers.map(Number)
const WINDOW = 50
const form = { protocolVersion: 5 }

class Client {
  constructor(at, id, onPacket) {
    this.socket = connect({ port: 1883, host: at, noDelay: true })
    const parser = mqttPacket.parser(form)
    this.ready = new Promise((resolve) => {
      parser.on('packet', (packet) => (packet.cmd === 'connack' ? resolve(packet) : onPacket(packet, this)))
    })
    this.socket.on('data', (chunk) => parser.parse(chunk))
    this.socket.on('error', () => {})
    const properties = { sessionExpiryInterval: 3600 }
    this.send({ cmd: 'connect', protocolId: 'MQTT', ...form, clientId: id, clean: false, keepalive: 0, properties })
  }

  send(packet) {
    this.socket.write(mqttPacket.generate(packet, form))
  }
}

/** The thread of each box that serves clients, and this one: time without a core says nothing of the boxes. */
const threads = [...process.env.PIDS.split(','), process.pid].map((pid) => `/proc/${pid}/task/${pid}/schedstat`)
const corelessMs = () => threads.reduce((sum, file) => sum + Number(readFileSync(file, 'utf8').split(' ')[1]), 0) / 1e6

/** Asks a box all the while, and notes how long it takes to answer. */
async function neighbour(at) {
  let answered = () => {}
  const client = new Client(at, `neighbour of ${at}`, () => answered())
  await client.ready
  const seen = { all: [] }
  const asks = async () => {
    for (;;) {
      const startMs = performance.now() - corelessMs()
      await new Promise((resolve) => {
        answered = resolve
        client.send({ cmd: 'pingreq' })
      })
      seen.all.push(Math.max(0, performance.now() - corelessMs() - startMs))
      await pause(5)
    }
  }
  void asks()
  return seen
}

const away = new Client(host, 'heavy', () => {})
await away.ready
const subscribed = new Promise((resolve) => away.socket.on('data', resolve))
away.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'heavy', qos: 1 }] })
await subscribed
away.socket.destroy()

let sent = 0
let acknowledged = 0
const filled = performance.now()
await new Promise((resolve) => {
  const more = () => {
    while (sent < messages && sent - acknowledged < WINDOW) {
      const payload = Buffer.alloc(bytes, 'x')
      payload.writeUInt32BE(sent)
      publisher.send({ cmd: 'publish', topic: 'heavy', qos: 1, messageId: (sent++ % 60_000) + 1, payload })
    }
  }
  const publisher = new Client(host, 'publisher', ({ cmd }) => {
    if (cmd !== 'puback') return
    if (++acknowledged === messages) resolve()
    else more()
  })
  publisher.ready.then(more)
})
const fillMs = performance.now() - filled

const neighbours = [await neighbour(host), await neighbour(other)]
const seen = new Uint8Array(messages)
let [received, twice, disorder, last] = [0, 0, 0, -1]
const startMs = performance.now()
let firstMs = 0
const done = new Promise((resolve) => {
  const heavy = new Client(other, 'heavy', ({ cmd, messageId, payload }) => {
    if (cmd !== 'publish') return
    firstMs ||= performance.now() - startMs
    const number = payload.readUInt32BE()
    if (seen[number]++ > 0) twice++
    else {
      if (number < last) disorder++
      last = number
      received++
    }
    heavy.send({ cmd: 'puback', messageId })
    if (received === messages) resolve(heavy.ready)
  })
})
const { sessionPresent } = await done
const tookMs = performance.now() - startMs
const ms = (list, part) => Math.round(list.sort((a, b) => a - b)[Math.floor((list.length - 1) * part)] * 10) / 10
console.log(
  JSON.stringify({
    present: sessionPresent,
    ...{ received, missing: messages - received, twice, disorder },
    ...{ fillMs: Math.round(fillMs), firstMs: Math.round(firstMs), tookMs: Math.round(tookMs) },
    p99Ms: neighbours.map(({ all }) => ms(all, 0.99)),
    longestMs: neighbours.map(({ all }) => ms(all, 1)),
  }),
)
process.exit(0)
