// Enhanced authentication: AUTH before the CONNACK and on open connections, with a method that counts to three.

import { describe, expect, test } from 'vitest'
import type { Authenticator, Exchange, ExchangeStep } from '../../src/broker/ports.ts'
import { type Client, Lab } from './lab.ts'

const METHOD = 'COUNT'

/** The client says `1`, `2` and then its name; what is `later` is judged when the test says so. */
class Counting implements Authenticator {
  readonly waiting: (() => void)[] = []
  later = false
  authenticate(_request: unknown, done: (result: 'notAuthorized') => void): void {
    done('notAuthorized')
  }
  exchange(method: string): Exchange | null {
    if (method !== METHOD) return null
    let count = 0
    return {
      step: (data, done) => {
        const judge = () => done(this.#judge(++count, String(data)))
        if (this.later) this.waiting.push(judge)
        else judge()
      },
    }
  }
  #judge(count: number, said: string): ExchangeStep {
    if (count === 3) return said === 'x' ? { at: 'refused' } : { at: 'done', account: said, data: Buffer.from('bye') }
    return said === String(count) ? { at: 'continue', data: Buffer.from(`not yet ${count}`) } : { at: 'refused' }
  }
}

const begin = (data = '1') => ({ authenticationMethod: METHOD, authenticationData: Buffer.from(data) })
const auth = (client: Client, data: string, reasonCode = 0x18, method = METHOD) =>
  client.send({
    cmd: 'auth',
    reasonCode,
    properties: { authenticationMethod: method, authenticationData: Buffer.from(data) },
  })

function make() {
  const authenticator = new Counting()
  const lab = new Lab({ authenticator })
  const client = lab.client()
  const connected = () => {
    client.connect({ properties: begin() })
    auth(client, '2')
    auth(client, 'anna')
    client.take()
    return client
  }
  return { authenticator, lab, client, connected }
}

/** Kind, reason, method and data of everything received. */
const seen = (client: Client) =>
  client
    .take()
    .map(({ cmd, reasonCode, properties }) => [
      cmd,
      reasonCode,
      properties?.authenticationMethod ?? null,
      String(properties?.authenticationData ?? ''),
    ])

describe('before the CONNACK', () => {
  test('[MQTT-4.12.0-2] [MQTT-4.12.0-5] AUTH 0x18 with the method until it is done, then a CONNACK with it', () => {
    const { client } = make()
    client.connect({ properties: begin() })
    auth(client, '2')
    auth(client, 'anna')
    expect(seen(client)).toEqual([
      ['auth', 0x18, METHOD, 'not yet 1'],
      ['auth', 0x18, METHOD, 'not yet 2'],
      ['connack', 0, METHOD, 'bye'],
    ])
    expect(client.closed).toBe(false)
  })

  test('[MQTT-3.15.2-2] [MQTT-3.15.2-3] an AUTH has neither reason string nor user properties, and fits the client', () => {
    const { client, lab } = make()
    client.connect({ properties: begin() })
    expect(Object.keys(client.one('auth').properties).sort()).toEqual(['authenticationData', 'authenticationMethod'])
    const small = lab.client().connect({ properties: { ...begin(), maximumPacketSize: 20 } })
    // Not even a CONNACK with these properties would fit.
    expect(seen(small)).toEqual([['connack', 0x95, null, '']])
    expect(small.closed).toBe(true)
  })

  test('whoever does not prove it gets 0x87', () => {
    const { client } = make()
    client.connect({ properties: begin() })
    auth(client, 'not two')
    expect(seen(client).at(-1)).toEqual(['connack', 0x87, null, ''])
    expect(client.closed).toBe(true)
  })

  for (const [what, send] of [
    ['[MQTT-4.12.0-3] an AUTH that does not continue', (client) => auth(client, '2', 0x19)],
    ['an AUTH with another method', (client) => auth(client, '2', 0x18, 'OTHER')],
    ['[MQTT-3.1.4-6] anything else', (client) => client.subscribe('#')],
    ['a PUBLISH', (client) => client.publish('a', 'x')],
    ['a second CONNECT', (client) => client.connect()],
  ] as readonly (readonly [string, (client: Client) => void])[]) {
    test(`${what} is a protocol error`, () => {
      const { client, lab } = make()
      client.connect({ properties: begin() })
      client.take()
      send(client)
      expect(seen(client)).toEqual([['connack', 0x82, null, '']])
      expect(client.closed).toBe(true)
      expect(lab.broker.counts().sessions).toBe(0)
    })
  }

  test('nothing is read while an answer is judged, and it goes on behind it', () => {
    const { client, authenticator } = make()
    authenticator.later = true
    client.connect({ properties: begin() })
    expect(client.stream.paused).toBe(true)
    auth(client, '2')
    expect([authenticator.waiting.length, client.inbox.length]).toEqual([1, 0])
    for (let round = 0; round < 2; round++) {
      authenticator.waiting.shift()!()
      client.raw()
    }
    auth(client, 'anna')
    authenticator.waiting.shift()!()
    client.raw()
    expect(seen(client).map(([cmd]) => cmd)).toEqual(['auth', 'auth', 'connack'])
    expect(client.stream.paused).toBe(false)
  })

  test('who goes away meanwhile is gone, and who says nothing is overdue', () => {
    const { client, authenticator, lab } = make()
    authenticator.later = true
    client.connect({ properties: begin() })
    client.drop()
    authenticator.waiting.shift()!()
    expect(lab.broker.counts().clients).toBe(0)
    authenticator.later = false
    const silent = lab.client().connect({ properties: begin() })
    lab.advance(10_001)
    expect(silent.closed).toBe(true)
  })
})

describe('on an open connection', () => {
  test('[MQTT-4.12.0-5] re-authentication ends with AUTH 0x00, and the rest goes on meanwhile', () => {
    const { connected, authenticator } = make()
    const client = connected()
    auth(client, '1', 0x19)
    authenticator.later = true
    auth(client, '2')
    client.send({ cmd: 'pingreq' })
    expect(client.take().map(({ cmd }) => cmd)).toEqual(['auth', 'pingresp'])
    authenticator.waiting.shift()!()
    client.raw()
    authenticator.later = false
    auth(client, 'anna')
    expect(seen(client)).toEqual([
      ['auth', 0x18, METHOD, 'not yet 2'],
      ['auth', 0, METHOD, 'bye'],
    ])
    expect(client.closed).toBe(false)
  })

  for (const [what, last] of [
    ['without the proof', 'x'],
    ['as somebody else', 'bob'],
  ]) {
    test(`[MQTT-4.12.1-2] re-authentication ${what} disconnects with 0x87`, () => {
      const { connected } = make()
      const client = connected()
      auth(client, '1', 0x19)
      auth(client, '2')
      client.take()
      auth(client, last!)
      expect(client.one('disconnect').reasonCode).toBe(0x87)
      expect(client.closed).toBe(true)
    })
  }

  for (const [what, send] of [
    ['with another method', (client) => auth(client, '1', 0x19, 'OTHER')],
    ['[MQTT-4.12.0-3] that continues what was not begun', (client) => auth(client, '1', 0x18)],
    ['that begins in the middle of another', (client) => auth(auth(client, '1', 0x19), '1', 0x19)],
  ] as readonly (readonly [string, (client: Client) => void])[]) {
    test(`an AUTH ${what} is a protocol error`, () => {
      const { connected } = make()
      const client = connected()
      send(client)
      expect(client.take().at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
    })
  }
})
