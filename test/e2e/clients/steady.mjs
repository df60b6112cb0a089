// Steady QoS 1 load between boxes until it is told to stop (a line on standard input): on each box a publisher of
// numbered messages and a subscriber of everybody's. Ends with one line of JSON: what was acknowledged and then missing,
// doubled or out of order, and how often a connection broke. Runs inside a test LAN.
//   node steady.mjs PERSECOND HOST...

import mqtt from 'mqtt'

const [perSecondText, ...hosts] = process.argv.slice(2)
const everyMs = 1000 / Number(perSecondText)
const SETTLE_MS = 10_000

let broken = 0
let stopping = false
const connect = async (host, clientId) => {
  const client = await mqtt.connectAsync({ host, port: 1883, protocolVersion: 5, clientId, reconnectPeriod: 200 })
  client.on('close', () => {
    if (!stopping) broken++
  })
  return client
}

const publishers = []
const seen = new Map()
let doubled = 0
let disordered = 0
for (const [index, host] of hosts.entries()) {
  const subscriber = await connect(host, `steady-sub-${index}`)
  const last = new Map()
  subscriber.on('message', (topic, payload) => {
    const number = Number(payload.toString())
    const key = `${index} ${topic} ${number}`
    if (seen.has(key)) doubled++
    else if (number !== (last.get(topic) ?? -1) + 1) disordered++
    seen.set(key, true)
    last.set(topic, number)
  })
  await subscriber.subscribeAsync('steady/+', { qos: 1 })
  publishers.push({
    client: await connect(host, `steady-pub-${index}`),
    topic: `steady/${index}`,
    sent: 0,
    acknowledged: [],
  })
}
console.log('under way')
const timer = setInterval(() => {
  for (const publisher of publishers) {
    const number = publisher.sent++
    publisher.client.publish(publisher.topic, String(number), { qos: 1 }, (error) => {
      if (!error) publisher.acknowledged.push(number)
    })
  }
}, everyMs)

process.stdin.once('data', async () => {
  clearInterval(timer)
  const deadline = performance.now() + SETTLE_MS
  const missing = () =>
    publishers
      .flatMap(({ topic, acknowledged }) =>
        acknowledged.flatMap((number) => hosts.map((_host, index) => `${index} ${topic} ${number}`)),
      )
      .filter((key) => !seen.has(key)).length
  const open = () => publishers.some(({ sent, acknowledged }) => acknowledged.length < sent)
  while ((open() || missing() > 0) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 50))
  stopping = true
  const acknowledged = publishers.reduce((sum, publisher) => sum + publisher.acknowledged.length, 0)
  const sent = publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
  console.log(JSON.stringify({ sent, acknowledged, missing: missing(), doubled, disordered, broken }))
  process.exit(0)
})
