// Two clients of a test LAN that speak bytes, so that it is the boxes that are measured:
//   node retained.mjs fill HOST COUNT          publishes so many retained messages, and ends when all are acknowledged
//   node retained.mjs pace WRITER READER       200 messages a second from box to box until standard input ends; then one
//                                              line of JSON: how many came, and their delays

import { connect } from 'node:net'

const PACE_MS = 5
/** Bytes on their way: then the writer waits. */
const AHEAD_BYTES = 256 * 1024

const text = (value) => Buffer.concat([Buffer.from([value.length >> 8, value.length & 0xff]), Buffer.from(value)])
const packet = (first, ...parts) => {
  const body = Buffer.concat(parts)
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return Buffer.concat([Buffer.from([first, ...length]), body])
}
const number = (value) => Buffer.from([value >> 8, value & 0xff])

/** A connection whose CONNACK has come. */
const join = (host, id) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port: 1883, noDelay: true })
    socket.once('connect', () => socket.write(packet(0x10, text('MQTT'), Buffer.from([4, 2, 0, 0]), text(id))))
    socket.once('data', (bytes) => (bytes[3] === 0 ? resolve(socket) : reject(new Error(`refused: ${bytes[3]}`))))
    socket.once('error', reject)
  })

async function fill(host, count) {
  const socket = await join(host, 'filler')
  const PUBACK_BYTES = 4
  let acknowledged = 0
  const done = new Promise((resolve) => {
    socket.on('data', (bytes) => {
      acknowledged += bytes.length
      if (acknowledged === count * PUBACK_BYTES) resolve()
    })
  })
  for (let index = 0; index < count; index++) {
    const payload = Buffer.from(`{"value":${index},"unit":"C"}`)
    socket.write(packet(0x33, text(`filled/${index % 100}/${index}`), number((index % 65_535) + 1), payload))
    if (index % 500 === 0) await new Promise((resolve) => setImmediate(resolve))
    while (socket.writableLength > AHEAD_BYTES) await new Promise((resolve) => socket.once('drain', resolve))
  }
  await done
  socket.destroy()
}

async function pace(from, to) {
  const reader = await join(to, 'pace-sub')
  const writer = await join(from, 'pace-pub')
  reader.write(packet(0x82, number(1), text('pace'), Buffer.from([0])))
  await new Promise((resolve) => reader.once('data', resolve))
  const delays = []
  let kept = Buffer.alloc(0)
  const LENGTH = packet(0x30, text('pace'), Buffer.alloc(8)).length
  reader.on('data', (bytes) => {
    const nowMs = performance.now()
    kept = Buffer.concat([kept, bytes])
    for (; kept.length >= LENGTH; kept = kept.subarray(LENGTH)) delays.push(nowMs - kept.readDoubleBE(LENGTH - 8))
  })
  const timer = setInterval(() => {
    const at = Buffer.alloc(8)
    at.writeDoubleBE(performance.now())
    writer.write(packet(0x30, text('pace'), at))
  }, PACE_MS)
  await new Promise((resolve) => process.stdin.once('close', resolve).resume())
  clearInterval(timer)
  delays.sort((a, b) => a - b)
  const at = (part) => Number(delays[Math.min(delays.length - 1, Math.floor(delays.length * part))].toFixed(2))
  console.log(JSON.stringify({ messages: delays.length, p50: at(0.5), p99: at(0.99), max: at(1) }))
  process.exit()
}

const [what, one, other] = process.argv.slice(2)
if (what === 'fill') await fill(one, Number(other))
else await pace(one, other)
