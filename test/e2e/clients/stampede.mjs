// COUNT devices connect with one account, RATE a second, while a paced flow runs, 200 messages a second; prints one line of JSON:
// how many got in, in which time, and the flow's delays before and meanwhile. Speaks bytes, so that it is the broker
// that is measured. Runs inside a test LAN.
//   node stampede.mjs HOST NAME PASSWORD COUNT RATE

import { connect } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const AT_ONCE = 500
const PACE_MS = 5
const CALM_MS = 3000

const text = (value) => Buffer.concat([Buffer.from([value.length >> 8, value.length & 0xff]), Buffer.from(value)])
const packet = (first, ...parts) => {
  const body = Buffer.concat(parts)
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return Buffer.concat([Buffer.from([first, ...length]), body])
}
const hello = (id, name, password) =>
  packet(0x10, text('MQTT'), Buffer.from([4, 0xc2, 0, 0]), text(id), text(name), text(password))

const [host, name, password, countText, rateText] = isMainThread ? process.argv.slice(2) : workerData

/** A connection whose CONNACK has come; rejects when it is refused. */
const join = (id) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port: 1883, noDelay: true })
    socket.once('connect', () => socket.write(hello(id, name, password)))
    socket.once('data', (bytes) => (bytes[3] === 0 ? resolve(socket) : reject(new Error(`refused: ${bytes[3]}`))))
    socket.once('error', reject)
  })

if (isMainThread) {
  const reader = await join('pace-sub')
  const writer = await join('pace-pub')
  reader.write(packet(0x82, Buffer.from([0, 1]), text('pace'), Buffer.from([0])))
  await new Promise((resolve) => reader.once('data', resolve))
  let delays = []
  let kept = Buffer.alloc(0)
  const LENGTH = packet(0x30, text('pace'), Buffer.alloc(8)).length
  reader.on('data', (bytes) => {
    const nowMs = performance.now()
    kept = Buffer.concat([kept, bytes])
    for (; kept.length >= LENGTH; kept = kept.subarray(LENGTH)) delays.push(nowMs - kept.readDoubleBE(LENGTH - 8))
  })
  const pace = setInterval(() => {
    const at = Buffer.alloc(8)
    at.writeDoubleBE(performance.now())
    writer.write(packet(0x30, text('pace'), at))
  }, PACE_MS)
  const taken = () => {
    const sorted = delays.sort((a, b) => a - b)
    delays = []
    const at = (part) => Number(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))].toFixed(2))
    return { messages: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
  }
  await new Promise((resolve) => setTimeout(resolve, CALM_MS))
  const before = taken()
  const crowd = await new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: process.argv.slice(2) })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  const meanwhile = taken()
  clearInterval(pace)
  console.log(JSON.stringify({ ...crowd, before, meanwhile }))
  process.exit(0)
} else {
  const count = Number(countText)
  const everyMs = 1000 / Number(rateText)
  const start = performance.now()
  let begun = 0
  let connected = 0
  let refused = 0
  const one = async () => {
    while (begun < count) {
      const id = `crowd-${begun++}`
      const earlyMs = start + begun * everyMs - performance.now()
      if (earlyMs > 0) await new Promise((resolve) => setTimeout(resolve, earlyMs))
      try {
        await join(id)
        connected++
      } catch {
        refused++
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  parentPort.postMessage({ connected, refused, seconds: Number(((performance.now() - start) / 1000).toFixed(2)) })
}
