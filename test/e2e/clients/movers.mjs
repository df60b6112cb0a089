// Clients that move between boxes under load, all with sessions that outlive their connections: publishers of QoS 1, QoS 2
// and retained messages, and subscribers of which one stays, one goes from box to box and one is away most of the time.
//   node movers.mjs HOST HOST ...
// Told on standard input, in lines of JSON: {"apart":[place, ...],"pair":bool} when boxes are about to be out of
// each other's reach, {"healed":true} when the fault is over, {"judge":true}. Then the publishers pause until all that was
// acknowledged is where it belongs, one line of JSON says what the round has shown, and the load goes on.

import { createWriteStream } from 'node:fs'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import mqttPacket from 'mqtt-packet'

const hosts = process.argv.slice(2)
const WINDOW = 10
const PACE_MS = 8
const CONNACK_MS = 5000
const SILENCE_MS = 3000
const TOPICS_KEPT = 5
const JUDGE_MS = 60_000
const LOOK_MS = 300

/** Every packet of every client goes to the file EDGE_TRACE, to look at by hand. */
const traced = process.env.EDGE_TRACE === undefined ? null : createWriteStream(process.env.EDGE_TRACE)
const trace = (client, way, { cmd, messageId, topic, payload, dup, sessionPresent }) => {
  const n = payload?.length > 0 ? JSON.parse(payload.toString()).n : undefined
  const words = { place: client.place + 1, number: client.number, cmd, messageId, topic, n, dup, sessionPresent }
  traced.write(`${Date.now()} ${client.id} ${way} ${JSON.stringify(words)}\n`)
}

let state = Number(process.env.EDGE_SEED ?? 1)
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}
const now = () => performance.now()

/** What is known of the fault of this round. */
let fault = { apart: [], pair: false, fromMs: Infinity }
/** How long after the end of the fault everything had come that was acknowledged before. */
let healMs = null
let slowestConnackMs = 0

/** One client with a session that goes on over connections, at whichever box. */
class Client {
  place = 0
  /** Counts connections. */
  number = 0
  socket = null
  connected = false
  established = false
  begunAnew = 0
  away = false
  /** Where it has been since the fault began. */
  been = new Set()

  constructor(id, version, home) {
    this.id = id
    this.form = { protocolVersion: version }
    this.place = home
    this.home = home
  }

  open() {
    if (this.away) return
    const socket = connect({ port: 1883, host: hosts[this.place], noDelay: true })
    const dialledMs = now()
    this.socket = socket
    this.number++
    const parser = mqttPacket.parser(this.form)
    let heardMs = now()
    parser.on('packet', (packet) => {
      if (this.socket !== socket) return
      heardMs = now()
      if (traced !== null) trace(this, '<-', packet)
      if (packet.cmd === 'connack') slowestConnackMs = Math.max(slowestConnackMs, now() - dialledMs)
      this.packet(packet)
    })
    // A box that hangs keeps its connections open and says nothing.
    const watch = setInterval(() => {
      if (now() - heardMs > (this.connected ? SILENCE_MS : CONNACK_MS)) socket.destroy()
      else if (this.connected) this.send({ cmd: 'pingreq' })
    }, 1000)
    socket.on('data', (bytes) => parser.parse(bytes))
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(watch)
      if (this.socket !== socket) return
      const wasIn = this.connected
      this.connected = false
      this.place = this.next(wasIn)
      setTimeout(() => this.socket === socket && this.open(), 50)
    })
    socket.on('connect', () =>
      this.send({
        ...{ cmd: 'connect', protocolId: 'MQTT', ...this.form, clean: false, clientId: this.id, keepalive: 60 },
        ...(this.form.protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
      }),
    )
  }

  /** Where it goes after a connection: home first, then around. */
  next(wasIn) {
    return wasIn && this.place !== this.home ? this.home : (this.place + 1) % hosts.length
  }

  /** Goes elsewhere, with or without a word. */
  leave() {
    if (!this.connected) return
    if (random(2) === 0) this.send({ cmd: 'disconnect', reasonCode: 0 })
    this.socket.destroy()
  }

  send(packet) {
    if (this.socket.destroyed) return
    if (traced !== null) trace(this, '->', packet)
    this.socket.write(mqttPacket.generate(packet, this.form))
  }

  packet(packet) {
    if (packet.cmd !== 'connack') return this.heard(packet)
    if ((packet.reasonCode ?? packet.returnCode) !== 0) return this.socket.destroy()
    this.connected = true
    this.been.add(this.place + 1)
    if (this.established && !packet.sessionPresent) {
      this.begunAnew++
      this.forget()
    }
    this.established = true
    this.resume()
  }
}

class Publisher extends Client {
  count = 0
  /** Of this round: number to the connection over which all of it went, or null. */
  acknowledged = new Map()
  refused = 0
  /** By packet id, in the order of sending. */
  under = new Map()
  /** What the topics of retained messages hold: the last that was sent. */
  kept = new Map()
  /** What was sent to them this round. */
  tried = new Map()

  /** [MQTT-3.2.2-5] A QoS 2 exchange that the box does not know is over, and nobody knows how; QoS 1 is said again. */
  forget() {
    for (const [messageId, { qos }] of this.under) if (qos === 2) this.under.delete(messageId)
  }

  resume() {
    for (const [messageId, one] of this.under) {
      one.connection = null
      if (one.released) this.send({ cmd: 'pubrel', messageId })
      else this.publish(messageId, one, true)
    }
  }

  more() {
    if (!this.connected || this.under.size >= WINDOW) return
    const n = ++this.count
    const messageId = (n % 60_000) + 1
    if (this.under.has(messageId)) return
    const one = { n, qos: 1 + (n % 2), released: false, connection: this.number, topic: null, retain: false }
    one.topic = `load/${this.id}/${one.qos}`
    if (n % 20 === 1) {
      one.retain = true
      one.topic = `kept/${this.id}/${random(TOPICS_KEPT)}`
      one.gone = random(4) === 0
      one.qos = 1
      this.kept.set(one.topic, one.gone ? null : n)
      if (!this.tried.has(one.topic)) this.tried.set(one.topic, new Set())
      this.tried.get(one.topic).add(one.gone ? null : n)
    }
    this.under.set(messageId, one)
    this.publish(messageId, one, false)
  }

  publish(messageId, { n, qos, topic, retain, gone }, dup) {
    const payload = gone ? '' : JSON.stringify({ n, fill: 'x'.repeat(100) })
    this.send({ cmd: 'publish', topic, payload, qos, dup, retain, messageId })
  }

  heard({ cmd, messageId, reasonCode = 0 }) {
    const one = this.under.get(messageId)
    if (cmd === 'pubrec' && reasonCode < 0x80) {
      if (one !== undefined) one.released = true
      return this.send({ cmd: 'pubrel', messageId })
    }
    if (one === undefined || !['puback', 'pubrec', 'pubcomp'].includes(cmd)) return
    this.under.delete(messageId)
    // 0x92: an earlier PUBCOMP of the same exchange was lost on its way.
    if (reasonCode >= 0x80 && reasonCode !== 0x92) this.refused++
    else if (!one.retain) this.acknowledged.set(one.n, { qos: one.qos, connection: one.connection })
  }
}

class Subscriber extends Client {
  /** Publisher and number to where it was first, and when its exchange was complete. */
  got = new Map()
  /** Publisher and QoS to numbers, in the order of their first coming, this round. */
  order = new Map()
  begun = new Map()
  twice = []
  again = 0
  subscribed = false

  forget() {
    this.begun.clear()
    this.subscribed = false
  }

  resume() {
    if (this.subscribed) return
    this.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'load/#', qos: 2 }] })
  }

  heard(packet) {
    const { cmd, messageId } = packet
    if (cmd === 'suback') this.subscribed = true
    else if (cmd === 'pubrel') {
      const one = this.begun.get(messageId)
      if (one !== undefined) one.completedMs = now()
      this.begun.delete(messageId)
      this.send({ cmd: 'pubcomp', messageId })
    } else if (cmd === 'publish') {
      const one = { place: this.place, connection: this.number, completedMs: Infinity }
      const known = packet.qos === 2 && this.begun.has(messageId)
      if (packet.qos === 2 && !known) this.begun.set(messageId, one)
      this.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId })
      if (!known) this.take(packet, one)
    }
  }

  take({ topic, payload, qos }, one) {
    const { n } = JSON.parse(payload.toString())
    const lane = topic.slice('load/'.length)
    const key = `${lane} ${n}`
    const first = this.got.get(key)
    if (first === undefined) {
      this.got.set(key, one)
      if (!this.order.has(lane)) this.order.set(lane, [])
      this.order.get(lane).push(n)
    } else if (qos === 1) this.again++
    else this.twice.push({ lane, n, first, place: this.place, atMs: now(), crossed: hasCrossed(this) })
  }
}

/** Whether the client has been on both sides of the cut. */
function hasCrossed({ been }) {
  const within = [...been].filter((place) => fault.apart.includes(place)).length
  return fault.pair ? within === 2 : within > 0 && within < been.size
}

const publishers = [new Publisher('anna', 4, 0), new Publisher('bert', 5, 1), new Publisher('cleo', 5, 0)]
const [stays, roams, sleeps] = [
  new Subscriber('stays', 4, 0),
  new Subscriber('roams', 5, 0),
  new Subscriber('sleeps', 4, 1),
]
const subscribers = [stays, roams, sleeps]
const clients = [...publishers, ...subscribers]
const movers = [publishers[0], publishers[1], roams]
for (const mover of movers) mover.next = () => random(hosts.length)

let paused = true
for (const subscriber of subscribers) subscriber.open()
setInterval(() => {
  if (!paused) for (const publisher of publishers) publisher.more()
}, PACE_MS)
for (const [index, mover] of movers.entries()) setInterval(() => mover.leave(), 700 + 450 * index)
setInterval(() => {
  sleeps.away = !sleeps.away && !judging
  if (sleeps.away) sleeps.leave()
  else if (!sleeps.connected) sleeps.open()
}, 1300)

let judging = false
const begun = setInterval(() => {
  if (!subscribers.every(({ subscribed }) => subscribed)) return
  clearInterval(begun)
  for (const publisher of publishers) publisher.open()
  paused = false
  console.log(JSON.stringify({ begun: true }))
}, 50)

createInterface({ input: process.stdin }).on('line', (line) => {
  const told = JSON.parse(line)
  if (told.apart !== undefined) {
    fault = { ...told, fromMs: now() }
    for (const client of clients) client.been = new Set(client.connected ? [client.place + 1] : [])
  }
  if (told.healed) heal()
  if (told.judge) judge()
})

/** Watches until what was owed when the fault was over has come. */
function heal() {
  const startMs = now()
  let owed = missing()
  const watch = setInterval(() => {
    const still = new Set(missing())
    owed = owed.filter((each) => still.has(each))
    if (owed.length > 0 && now() - startMs < JUDGE_MS) return
    clearInterval(watch)
    healMs = Math.round(now() - startMs)
  }, 50)
}

/** What was acknowledged and has not come. */
function missing() {
  const found = []
  for (const { id: publisher, acknowledged } of publishers) {
    for (const [n, { qos }] of acknowledged) {
      for (const { id, got } of subscribers)
        if (!got.has(`${publisher}/${qos} ${n}`)) found.push(`${id}: ${publisher}/${qos} ${n}`)
    }
  }
  return found
}

/** What the first box held when it was last looked at. */
let settled = new Map()

/** What the boxes hold that differs from what was written last. */
async function keptWrong() {
  const expected = new Map()
  for (const { kept } of publishers) for (const [topic, n] of kept) if (n !== null) expected.set(topic, n)
  const found = []
  const told = await Promise.all(hosts.map(looked))
  settled = told[0]
  // Of what was written on two sides the later stamp counts, and only a synchronised clock makes that the later word; what a
  // box that hung has still read when it came to itself was written last, though its client had long said more.
  if (fault.apart.length > 0) {
    for (const { tried } of publishers) {
      for (const [topic, all] of tried) {
        const n = told[0].get(topic) ?? null
        if (!all.has(n)) continue
        if (n === null) expected.delete(topic)
        else expected.set(topic, n)
      }
    }
  }
  for (const [index, seen] of told.entries()) {
    for (const topic of new Set([...seen.keys(), ...expected.keys()])) {
      const [is, was] = [seen.get(topic), expected.get(topic)]
      if (is !== was) found.push(`${topic} at ${index + 1}: ${is ?? 'nothing'}, not ${was ?? 'nothing'}`)
    }
  }
  return found
}

/** Topics of retained messages to their numbers, as a client is told that subscribes. */
function looked(host) {
  const seen = new Map()
  return new Promise((resolve) => {
    const socket = connect({ port: 1883, host, noDelay: true })
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    const send = (packet) => socket.write(mqttPacket.generate(packet))
    const done = () => {
      socket.destroy()
      resolve(seen)
    }
    socket.on('error', done)
    let quiet = setTimeout(done, CONNACK_MS)
    parser.on('packet', ({ cmd, topic, payload }) => {
      if (cmd === 'connack') send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'kept/#', qos: 0 }] })
      if (cmd === 'publish' && payload.length > 0) seen.set(topic, JSON.parse(payload.toString()).n)
      if (cmd === 'connack') return
      clearTimeout(quiet)
      quiet = setTimeout(done, LOOK_MS)
    })
    socket.on('data', (bytes) => parser.parse(bytes))
    send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      clientId: `looks-${random(1e9)}`,
      keepalive: 0,
    })
  })
}

/** Per publisher and QoS, what comes for the first time comes as it was sent; across a cut that holds per connection. */
function disorder() {
  const found = []
  for (const { id, order } of subscribers) {
    for (const [lane, numbers] of order) {
      const { acknowledged } = publishers.find((publisher) => lane.startsWith(`${publisher.id}/`))
      const last = new Map()
      for (const n of numbers) {
        const sent = acknowledged.get(n)
        // Never answered: it may come at any time.
        if (sent === undefined) continue
        const connection = fault.apart.length > 0 ? sent.connection : 'any'
        // Sent over two connections, on two sides: nobody can say where in the order it is.
        if (connection === null) continue
        const before = last.get(connection) ?? 0
        if (n < before) found.push(`${id}: ${lane} ${n} after ${before}`)
        last.set(connection, Math.max(before, n))
      }
    }
  }
  return found
}

/**
 * What came twice with QoS 2 and must not. DESIGN 4.4: who moves across a cut may get again what it completed on the other
 * side after the cut began; and what a publisher has taken across in the middle of its exchange both sides may have sent.
 */
function doubled({ id, twice }) {
  const sinceCut = (ms) => `${Math.round(ms - fault.fromMs)} ms`
  return twice.flatMap(({ lane, n, first, place, atMs, crossed }) => {
    if (crossed && first.completedMs >= fault.fromMs) return []
    const { acknowledged } = publishers.find((publisher) => lane.startsWith(`${publisher.id}/`))
    if (fault.apart.length > 0 && acknowledged.get(n)?.connection === null) return []
    return [
      `${id}: ${lane} ${n}: at ${first.place + 1} (${sinceCut(first.completedMs)}) and ${place + 1} (${sinceCut(atMs)})`,
    ]
  })
}

async function judge() {
  judging = true
  paused = true
  sleeps.away = false
  if (!sleeps.connected) sleeps.open()
  const startMs = now()
  const left = () => publishers.reduce((sum, { under }) => sum + under.size, 0)
  const whole = () => left() === 0 && missing().length === 0 && healMs !== null
  while (!whole() && now() - startMs < JUDGE_MS) await new Promise((go) => setTimeout(go, 50))
  let kept = await keptWrong()
  while (kept.length > 0 && now() - startMs < JUDGE_MS) kept = await keptWrong()
  const sum = (some, name) => some.reduce((total, client) => total + client[name], 0)
  const report = {
    acknowledged: publishers.reduce((total, { acknowledged }) => total + acknowledged.size, 0),
    healMs,
    slowestConnackMs: Math.round(slowestConnackMs),
    again: sum(subscribers, 'again') + subscribers.reduce((total, { twice }) => total + twice.length, 0),
    begunAnew: sum(clients, 'begunAnew'),
    refused: sum(publishers, 'refused'),
    unanswered: left(),
    missing: missing(),
    twice: subscribers.flatMap(doubled),
    disorder: disorder(),
    kept,
  }
  for (const list of ['missing', 'twice', 'disorder', 'kept']) {
    if (report[list].length > 10) report[list] = [...report[list].slice(0, 10), `and ${report[list].length - 10} more`]
  }
  for (const publisher of publishers) {
    publisher.acknowledged.clear()
    publisher.tried.clear()
    // What came of two sides is what the next round begins with.
    for (const topic of publisher.kept.keys()) publisher.kept.set(topic, settled.get(topic) ?? null)
  }
  for (const subscriber of subscribers) {
    subscriber.order.clear()
    subscriber.twice = []
  }
  for (const client of clients) for (const name of ['again', 'begunAnew', 'refused']) client[name] = 0
  slowestConnackMs = 0
  healMs = null
  fault = { apart: [], pair: false, fromMs: Infinity }
  console.log(JSON.stringify(report))
  judging = false
  paused = false
}
