// Somebody without any key of the cluster, who tries to get in, or in the way. Runs inside a test LAN.
//   node stranger.mjs DIST WAY HOST [MORE]       DIST: the built program's folder, whose own formats it abuses
// What MORE is stands at each way. Says what becomes of it, a word a line.

import { randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { pathToFileURL } from 'node:url'

const [dist, way, host, more] = process.argv.slice(2)
const built = (path) => import(pathToFileURL(join(dist, path)).href)
const { decodeHello, encodeHello } = await built('wire/link/hello.js')
const { beaconText } = await built('wire/link/beacon.js')
const x509 = await built('host/x509.js')
const HELLO = 64
const PORT = 4883
const NODE = 'abababababababab'
const HELLO_REQUEST = Buffer.from('160303000400000000', 'hex')
const PSK = 'ECDHE-PSK-CHACHA20-POLY1305'
const say = (word) => console.log(word)

const dial = (to = host, from = undefined) => {
  const socket = net.connect({ port: PORT, host: to, localAddress: from })
  socket.on('error', () => {})
  socket.once('close', () => say('closed'))
  return socket
}

/** Reads exactly so many bytes off the socket, and leaves the rest. */
const hear = (socket, bytes) =>
  new Promise((resolve) => {
    const look = () => {
      const heard = socket.read(bytes)
      if (heard === null) return
      socket.off('readable', look)
      resolve(heard)
    }
    socket.on('readable', look)
    look()
  })

const helloOf = async (to) => {
  const socket = dial(to)
  const hello = await hear(socket, HELLO)
  socket.destroy()
  return hello
}

const hello = (theirs, change = {}) =>
  encodeHello({
    ...theirs,
    ...{ node: NODE, instance: 'ffffffff00000001', nonce: randomBytes(16), intent: 'link', ...change },
  })

/** The CA and key of a public authority that this LAN's machines trust: `ca.crt`, `ca.key` in MORE. */
const publicCa = () => ({
  certificate: readFileSync(join(more, 'ca.crt'), 'utf8'),
  privateKey: readFileSync(join(more, 'ca.key'), 'utf8'),
})

/** A certificate as a web server has one. */
const webCertificate = async (ca, names) => {
  const keys = await x509.makeKeys()
  const day = 86_400_000
  const dates = { fromMs: Date.now() - day, toMs: Date.now() + 90 * day }
  const cert = await x509.issueService(ca, { commonName: names[0], names, addresses: [host], ...dates }, keys.publicKey)
  return { key: keys.privateKey, cert }
}

const nodeCertificate = async (ca, node) => {
  const keys = await x509.makeKeys()
  return { key: keys.privateKey, cert: await x509.issue(ca, node, keys.publicKey) }
}

/** TLS as the dialler of a link speaks it: the server's side. */
const serveTls = (socket, options) => {
  const server = tls.createServer({ ...options, requestCert: true, rejectUnauthorized: false })
  server.on('secureConnection', (secure) => {
    secure.on('error', () => {})
    secure.on('data', (bytes) => say(`heard ${bytes.length} bytes`))
    say('secured')
  })
  server.on('tlsClientError', (error) => say(`tls: ${error.code}`))
  server.emit('connection', socket)
}

/** Dials, shows this hello, and then the certificate. */
const linkBy = async (ours, identity) => {
  const socket = dial()
  const theirs = decodeHello(await hear(socket, HELLO))
  socket.write(ours(theirs))
  serveTls(socket, identity)
}

/** Asks to be let in, up to the point where the member has begun TLS. */
const enrol = async () => {
  const socket = dial()
  const theirs = decodeHello(await hear(socket, HELLO))
  socket.write(hello(theirs, { intent: 'enrol', cluster: null }))
  await hear(socket, HELLO_REQUEST.length)
  return socket
}

/** The client's side of TLS 1.2 with a key, or whatever `options` say. */
const keyed = (socket, options) => {
  const secure = tls.connect({ socket, rejectUnauthorized: false, checkServerIdentity: () => undefined, ...options })
  secure.on('error', (error) => say(`tls: ${error.code}`))
  secure.once('secureConnect', () => say('secured'))
  secure.on('data', (bytes) => say(`heard ${bytes.length} bytes`))
}

const announce = (cluster) => {
  const beacon = Buffer.concat([
    Buffer.from([PORT >> 8, PORT & 255]),
    Buffer.from(cluster, 'hex'),
    Buffer.from(NODE, 'hex'),
    Buffer.from('ffffffff00000001', 'hex'),
  ])
  const socket = dgram.createSocket('udp4')
  socket.bind(0, () => {
    socket.setBroadcast(true)
    const tell = () => socket.send(beacon, 4883, '10.77.0.255')
    tell()
    setInterval(tell, 1000)
  })
}

/** Pretends to be a member of a cluster to boxes that want to be let in. */
const member = (options) => {
  const cluster = 'c0ffeec0ffeec0ff'
  const ours = { versionMin: 1, versionMax: 1, cluster }
  net
    .createServer(async (socket) => {
      socket.on('error', () => {})
      socket.write(hello(ours))
      const theirs = decodeHello(await hear(socket, HELLO))
      say(`asked by ${theirs.intent}`)
      socket.write(HELLO_REQUEST)
      serveTls(socket, options)
    })
    .listen(PORT, () => announce(cluster))
}

/** Whether this machine trusts what `identity` shows at localhost. */
const trusts = (identity) =>
  new Promise((resolve) => {
    const server = tls
      .createServer(identity, (socket) => socket.on('error', () => {}))
      .listen(0, () => {
        const socket = tls.connect({ port: server.address().port, servername: 'localhost', rejectUnauthorized: false })
        socket.once('secureConnect', () => resolve(socket.authorized))
      })
  })

const ways = {
  // HOST: folder of the cluster's CA. MORE: folder for a public CA, which says that it is the cluster's.
  'make a public CA': async () => {
    const { clusterId } = x509.factsOf(x509.parseCertificate(readFileSync(join(host, 'ca.crt'), 'utf8')))
    const { certificate, privateKey } = await x509.makeAuthority(clusterId)
    mkdirSync(more)
    writeFileSync(join(more, 'ca.crt'), certificate)
    writeFileSync(join(more, 'ca.key'), privateKey)
    process.exit(0)
  },
  // MORE: folder of the public CA.
  'is it trusted here': async () => {
    say((await trusts(await webCertificate(publicCa(), ['localhost']))) ? 'trusted' : 'not trusted')
    process.exit(0)
  },

  // MORE: folder of the public CA.
  'a public certificate of a web server': async () =>
    linkBy((theirs) => hello(theirs), await webCertificate(publicCa(), ['edge-mqtt.local'])),
  'a certificate in the form of ours, by a public CA': async () =>
    linkBy((theirs) => hello(theirs), await nodeCertificate(publicCa(), NODE)),

  // MORE: the address of another member, whose hello is said again.
  'a replayed hello': async () => {
    const recorded = await helloOf(more)
    const theirs = decodeHello(recorded)
    const identity = await nodeCertificate(await x509.makeAuthority(theirs.cluster), theirs.node)
    await linkBy(() => recorded, identity)
  },
  'its own hello': async () => {
    const recorded = await helloOf(host)
    const identity = await nodeCertificate(await x509.makeAuthority(decodeHello(recorded).cluster), NODE)
    await linkBy(() => recorded, identity)
  },
  'a version that nobody speaks': async () => {
    const socket = dial()
    const theirs = decodeHello(await hear(socket, HELLO))
    socket.write(hello(theirs, { versionMin: theirs.versionMax + 1, versionMax: theirs.versionMax + 2 }))
    socket.on('data', (bytes) => say(`heard ${bytes.length} bytes`))
  },

  // Who wants to be let in, and has nothing:
  'no key at all': async () => keyed(await enrol(), { minVersion: 'TLSv1.2', ciphers: 'ALL:!PSK' }),
  'no key, over TLS 1.3': async () => keyed(await enrol(), { minVersion: 'TLSv1.3' }),
  'a key that nobody has': async () =>
    keyed(await enrol(), {
      ...{ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: PSK },
      pskCallback: () => ({ identity: 'invite-2222', psk: randomBytes(32) }),
    }),
  // MORE: the name of an invite.
  'the wrong key': async () =>
    keyed(await enrol(), {
      ...{ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: PSK },
      pskCallback: () => ({ identity: more, psk: randomBytes(32) }),
    }),

  // A member that has none of the keys, but a certificate that the machine trusts. MORE: folder of the public CA.
  'a member with a certificate': async () => {
    const identity = await webCertificate(publicCa(), ['edge-mqtt.local', 'localhost'])
    member({ ...identity, minVersion: 'TLSv1.2', ciphers: 'ALL' })
  },
  'a member with a wrong key': async () => {
    const psk = { pskCallback: () => randomBytes(32), ciphers: PSK }
    member({ ...psk, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
  },

  // MORE: addresses of this machine, by commas. Three ways of being slow, again as soon as it is hung up on.
  'slow handshakes': async () => {
    const addresses = more.split(',')
    let opened = 0
    const open = (index) => {
      const socket = net.connect({ port: PORT, host, localAddress: addresses[index % addresses.length] })
      socket.on('error', () => {})
      socket.once('close', () => setTimeout(() => open(index), 500))
      opened++
      if (index % 3 === 0) return
      socket.once('data', (bytes) => {
        const ours = hello(decodeHello(bytes.subarray(0, HELLO)))
        if (index % 3 === 1) return socket.write(ours)
        let at = 0
        const drip = setInterval(() => socket.write(ours.subarray(at, ++at)), 500)
        socket.once('close', () => clearInterval(drip))
      })
    }
    for (let index = 0; index < 400; index++) open(index)
    setInterval(() => say(`opened ${opened}`), 500)
  },
  // The same at a listener with TLS: connected, and not a word.
  'slow clients': async () => {
    for (let index = 0; index < 600; index++) net.connect(8883, host).on('error', () => {})
    setInterval(() => say('there'), 500)
  },

  // MORE: the cluster's id. Boxes by the thousand, all of them at the printer of HOST.
  'mDNS answers': async () => {
    const require = createRequire(
      createRequire(createRequire(join(dist, 'x')).resolve('bonjour-service')).resolve('multicast-dns'),
    )
    const dns = require('dns-packet')
    const socket = dgram.createSocket({ type: 'udp4', reuseAddr: true })
    await new Promise((resolve) => socket.bind(5353, resolve))
    socket.setMulticastInterface(host)
    let sent = 0
    const timer = setInterval(() => {
      for (let each = 0; each < 50; each++, sent++) {
        const id = randomBytes(8).toString('hex')
        const name = `box ${id}._edge-mqtt._tcp.local`
        const text = beaconText({ cluster: more, node: id, instance: randomBytes(8).toString('hex') })
        const data = Object.entries(text).map(([key, value]) => Buffer.from(`${key}=${value}`))
        const target = `box-${id}.local`
        const packet = dns.encode({
          type: 'response',
          answers: [{ type: 'PTR', name: '_edge-mqtt._tcp.local', ttl: 4500, data: name }],
          additionals: [
            { type: 'SRV', name, ttl: 120, data: { port: 9100, target, priority: 0, weight: 0 } },
            { type: 'TXT', name, ttl: 4500, data },
            { type: 'A', name: target, ttl: 120, data: host },
          ],
        })
        socket.send(packet, 5353, '224.0.0.251')
      }
      if (sent < 5000) return
      clearInterval(timer)
      say(`sent ${sent}`)
    }, 20)
  },
}

setTimeout(() => process.exit(0), 90_000)
await ways[way]()
