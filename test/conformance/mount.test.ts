// A listener with a mount point: its clients live in their part of the topics.

import { describe, expect, test } from 'vitest'
import { type Client, Lab } from './lab.ts'

function labWithMount(): Lab {
  const lab = new Lab()
  const accept = lab.broker.accept.bind(lab.broker)
  lab.broker.accept = (stream, terms, visitor) =>
    accept(stream, { ...terms, ...(terms.name === 'site' ? { mountPoint: 'site-1/' } : {}) }, visitor)
  return lab
}

const got = (client: Client) =>
  client
    .take()
    .filter(({ cmd }) => cmd === 'publish')
    .map((packet) => {
      // biome-ignore lint/suspicious/noExplicitAny: whatever fields the packet has
      const { topic, payload, properties } = packet as any
      return [topic, String(payload), properties?.responseTopic ?? null]
    })

describe.each([4, 5] as const)('version %i', (version) => {
  const publish = (topic: string, payload: string, qos = 0) => ({ cmd: 'publish', topic, payload, qos, messageId: 7 })

  test('what is said there is heard outside below the prefix, and what is not below it is not heard there', () => {
    const lab = labWithMount()
    const inside = lab.client(version, 'site').connect()
    const outside = lab.client(version).connect()
    inside.subscribe('#')
    outside.subscribe('#')
    inside.take()
    outside.take()
    inside.send(publish('a', 'from inside'))
    outside.send(publish('site-1/b', 'from outside', 1), publish('elsewhere', 'not for them'))
    expect(got(inside)).toEqual([
      ['a', 'from inside', null],
      ['b', 'from outside', null],
    ])
    expect(got(outside)).toEqual([
      ['site-1/a', 'from inside', null],
      ['site-1/b', 'from outside', null],
      ['elsewhere', 'not for them', null],
    ])
  })

  test('retained messages, wills and shares live there too; packets may come byte by byte', () => {
    const lab = labWithMount()
    const outside = lab.client(version).connect()
    outside.subscribe('site-1/gone')
    lab
      .client(version)
      .connect()
      .send({ ...publish('site-1/state', 'on'), retain: true })
    const dying = lab.client(version, 'site').connect({ will: { topic: 'gone', payload: 'dead' } })
    const shared = lab.client(version, 'site').connect()
    shared.subscribe('$share/g/work')
    shared.take()
    const late = lab.client(version, 'site').connect()
    late.take()
    for (const byte of Buffer.from(version === 5 ? '820b0001000005737461746500' : '820a00010005737461746500', 'hex')) {
      late.raw([byte])
    }
    expect(got(late)).toEqual([['state', 'on', null]])
    outside.take()
    dying.stream.drop('gone')
    lab.clock.settle()
    expect(got(outside)).toEqual([['site-1/gone', 'dead', null]])
    outside.send(publish('site-1/work', 'to do'))
    expect(got(shared)).toEqual([['work', 'to do', null]])
  })

  test('a packet over the bound is refused as elsewhere', () => {
    const lab = labWithMount()
    const client = lab.client(version, 'site').connect()
    client.take()
    client.raw('30ffffff7f')
    if (version === 5) expect(client.take()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x95 }])
    expect(client.closed).toBe(true)
  })
})

test('a response topic is understood on both sides', () => {
  const lab = labWithMount()
  const inside = lab.client(5, 'site').connect()
  const outside = lab.client(5).connect()
  inside.subscribe('reply/me')
  outside.subscribe('site-1/ask')
  inside.take()
  outside.take()
  inside.send({ cmd: 'publish', topic: 'ask', payload: '?', qos: 0, properties: { responseTopic: 'reply/me' } })
  expect(got(outside)).toEqual([['site-1/ask', '?', 'site-1/reply/me']])
  outside.send({ cmd: 'publish', topic: 'site-1/reply/me', payload: '!', qos: 0 })
  expect(got(inside)).toEqual([['reply/me', '!', null]])
})
