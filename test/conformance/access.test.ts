// What a client gets that may not do what it asks for, and what changes while it is connected.

import { describe, expect, test } from 'vitest'
import type { GrantedRule } from '../../src/broker/accountfile.ts'
import type { Authenticator } from '../../src/broker/ports.ts'
import { accountsInMemory } from '../unit/broker/make.ts'
import { Lab } from './lab.ts'

/** Every client is the account it names, whatever the password. */
const believing: Authenticator = { authenticate: ({ username }, done) => done('allowed', username) }

function ruled(...rules: string[]) {
  const accounts = accountsInMemory()
  const lab = new Lab({ rules: accounts, authenticator: believing })
  accounts.watch({
    rulesChanged: () => lab.broker.rulesChanged(),
    accountChanged: (name) => lab.broker.disconnect(name, 'the account has changed'),
  })
  const change = (text: string) => {
    const [who, effect, action, filter] = text.split(' ')
    accounts.setRule({ is: 'rule', who, effect, action, filter } as GrantedRule, () => {})
  }
  for (const rule of rules) change(rule)
  return { lab, accounts, change }
}

describe('PUBLISH', () => {
  for (const version of [4, 5] as const) {
    test(`[MQTT3-3.3.5-2] MQTT ${version}: what is denied is answered and goes nowhere`, () => {
      const { lab } = ruled('all deny publish secret/#')
      const reader = lab.subscribed('#', { qos: 2 })
      const writer = lab.connected({ version })
      writer.publish('secret/a', 'x', { qos: 1, messageId: 1 })
      writer.publish('secret/a', 'x', { qos: 2, messageId: 2 })
      writer.publish('secret/a', 'x', { qos: 0 })
      writer.publish('open', 'x', { qos: 1, messageId: 3 })
      const answers = writer.take()
      expect(answers.map(({ cmd, messageId, reasonCode }) => [cmd, messageId, reasonCode ?? 0])).toEqual([
        ['puback', 1, version === 5 ? 0x87 : 0],
        ['pubrec', 2, version === 5 ? 0x87 : 0],
        ['puback', 3, 0],
      ])
      expect(reader.take().map(({ topic }) => topic)).toEqual(['open'])
    })
  }

  test('a rule that comes while a client publishes counts from its next message on', () => {
    const { lab, change, accounts } = ruled()
    const reader = lab.subscribed('a')
    const writer = lab.connected()
    writer.publish('a', '1')
    change('all deny publish a')
    writer.publish('a', '2')
    accounts.removeRule({ who: 'all', action: 'publish', filter: 'a' }, () => {})
    writer.publish('a', '3')
    expect(reader.take().map(({ payload }) => String(payload))).toEqual(['1', '3'])
  })
})

describe('SUBSCRIBE', () => {
  for (const [version, refused] of [
    [4, 0x80],
    [5, 0x87],
  ] as const) {
    test(`MQTT ${version}: a filter of which nothing may be read is refused with ${refused.toString(16)}`, () => {
      const { lab } = ruled('all allow subscribe open/#', 'all allow publish #')
      const client = lab.connected({ version }).subscribe(['open/a', 'secret/#'], { qos: 1 })
      expect(client.one('suback').granted).toEqual([1, refused])
    })
  }

  test('a wide subscription brings what may be read, live, shared and retained', () => {
    const { lab } = ruled('user:r allow subscribe open/#')
    const writer = lab.connected()
    for (const topic of ['open/r', 'secret/r']) writer.publish(topic, 'kept', { retain: true })
    const reader = lab.connected({ username: 'r' }).subscribe(['#', '$share/g/+/s'])
    for (const topic of ['open/a', 'secret/a', 'secret/s', 'open/s']) writer.publish(topic, 'live')
    const topics = reader.take().flatMap(({ cmd, topic }) => (cmd === 'publish' ? [topic] : []))
    expect(topics.sort()).toEqual(['open/a', 'open/r', 'open/s', 'open/s'])
  })

  test('a subscription that was granted brings nothing more once it is denied, and again when it is not', () => {
    const { lab, change } = ruled()
    const writer = lab.connected()
    const reader = lab.subscribed('a/#')
    writer.publish('a/1', '')
    change('all deny subscribe a/#')
    writer.publish('a/2', '')
    change('all allow subscribe a/#')
    change('all allow publish a/#')
    writer.publish('a/3', '')
    expect(reader.take().map(({ topic }) => topic)).toEqual(['a/1', 'a/3'])
  })
})

describe('wills', () => {
  const will = { topic: 'secret/w', payload: 'gone', qos: 0 as const, retain: false }
  for (const [version, code] of [
    [4, 5],
    [5, 0x87],
  ] as const) {
    test(`MQTT ${version}: a CONNECT with a will that must not be published is refused with ${code}`, () => {
      const { lab } = ruled('all deny publish secret/#')
      const connack = lab.client(version).connect({ will }).one('connack')
      expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(code)
    })
  }

  test('a will that has been denied meanwhile is not published', () => {
    const { lab, change } = ruled()
    const reader = lab.subscribed('#')
    const client = lab.connected({ will })
    change('all deny publish secret/#')
    client.drop()
    expect(reader.take()).toEqual([])
  })
})

describe('accounts', () => {
  test('clients of an account that is removed are disconnected with 0x87, others are not', () => {
    const { lab, accounts } = ruled()
    const verifier = { kind: 'sha256', hash: '' } as const
    accounts.setAccount({ is: 'account', name: 'anna', verifier, scram: null, groups: [] }, () => {})
    const [anna, bob] = ['anna', 'bob'].map((username) => lab.connected({ username }))
    accounts.removeAccount('anna', () => {})
    expect(anna!.one('disconnect').reasonCode).toBe(0x87)
    expect(bob!.take()).toEqual([])
  })

  test("a session is never handed to another account's client of the same name", () => {
    const { lab } = ruled()
    const properties = { sessionExpiryInterval: 100 }
    const first = lab.subscribed('a', { id: 'c', username: 'anna', clean: false, properties, qos: 1 })
    first.drop()
    lab.connected().publish('a', 'for anna', { qos: 1, messageId: 1 })
    const second = lab.connected({ id: 'c', username: 'bob', clean: false, properties })
    expect(second.connack?.sessionPresent).toBe(false)
    expect(second.take()).toEqual([])
  })
})
