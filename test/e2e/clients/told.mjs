// An MQTT 5 client that prints the DISCONNECT by which its broker sends it away, and ends.

import { connect } from 'node:net'
import mqttPacket from 'mqtt-packet'

const [host, port] = [process.argv[2], Number(process.argv[3])]
const socket = connect(port, host)
const parser = mqttPacket.parser({ protocolVersion: 5 })
parser.on('packet', (packet) => {
  if (packet.cmd === 'connack') process.stdout.write('connected\n')
  if (packet.cmd !== 'disconnect') return
  const { reasonCode, properties } = packet
  process.stdout.write(`${JSON.stringify({ reasonCode, server: properties?.serverReference ?? null })}\n`)
  process.exit(0)
})
socket.on('data', (bytes) => parser.parse(bytes))
socket.on('close', () => process.exit(1))
socket.on('error', () => process.exit(1))
socket.on('connect', () => {
  const hello = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true, clientId: 'told', keepalive: 0 }
  socket.write(mqttPacket.generate(hello))
})
