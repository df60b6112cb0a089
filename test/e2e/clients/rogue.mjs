// Pretends to be a box, badly, in one of several ways. Runs inside a test LAN.
//   node rogue.mjs DIST WAY HOST [CERTS]       DIST: the built program's folder, whose own hello it abuses
// Dialling ways connect to HOST:4883 once; `no-certificate` and `silent` announce themselves and wait to be dialled;
// `tamper` passes everything between a dialler and HOST:4883, with one bit of the first hello changed.

import dgram from 'node:dgram'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { pathToFileURL } from 'node:url'

const [dist, way, host, certs] = process.argv.slice(2)
const built = (path) => import(pathToFileURL(join(dist, path)).href)
const { decodeHello, encodeHello } = await built('wire/link/hello.js')
const x509 = await built('host/x509.js')
const HELLO = 64
const say = (word) => console.log(word)

/** Reads exactly one hello off the socket. */
const hear = (socket) =>
  new Promise((resolve, reject) => {
    let heard = Buffer.alloc(0)
    const more = (bytes) => {
      heard = Buffer.concat([heard, bytes])
      if (heard.length < HELLO) return
      socket.off('data', more)
      socket.pause()
      resolve(heard.subarray(0, HELLO))
    }
    socket.on('data', more)
    socket.once('close', () => reject(new Error('closed before a hello')))
  })

const own = (theirs, node) =>
  encodeHello({ ...theirs, node, instance: 'ffffffff00000001', nonce: Buffer.alloc(16, 7), intent: 'link' })

const dial = () => {
  const socket = net.connect(4883, host)
  socket.on('error', () => {})
  socket.once('close', () => say('closed'))
  return socket
}

const serveTls = (socket, options) => {
  const server = tls.createServer({ ...options, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.3' })
  server.on('secureConnection', (secure) => {
    secure.on('error', () => {})
    say('secured')
  })
  server.on('tlsClientError', (error) => say(`tls: ${error.code}`))
  server.emit('connection', socket)
}

const nodeCertificate = async (ca, node) => {
  const keys = await x509.makeKeys()
  return { key: keys.privateKey, cert: await x509.issue(ca, node, keys.publicKey) }
}

const bundle = () => ({
  certificate: readFileSync(join(certs, 'ca.crt'), 'utf8'),
  privateKey: readFileSync(join(certs, 'ca.key'), 'utf8'),
})

/** Announces this port with the cluster's own id, so that boxes come and dial. */
const announce = (cluster) => {
  const beacon = Buffer.concat([
    Buffer.from([4883 >> 8, 4883 & 255]),
    Buffer.from(cluster, 'hex'),
    Buffer.from('beefbeefbeefbeef', 'hex'),
    Buffer.from('ffffffff00000002', 'hex'),
  ])
  const socket = dgram.createSocket('udp4')
  socket.bind(0, () => {
    socket.setBroadcast(true)
    socket.send(beacon, 4883, '10.77.0.255')
    setInterval(() => socket.send(beacon, 4883, '10.77.0.255'), 1000)
  })
}

const clusterOf = async () => {
  const socket = dial()
  const { cluster } = decodeHello(await hear(socket))
  socket.destroy()
  return cluster
}

const ways = {
  async 'foreign-ca'() {
    const socket = dial()
    const theirs = decodeHello(await hear(socket))
    const node = 'abababababababab'
    const identity = await nodeCertificate(await x509.makeAuthority(theirs.cluster), node)
    socket.write(own(theirs, node))
    serveTls(socket, identity)
  },
  async 'wrong-identity'() {
    const socket = dial()
    const theirs = decodeHello(await hear(socket))
    const identity = await nodeCertificate(bundle(), 'cdcdcdcdcdcdcdcd')
    socket.write(own(theirs, 'abababababababab'))
    serveTls(socket, identity)
  },
  async plain() {
    const socket = dial()
    const theirs = decodeHello(await hear(socket))
    socket.write(own(theirs, 'abababababababab'))
    // Once the box has begun TLS: words that come together with the hello are another offence.
    socket.once('data', () => socket.write('no TLS here, just words\n'))
    socket.resume()
  },
  async http() {
    const socket = dial()
    await hear(socket)
    socket.resume()
    socket.write('GET / HTTP/1.0\r\n\r\n')
  },
  async 'no-certificate'() {
    const cluster = await clusterOf()
    net
      .createServer(async (socket) => {
        socket.on('error', () => {})
        socket.write(
          encodeHello({
            versionMin: 1,
            versionMax: 1,
            intent: 'link',
            cluster,
            node: 'beefbeefbeefbeef',
            instance: 'ffffffff00000002',
            nonce: Buffer.alloc(16),
          }),
        )
        await hear(socket).catch(() => null)
        const secure = tls.connect({ socket, rejectUnauthorized: false, minVersion: 'TLSv1.3' })
        secure.on('error', (error) => say(`tls: ${error.code}`))
      })
      .listen(4883, () => announce(cluster))
  },
  async silent() {
    const cluster = await clusterOf()
    net
      .createServer((socket) => {
        socket.on('error', () => {})
        socket.on('data', (bytes) => say(`heard ${bytes.length} bytes`))
        socket.once('close', () => say('hung up'))
      })
      .listen(4883, () => announce(cluster))
  },
  async tamper() {
    net
      .createServer((near) => {
        const far = net.connect(4883, host)
        for (const socket of [near, far]) socket.on('error', () => {})
        near.once('close', () => far.destroy())
        far.once('close', () => near.destroy())
        near.pipe(far)
        let first = true
        far.on('data', (bytes) => {
          // The nonce: nothing that anybody decides by, so that only the repetition inside TLS can find it.
          if (first) bytes[50] ^= 1
          first = false
          near.write(bytes)
        })
      })
      .listen(4883, () => say('listening'))
  },
}

setTimeout(() => process.exit(0), 60_000)
await ways[way]()
