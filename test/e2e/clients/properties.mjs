// Publishes one MQTT 5 message with every property on one box and prints what arrives from another, as JSON.
//   node properties.mjs FROM TO

import mqtt from 'mqtt'

const [from, to] = process.argv.slice(2)
const connect = (host) => mqtt.connectAsync({ host, port: 1883, protocolVersion: 5, reconnectPeriod: 0 })
const [publisher, subscriber] = [await connect(from), await connect(to)]
const arrived = new Promise((resolve) => {
  subscriber.on('message', (topic, payload, packet) => resolve({ topic, payload: payload.toString(), packet }))
})
await subscriber.subscribeAsync('all/#', { qos: 2, properties: { subscriptionIdentifier: 7 } })
await publisher.publishAsync('all/properties', 'payload', {
  qos: 2,
  properties: {
    payloadFormatIndicator: true,
    messageExpiryInterval: 100,
    responseTopic: 'answer/here',
    correlationData: Buffer.from('c1'),
    contentType: 'text/plain',
    userProperties: { first: '1', second: ['2', '3'] },
  },
})
const { topic, payload, packet } = await arrived
const { correlationData, ...properties } = packet.properties
console.log(
  JSON.stringify({
    topic,
    payload,
    qos: packet.qos,
    retain: packet.retain,
    correlationData: correlationData.toString(),
    properties,
  }),
)
await Promise.all([subscriber.endAsync(true), publisher.endAsync(true)])
process.exit(0)
