// The HTTP side of a WebSocket listener (RFC 6455 4.2): one path, one upgrade, the subprotocol of MQTT. Whatever else is
// asked gets a short answer and a closed connection.

import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const HEADER_BYTES_MAX = 8 * 1024
const VERSION = '13'
/** The name before MQTT 3.1.1 had one. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1']

interface Answer {
  readonly status: number
  readonly words: string
  readonly headers: Readonly<Record<string, string>>
}

const NOT_FOUND: Answer = { status: 404, words: 'Not Found', headers: {} }
const UPGRADE: Answer = {
  status: 426,
  words: 'Upgrade Required',
  headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': VERSION },
}
const BAD_REQUEST: Answer = { status: 400, words: 'Bad Request', headers: {} }

/** For sockets that are given to it by 'connection'. An upgraded socket has answered and holds what came behind. */
export function upgradeServer(
  path: string,
  upgraded: (request: IncomingMessage, socket: Duplex) => void,
  refused: (socket: Duplex, why: string) => void,
): Server {
  // The caller has a deadline of its own for everything before the upgrade.
  const options = { maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 0, headersTimeout: 0, keepAlive: false }
  const server = createServer(options)
  const refuse = (socket: Duplex, answer: Answer): void => {
    refused(socket, `HTTP ${answer.status}`)
    if (socket.destroyed) return
    socket.on('error', () => {})
    socket.resume()
    socket.end(answerText(answer))
  }
  server.on('request', (request, response) => {
    const { status, headers } = pathOf(request) === path ? UPGRADE : NOT_FOUND
    refused(request.socket, `HTTP ${status}`)
    response.writeHead(status, { ...headers, Connection: 'close', 'Content-Length': '0' }).end()
  })
  server.on('upgrade', (request, socket, head: Buffer) => {
    if (pathOf(request) !== path) return refuse(socket, NOT_FOUND)
    const answer = judge(request)
    if ('status' in answer) return refuse(socket, answer)
    socket.on('error', () => {})
    if (head.length > 0) socket.unshift(head)
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${answer.accept}\r\nSec-WebSocket-Protocol: ${answer.subprotocol}\r\n\r\n`,
    )
    upgraded(request, socket)
  })
  server.on('connect', (_request, socket) => refuse(socket, BAD_REQUEST))
  server.on('clientError', (_error, socket) => refuse(socket, BAD_REQUEST))
  return server
}

const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0]!

/** What the answer must say, or why there is none but a refusal. */
function judge({ method, headers }: IncomingMessage): { accept: string; subprotocol: string } | Answer {
  const key = headers['sec-websocket-key']
  if (method !== 'GET' || headers.upgrade?.toLowerCase() !== 'websocket') return BAD_REQUEST
  if (key === undefined || !/^[A-Za-z0-9+/]{22}==$/.test(key)) return BAD_REQUEST
  if (headers['sec-websocket-version'] !== VERSION) return UPGRADE
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  // [MQTT-6.0.0-4]
  const subprotocol = SUBPROTOCOLS.find((name) => offered.includes(name))
  if (subprotocol === undefined) return BAD_REQUEST
  return {
    accept: createHash('sha1')
      .update(key + GUID)
      .digest('base64'),
    subprotocol,
  }
}

const answerText = ({ status, words, headers }: Answer): string =>
  [
    `HTTP/1.1 ${status} ${words}`,
    ...Object.entries({ ...headers, Connection: 'close', 'Content-Length': '0' }).map((line) => line.join(': ')),
    '\r\n',
  ].join('\r\n')
