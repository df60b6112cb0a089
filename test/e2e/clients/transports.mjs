// MQTT.js over any transport: publishes one message of each QoS and a large one, prints what comes back as JSON.
// transports.mjs URL 3|4|5 TOPIC [CA [CERTIFICATE KEY]]

import { readFileSync } from 'node:fs'
import mqtt from 'mqtt'

const [url, version, topic, ...files] = process.argv.slice(2)
const [ca, cert, key] = files.map((file) => readFileSync(file))
const client = await mqtt.connectAsync(url, {
  protocolVersion: Number(version),
  protocolId: version === '3' ? 'MQIsdp' : 'MQTT',
  clientId: `js-${process.pid}`,
  reconnectPeriod: 0,
  ...(ca === undefined ? {} : { ca }),
  ...(cert === undefined ? {} : { cert, key }),
})
const got = []
let more = () => {}
client.on('message', (from, payload, packet) => {
  got.push([from, packet.qos, payload.length > 100 ? payload.length : payload.toString()])
  more()
})
await client.subscribeAsync(topic, { qos: 2 })
for (const qos of [0, 1, 2]) await client.publishAsync(topic, `message ${qos}`, { qos })
await client.publishAsync(topic, Buffer.alloc(1_000_000, 'x'), { qos: 1 })
const deadline = setTimeout(() => process.exit(1), 10_000)
await new Promise((resolve) => {
  more = () => got.length >= 4 && resolve()
  more()
})
clearTimeout(deadline)
await client.endAsync()
console.log(JSON.stringify(got))
