// Throws junk at a box: datagrams at the beacon port, and connections with random, truncated and oversize bytes at a TCP
// port; bounded, from a fixed seed. Prints one line of JSON. Runs inside a test LAN.
//   node junk.mjs datagrams HOST COUNT | node junk.mjs streams HOST PORT COUNT

import dgram from 'node:dgram'
import net from 'node:net'

const [what, host, ...rest] = process.argv.slice(2)
let state = 1
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 2 ** 32
}
const bytes = (length) => Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)))

if (what === 'datagrams') {
  const count = Number(rest[0])
  const socket = dgram.createSocket('udp4')
  const shapes = [0, 1, 2, 3, 10, 25, 26, 26, 26, 100, 1400]
  let sent = 0
  const burst = () => {
    for (let index = 0; index < 200 && sent < count; index++, sent++) {
      socket.send(bytes(shapes[sent % shapes.length]), 4883, host)
    }
    if (sent < count) setTimeout(burst, 5)
    else
      setTimeout(() => {
        console.log(JSON.stringify({ sent }))
        process.exit(0)
      }, 500)
  }
  burst()
} else {
  const [port, count] = rest.map(Number)
  const beginnings = [
    () => bytes(1 + Math.floor(random() * 2000)),
    // A CONNECT that announces 256 MB and sends a little of it.
    () => Buffer.concat([Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]), bytes(5000)]),
    // The beginning of a good CONNECT, and no more.
    () => Buffer.from([0x10, 0x20, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5]),
    // The magic of a link, then noise.
    () => Buffer.concat([Buffer.from('edgemqtt'), bytes(100)]),
    () => Buffer.alloc(0),
  ]
  let closedByThem = 0
  for (let index = 0; index < count; index++) {
    await new Promise((resolve) => {
      const socket = net.connect(port, host, () => {
        const beginning = beginnings[index % beginnings.length]()
        if (beginning.length > 0) socket.write(beginning)
        setTimeout(() => socket.destroy(), 50)
      })
      socket.on('error', () => {})
      socket.on('end', () => closedByThem++)
      socket.resume()
      // Twenty at once: the next begins when this one has been told apart.
      socket.once(index % 20 === 19 ? 'close' : 'connect', resolve)
      socket.once('close', resolve)
    })
  }
  console.log(JSON.stringify({ count, closedByThem }))
  process.exit(0)
}
