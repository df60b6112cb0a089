// Publishes COUNT messages of one QoS to one box and receives them from another, with MQTT.js; prints one line of JSON:
// what is missing, doubled or out of order. Runs inside a test LAN.
//   node flood.mjs FROM TO COUNT QOS VERSION

import mqtt from 'mqtt'

const [from, to, countText, qosText, versionText] = process.argv.slice(2)
const count = Number(countText)
const qos = Number(qosText)
const protocolVersion = Number(versionText)
/** So far the publisher may be ahead: what waits for the subscriber stays far below its queue's bound on any machine. */
const AHEAD = 5000
const topic = `flood/${process.pid}`

const connect = (host, clientId) =>
  mqtt.connectAsync({
    host,
    port: 1883,
    protocolVersion,
    clientId,
    reconnectPeriod: 0,
    properties: protocolVersion === 5 ? { receiveMaximum: 200 } : undefined,
  })

const subscriber = await connect(to, `flood-sub-${process.pid}`)
const publisher = await connect(from, `flood-pub-${process.pid}`)
let next = 0
let received = 0
let more = () => {}
let doubled = 0
let disordered = 0
const seen = new Uint8Array(count)
const done = new Promise((resolve) => {
  subscriber.on('message', (_topic, payload) => {
    const number = Number(payload.toString())
    if (seen[number]++ > 0) doubled++
    else if (number !== next) disordered++
    next = number + 1
    received++
    if (next === count) resolve()
    more()
  })
})
await subscriber.subscribeAsync(topic, { qos })
const start = performance.now()
let acknowledged = 0
await new Promise((resolve, reject) => {
  let sent = 0
  let open = 0
  more = () => {
    while (open < 50 && sent < count && sent - received < AHEAD) {
      open++
      publisher.publish(topic, String(sent++), { qos }, (error) => {
        if (error) return reject(error)
        open--
        if (++acknowledged === count) resolve()
        else more()
      })
    }
  }
  more()
})
await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 20_000))])
const missing = seen.reduce((sum, times) => sum + (times === 0 ? 1 : 0), 0)
console.log(JSON.stringify({ acknowledged, missing, doubled, disordered, seconds: (performance.now() - start) / 1000 }))
await Promise.all([subscriber.endAsync(true), publisher.endAsync(true)])
process.exit(0)
