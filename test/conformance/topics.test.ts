// Topic names, filters and the strings they are made of, in both versions.

import { describe, expect, test } from 'vitest'
import { type Client, Lab } from './lab.ts'
import { packet, rawPublish, rawSubscribe, rawUnsubscribe, split, text } from './raw.ts'

const versions = [4, 5] as const

/** Topics of the PUBLISH packets received, as bytes. */
function topics(client: Client): Buffer[] {
  const found = split(client.bytes)
    .filter((bytes) => bytes[0]! >> 4 === 3)
    .map((bytes) => bytes.subarray(4, 4 + bytes[3]!))
  client.bytes = Buffer.alloc(0)
  client.take()
  return found
}

describe.each(versions)('version %i', (version) => {
  test('[MQTT3-1.5.3-3] [MQTT-1.5.4-3] EF BB BF is a character like others, in topics, filters and client ids', () => {
    const lab = new Lab()
    const plain = lab.connected({ version }).raw(rawSubscribe(version, 'x'))
    const marked = lab.connected({ version, id: '\ufeffid' }).raw(rawSubscribe(version, '\ufeffx'))
    lab.connected({ version, id: 'id' })
    expect(marked.closed).toBe(false)
    lab.connected({ version }).raw(rawPublish(version, '\ufeffx'))
    expect(topics(marked)).toEqual([Buffer.from('efbbbf78', 'hex')])
    expect(topics(plain)).toEqual([])
  })

  test('[MQTT3-4.7.3-4] [MQTT-4.7.3-4] nothing is normalised: case, composed characters, slashes', () => {
    const lab = new Lab()
    const names = ['a', 'A', '\u00e9', 'e\u0301', 'a/', '/a', 'a//', ' a', 'a ']
    const clients = names.map((name) => lab.subscribed(name, { version }))
    const publisher = lab.connected({ version })
    for (const name of names) publisher.publish(name, 'v')
    expect(clients.map((client) => client.got())).toEqual(names.map((name) => [`${name}=v`]))
  })

  test('[MQTT3-3.10.4-1] [MQTT-3.10.4-1] UNSUBSCRIBE compares filters character by character', () => {
    const lab = new Lab()
    const client = lab.subscribed('a/+', { version })
    const publisher = lab.connected()
    for (const filter of ['a/b', 'a/#', 'A/+', 'a/+/', '+/+']) client.raw(rawUnsubscribe(version, filter))
    client.take()
    publisher.publish('a/b', '1')
    expect(client.got()).toEqual(['a/b=1'])
    client.raw(rawUnsubscribe(version, 'a/+'))
    publisher.publish('a/b', '2')
    expect(client.got()).toEqual([])
  })

  test('[MQTT3-4.7.3-3] [MQTT-4.7.3-3] a topic may have 65,535 bytes', () => {
    const lab = new Lab()
    const long = `${'ab'.repeat(32_767)}c`
    const client = lab.subscribed(long, { version })
    lab.connected({ version }).publish(long, 'v')
    expect(client.one('publish').topic).toBe(long)
  })

  test.each(['a#', 'a/b#', '#/a', 'a/#/b', '##'])(
    '[MQTT3-4.7.1-2] [MQTT-4.7.1-1] # stands alone or behind /, and last: %s is refused',
    (filter) => {
      refused(version, filter)
    },
  )

  test.each(['+a', 'a+', 'a/+b', 'a/b+/c', '++', '#+'])(
    '[MQTT3-4.7.1-3] [MQTT-4.7.1-2] + fills a whole level: %s is refused',
    (filter) => {
      refused(version, filter)
    },
  )

  test.each<[string, string[], string[]]>([
    ['sport/tennis/player1/#', ['sport/tennis/player1', 'sport/tennis/player1/a/b'], ['sport/tennis/player10']],
    ['a/+/#', ['a/b', 'a/b/c', 'a/', 'a//x'], ['a', 'b/c']],
    ['+/tennis/#', ['x/tennis', '/tennis/y'], ['tennis', '$x/tennis']],
    ['sport/+', ['sport/', 'sport/a'], ['sport', 'sport/a/b']],
    ['+/+', ['/finance', 'a/b'], ['finance', '$a/b']],
    ['/+', ['/finance'], ['finance', 'a/b']],
    ['#', ['a', '/', 'a/b'], ['$SYS', '$a', '$a/b']],
    ['+', ['a', ' '], ['$a', '/']],
    ['$a/+', ['$a/b'], ['a/b', '$b/b']],
  ])('[MQTT3-4.7.2-1] [MQTT-4.7.2-1] [MQTT3-3.3.2-3] [MQTT-3.3.2-3] what %s gets matches it', (filter, yes, no) => {
    const lab = new Lab()
    const client = lab.subscribed(filter, { version })
    const publisher = lab.connected({ version })
    for (const topic of [...no, ...yes]) publisher.publish(topic, 'v')
    expect(client.got()).toEqual(yes.map((topic) => `${topic}=v`))
  })

  test('[MQTT3-3.8.3-2] filters with wildcards are supported, and so refused nowhere', () => {
    const client = new Lab().connected({ version }).subscribe(['#', '+', 'a/+/b/#', '+/+/+'], { qos: 1 })
    expect(client.one('suback').granted).toEqual([1, 1, 1, 1])
  })
})

function refused(version: 4 | 5, filter: string): void {
  const lab = new Lab()
  const client = lab.connected({ version }).raw(rawSubscribe(version, filter))
  expect(client.one('suback').granted).toEqual([version === 5 ? 0x8f : 0x80])
  expect(lab.broker.counts().subscriptions).toBe(0)
}

test('[MQTT-1.5.5-1] lengths are written in the fewest bytes', () => {
  for (const length of [0, 100, 127, 128, 16_383, 16_384, 2_097_151]) {
    for (const first of [0x30, 0x32]) {
      const lab = new Lab()
      const client = lab.subscribed('x', { qos: first === 0x32 ? 1 : 0 })
      client.bytes = Buffer.alloc(0)
      const payload = 'p'.repeat(length)
      const bytes = rawPublish(5, 'x', payload, first, 1)
      lab.connected().raw(bytes)
      expect(client.bytes.equals(bytes)).toBe(true)
      // From another form: the packet is made anew.
      client.bytes = Buffer.alloc(0)
      lab.connected({ version: 4 }).raw(rawPublish(4, 'x', payload))
      expect(client.bytes.equals(packet(0x30, text('x'), 0, Buffer.from(payload)))).toBe(true)
    }
  }
})

describe('[MQTT-4.8.2-1] [MQTT-4.8.2-2] names of shared subscriptions', () => {
  test.each(['$share//a', '$share/+/a', '$share/#/a', '$share/a+/b', '$share/g', '$share/g/', '$share/g/a#'])(
    '[MQTT-4.8.2-1] [MQTT-4.8.2-2] %s is refused',
    (filter) => {
      refused(5, filter)
    },
  )

  test.each(['$share/g/a', '$share/g/#', '$share/g//a', '$share/\u00e9/+/a', '$share/ /a'])('%s is taken', (filter) => {
    expect(new Lab().connected().subscribe(filter).one('suback').granted).toEqual([0])
  })

  test('$share alone and $shared/x/y are filters like others', () => {
    const lab = new Lab()
    const client = lab.subscribed(['$share', '$shared/x/y'])
    lab.connected().publish('$share', '1').publish('$shared/x/y', '2')
    expect(client.got()).toEqual(['$share=1', '$shared/x/y=2'])
  })
})
