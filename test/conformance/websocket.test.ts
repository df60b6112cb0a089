// MQTT over WebSocket (MQTT 6): a broker behind a real listener, and clients that write their frames by hand.

import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { HostError } from '../../src/base/errors.ts'
import { Meter } from '../../src/base/meter.ts'
import { silentLog } from '../../src/base/ports/log.ts'
import type { Listening } from '../../src/base/ports/streams.ts'
import { Broker } from '../../src/broker/broker.ts'
import { NoPeers, NoRules } from '../../src/broker/ports.ts'
import { defaultBrokerSettings } from '../../src/broker/settings.ts'
import { HostClock } from '../../src/host/clock.ts'
import { TcpStreams } from '../../src/host/tcp.ts'
import { maskedFrame, plainly, readFrames } from '../contract/dialled.ts'
import { until } from '../contract/world.ts'
import { Lab, plainRandom } from './lab.ts'
import { rawConnect } from './raw.ts'

const BINARY = 2
const CONTINUATION = 0
const TEXT = 1
const CLOSE = 8
const PINGREQ = Buffer.from('c000', 'hex')

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

async function port(): Promise<number> {
  const broker = new Broker(defaultBrokerSettings, {
    clock: new HostClock(),
    random: plainRandom(),
    log: silentLog,
    meter: new Meter(),
    peers: new NoPeers(),
    rules: new NoRules(),
    authenticator: { authenticate: (_request, done) => done('allowed') },
    origin: { node: '0123456789abcdef' as never, incarnation: 1 },
  })
  const listening = await new Promise<Listening | HostError>((resolve) => {
    const how = { ...plainly, websocket: { path: '/mqtt', frameBytesMax: 65_536 } }
    const accepted = broker.accept.bind(broker)
    new TcpStreams().listen(
      { address: '127.0.0.1', port: 0 },
      (stream, visitor) => accepted(stream, { name: 'ws' }, visitor),
      resolve,
      how,
    )
  })
  if (listening instanceof HostError) throw listening
  ends.push(() => {
    listening.close()
    broker.stop()
  })
  return listening.port
}

class WebClient {
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  closed = false

  constructor(at: number, subprotocols: string) {
    this.#socket = connect(at, '127.0.0.1')
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.closed = true
    })
    this.#socket.on('data', (bytes: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes])
    })
    ends.push(() => this.#socket.destroy())
    const key = randomBytes(16).toString('base64')
    this.#socket.write(
      'GET /mqtt HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: ${subprotocols}\r\n\r\n`,
    )
  }

  get #headEnd(): number {
    return this.#bytes.indexOf('\r\n\r\n')
  }

  get head(): string {
    return this.#bytes.toString('latin1', 0, Math.max(0, this.#headEnd))
  }

  get frames(): { opcode: number; payload: Buffer }[] {
    return this.#headEnd < 0 ? [] : readFrames(this.#bytes.subarray(this.#headEnd + 4)).frames
  }

  /** What the data frames carry, in hexadecimal. */
  get mqtt(): string {
    return Buffer.concat(this.frames.filter(({ opcode }) => opcode === BINARY).map(({ payload }) => payload)).toString(
      'hex',
    )
  }

  write(...frames: Buffer[]): this {
    this.#socket.write(Buffer.concat(frames))
    return this
  }
}

async function client(subprotocols = 'mqtt'): Promise<WebClient> {
  const web = new WebClient(await port(), subprotocols)
  await until(() => web.head !== '', 'the answer to the upgrade')
  return web
}

describe.each([4, 5] as const)('version %i over WebSocket', (version) => {
  const packet = rawConnect({ version })

  test('[MQTT-6.0.0-4] [MQTT3-6.0.0-4] the server chooses the subprotocol mqtt', async () => {
    const web = await client('amqp, mqtt')
    expect(web.head).toMatch(/^HTTP\/1\.1 101 /)
    expect(web.head).toContain('Sec-WebSocket-Protocol: mqtt')
    web.write(maskedFrame(BINARY, packet))
    await until(() => web.mqtt.startsWith('20'), 'the CONNACK in a binary frame')
  })

  test('[MQTT-6.0.0-2] [MQTT3-6.0.0-2] packets share frames and span them', async () => {
    const web = await client()
    const bytes = Buffer.concat([packet, PINGREQ, PINGREQ, PINGREQ])
    web.write(
      maskedFrame(BINARY, bytes.subarray(0, 3), false),
      maskedFrame(CONTINUATION, bytes.subarray(3, 5)),
      maskedFrame(BINARY, Buffer.alloc(0)),
      maskedFrame(BINARY, bytes.subarray(5, bytes.length - 3)),
      maskedFrame(BINARY, bytes.subarray(bytes.length - 3)),
    )
    await until(() => web.mqtt.endsWith('d000d000d000'), 'the CONNACK and three answers')
    expect(web.closed).toBe(false)
  })

  test('[MQTT-6.0.0-1] [MQTT3-6.0.0-1] a text frame closes the connection', async () => {
    const web = await client()
    web.write(maskedFrame(BINARY, packet), maskedFrame(TEXT, PINGREQ))
    await until(() => web.closed, 'the close')
    const last = web.frames.at(-1)!
    // 1003: data of a kind that cannot be accepted (RFC 6455 7.4.1).
    expect([last.opcode, last.payload.readUInt16BE()]).toEqual([CLOSE, 1003])
    expect(web.mqtt).not.toContain('d000')
  })

  test('a frame over the bound of a packet closes the connection before it comes', async () => {
    const web = await client()
    web.write(maskedFrame(BINARY, Buffer.alloc(65_537)).subarray(0, 14))
    await until(() => web.closed, 'the close')
    expect(web.frames.at(-1)!.payload.readUInt16BE()).toBe(1009)
  })

  test('a client that says goodbye is answered', async () => {
    const web = await client()
    web.write(maskedFrame(BINARY, packet), maskedFrame(CLOSE, Buffer.from([3, 232])))
    await until(() => web.closed, 'the close')
    expect(web.frames.at(-1)).toEqual({ opcode: CLOSE, payload: Buffer.from([3, 232]) })
  })
})

describe('a listener of its own terms', () => {
  test('[MQTT-3.1.3-8] one that wants client ids answers an empty one with 0x85 and closes', () => {
    const lab = new Lab()
    const accept = lab.broker.accept.bind(lab.broker)
    lab.broker.accept = (stream, terms, visitor) => accept(stream, { ...terms, allowEmptyClientId: false }, visitor)
    const refused = lab.client(5).connect({ id: '' })
    expect(refused.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0x85 }])
    expect(refused.closed).toBe(true)
    expect(lab.client(5).connect({ id: 'a' }).take()).toMatchObject([{ cmd: 'connack', reasonCode: 0 }])
  })

  test('its own bound of connections is kept beside that of all', () => {
    const lab = new Lab()
    const accept = lab.broker.accept.bind(lab.broker)
    lab.broker.accept = (stream, terms, visitor) => accept(stream, { ...terms, maxConnections: 1 }, visitor)
    const first = lab.client(4, 'a').connect()
    const second = lab.client(4, 'a').connect()
    const third = lab.client(4, 'b').connect()
    expect([first.closed, second.closed, third.closed]).toEqual([false, true, false])
  })

  test('the clients of a listener that is gone are told and go; others stay', () => {
    const lab = new Lab()
    const goes = lab.client(5, 'a').connect()
    const stays = lab.client(5, 'b').connect()
    goes.take()
    lab.broker.closeAll('a')
    lab.clock.settle()
    expect(goes.take()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x98 }])
    expect([goes.closed, stays.closed]).toEqual([true, false])
  })
})
