// A member gone bad: it has a certificate of the cluster's CA, links as a member does, and then breaks the rules.
//   node member.mjs DIST WAY HOST CERTS       DIST: the built program's folder, whose own frames it abuses
// Says `linked` when its link is used, then `closed: WHY` with the goodbye that it was told.

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { pathToFileURL } from 'node:url'

const [dist, way, host, certs] = process.argv.slice(2)
const built = (path) => import(pathToFileURL(join(dist, path)).href)
const { decodeHello, encodeHello } = await built('wire/link/hello.js')
const { encodeConfirm } = await built('wire/link/confirm.js')
const { decodeGoodbye, encodeFrame, encodeOpen, FrameKind, FrameReader } = await built('wire/link/frame.js')
const { encodeMembers } = await built('wire/link/members.js')
const { encodeTime } = await built('wire/link/time.js')
const x509 = await built('host/x509.js')

// Higher than any other, so that the other side chooses the link; another each time, because its key is another.
const NODE = `ffffffffffff${randomBytes(2).toString('hex')}`
const INSTANCE = 'ffffffff00000003'
const say = (word) => console.log(word)
const open = (number, name) => encodeFrame(FrameKind.open, number, encodeOpen(name, 1_000_000))
const data = (number, body) => encodeFrame(FrameKind.data, number, body)

const LATER = 'what a later version says'
const DOWNGRADED = 'a downgraded hello'

const ways = {
  [LATER]: (send) => {
    send(encodeFrame(200, 0, Buffer.from('a kind of frame that is not known yet')))
    send(open(1, 'time'))
    send(open(2, 'future'))
    send(encodeFrame(99, 2, Buffer.from('a kind on a channel')))
    send(data(1, Buffer.from('c8 kinds of messages', 'latin1')))
    setTimeout(() => say('said'), 2000)
  },
  'a frame without end': (send) => send(Buffer.from('7fffffff0100', 'hex')),
  'a frame too short': (send) => send(Buffer.from('00000001ffffff', 'hex')),
  'a channel that was not opened': (send) => send(data(77, Buffer.from('words'))),
  'channels without end': (send) => {
    for (let number = 1; number < 2000; number++) send(open(number, `channel-${number}`))
  },
  'nonsense for members': (send) => {
    send(open(1, 'members'))
    send(data(1, Buffer.from('ffff', 'hex')))
  },
  'an absurd time': (send) => {
    send(open(1, 'time'))
    const told = { synchronised: true, established: true, timeMs: 2 ** 48 - 1, ownMs: 0, followedMs: 0, sets: 0 }
    send(data(1, encodeTime({ ...told, agreeing: 1 })))
  },
  'pieces without end': (send) => {
    send(open(1, 'members'))
    send(encodeFrame(FrameKind.pieceFirst, 1, Buffer.concat([Buffer.from('7fffffff', 'hex'), Buffer.alloc(16_000)])))
  },
  'a goodbye in the name of others': (send) => {
    send(open(1, 'members'))
    const entry = { instance: 'ffffffffffffffff', endpoints: [], name: 'x', version: '1', linked: false, left: true }
    for (const id of JSON.parse(process.env.OTHERS)) send(data(1, encodeMembers([{ ...entry, id }])))
    setTimeout(() => say('said'), 1000)
  },
  'pings without end, and it never reads': (send, secure) => {
    secure.pause()
    const pings = Buffer.concat(Array.from({ length: 5000 }, () => encodeFrame(FrameKind.ping, 0, Buffer.alloc(4))))
    const more = () => {
      while (secure.writableLength < 1_000_000 && !secure.destroyed) send(pings)
      if (!secure.destroyed) setTimeout(more, 5)
    }
    more()
    setTimeout(() => say('said'), 5000)
  },
}

const socket = net.connect(4883, host)
socket.on('error', () => {})
const hello = await new Promise((resolve) => socket.once('data', (bytes) => resolve(bytes)))
socket.pause()
const theirs = decodeHello(hello)
const helloOf = (versionMax) =>
  encodeHello({
    ...theirs,
    versionMax,
    node: NODE,
    instance: INSTANCE,
    nonce: Buffer.alloc(16, 9),
    intent: 'link',
  })
// Somebody on the way has taken the newer version out of what is heard in the clear.
const ours = helloOf(way === LATER || way === DOWNGRADED ? theirs.versionMax + 1 : theirs.versionMax)
const heard = way === DOWNGRADED ? helloOf(theirs.versionMax) : ours
const ca = {
  certificate: readFileSync(join(certs, 'ca.crt'), 'utf8'),
  privateKey: readFileSync(join(certs, 'ca.key'), 'utf8'),
}
const keys = await x509.makeKeys()
const cert = await x509.issue(ca, NODE, keys.publicKey)
const options = {
  key: keys.privateKey,
  cert,
  ca: ca.certificate,
  requestCert: true,
  rejectUnauthorized: false,
  minVersion: 'TLSv1.3',
}
const server = tls.createServer(options)
server.on('tlsClientError', (error) => say(`tls: ${error.code}`))
server.on('secureConnection', (secure) => {
  let why = 'without a word'
  const reader = new FrameReader()
  const send = (bytes) => secure.write(bytes)
  secure.on('error', () => {})
  secure.once('close', () => say(`closed: ${why}`))
  send(
    encodeFrame(
      FrameKind.confirm,
      0,
      encodeConfirm({
        acceptorHello: hello,
        diallerHello: ours,
        clusterPort: 4883,
        endpoints: [],
        name: 'bad',
        version: '1',
      }),
    ),
  )
  secure.on('data', (bytes) =>
    reader.read(bytes, 0, bytes.length, (kind, _channel, buffer, start, end) => {
      if (kind === FrameKind.goodbye) {
        const { reason, text } = decodeGoodbye(buffer, start, end)
        why = `${reason}: ${text}`
      }
      if (kind === FrameKind.adopt) {
        say('linked')
        ways[way](send, secure)
      }
      return true
    }),
  )
})
socket.write(heard)
server.emit('connection', socket)
