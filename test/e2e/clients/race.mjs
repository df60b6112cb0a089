// Subscribes on one box and, right after the SUBACK, publishes on another: is anything missing? COUNT times, a few at
// once, each time with a topic of its own; prints one line of JSON. Runs inside a test LAN.
//   node race.mjs SUBSCRIBE_AT PUBLISH_AT COUNT

import mqtt from 'mqtt'

const [subscribeAt, publishAt, countText] = process.argv.slice(2)
const count = Number(countText)
const connect = (host) => mqtt.connectAsync({ host, port: 1883, protocolVersion: 5, reconnectPeriod: 0 })
const subscriber = await connect(subscribeAt)
// MQTT.js leaves Nagle on: its UNSUBSCRIBE would wait 40 ms for the acknowledgement of its PUBACK.
subscriber.stream.setNoDelay(true)
const publisher = await connect(publishAt)
subscriber.setMaxListeners(0)
const waiting = new Map()
subscriber.on('message', (topic) => waiting.get(topic)?.())
let missing = 0
let next = 0
const start = performance.now()
const worker = async () => {
  while (next < count) {
    const number = next++
    // Every third filter holds a wildcard, so that both kinds of route are raced.
    const topic = `race/${process.pid}/${number}/x`
    const filter = number % 3 === 0 ? `race/${process.pid}/${number}/+` : topic
    const arrived = new Promise((resolve) => waiting.set(topic, () => resolve(true)))
    await subscriber.subscribeAsync(filter, { qos: 1 })
    publisher.publish(topic, 'x', { qos: 1 })
    const late = new Promise((resolve) => setTimeout(resolve, 5000, false))
    if (!(await Promise.race([arrived, late]))) missing++
    waiting.delete(topic)
    await subscriber.unsubscribeAsync(filter)
  }
}
await Promise.all(Array.from({ length: 20 }, worker))
console.log(JSON.stringify({ count, missing, seconds: (performance.now() - start) / 1000 }))
await Promise.all([subscriber.endAsync(true), publisher.endAsync(true)])
process.exit(0)
