import { createSocket, type RemoteInfo } from 'node:dgram'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { MdnsNames } from '../../../src/host/mdns.ts'
import {
  addressRecord,
  NAME_TTL_SEC,
  type NameReply,
  type Query,
  SharedName,
  wantsAddress,
} from '../../../src/host/shared-name.ts'
import { until } from '../../contract/world.ts'

const name = 'edge-mqtt.local'
const own = '192.168.1.7'
const question = (type = 'A', asked = name): Query => ({ questions: [{ name: asked, type }] })
const known = (data: string, ttl: number): Query => ({ ...question(), answers: [{ name, type: 'A', ttl, data }] })

describe('a question', () => {
  test.each<[string, Query, boolean]>([
    ['for its address', question('A'), true],
    ['for anything of it', question('ANY'), true],
    ['in other letters', question('A', 'Edge-MQTT.local'), true],
    ['for IPv6', question('AAAA'), false],
    ['for another name', question('A', 'printer.local'), false],
    ['by who knows this box', known(own, NAME_TTL_SEC), false],
    ['by who will soon forget this box', known(own, NAME_TTL_SEC / 2 - 1), true],
    ['by who knows another box', known('192.168.1.8', NAME_TTL_SEC), true],
  ])('%s', (_what, query, answered) => {
    expect(wantsAddress(query, name, own)).toBe(answered)
  })
})

test('never throws out what other boxes have said', () => {
  expect(addressRecord(name, own, NAME_TTL_SEC)).toEqual({ name, type: 'A', ttl: 10, flush: false, data: own })
})

describe('on an interface', () => {
  afterEach(() => {
    vi.useRealTimers()
  })
  const neighbour = { address: '192.168.1.9', port: 5353 }
  const make = () => {
    vi.useFakeTimers()
    const said: NameReply[] = []
    return { said, shared: new SharedName(name, own, (reply) => said.push(reply)) }
  }

  test('tells of itself twice, and of its end', () => {
    const { said, shared } = make()
    shared.announce()
    vi.advanceTimersByTime(5000)
    shared.stop()
    shared.goodbye(() => {})
    expect(said.map(({ packet, to }) => [packet.answers[0]!.ttl, to])).toEqual([
      [10, null],
      [10, null],
      [0, null],
    ])
  })

  test('answers a crowd once a second, after a moment', () => {
    const { said, shared } = make()
    for (let asked = 0; asked < 100; asked++) shared.asked(question(), neighbour)
    expect(said).toHaveLength(0)
    vi.advanceTimersByTime(120)
    for (let asked = 0; asked < 100; asked++) shared.asked(question(), neighbour)
    vi.advanceTimersByTime(800)
    expect(said).toHaveLength(1)
    vi.advanceTimersByTime(1000)
    shared.asked(question(), neighbour)
    vi.advanceTimersByTime(120)
    expect(said).toHaveLength(2)
  })

  test('answers a plain resolver itself, with its number and its question, and no flood of them', () => {
    const { said, shared } = make()
    for (let asked = 0; asked < 100; asked++)
      shared.asked({ id: asked, ...question('ANY') }, { ...neighbour, port: 40_000 })
    expect(said).toHaveLength(50)
    expect(said[7]).toEqual({
      packet: {
        id: 7,
        questions: [{ name, type: 'ANY', class: 'IN' }],
        answers: [addressRecord(name, own, NAME_TTL_SEC)],
      },
      to: { address: '192.168.1.9', port: 40_000 },
    })
    vi.advanceTimersByTime(1000)
    shared.asked({ id: 1, ...question() }, { ...neighbour, port: 40_000 })
    expect(said).toHaveLength(51)
  })
})

test('a resolver that only knows DNS gets an answer from the network, byte for byte', async () => {
  const lo = { name: 'lo', address: '127.0.0.1', netmask: '255.0.0.0', broadcast: '127.255.255.255', loopback: true }
  const announcement = new MdnsNames(() => [lo]).share('edge-test-name.local', () => true)
  const socket = createSocket('udp4')
  const answers: Buffer[] = []
  socket.on('message', (bytes: Buffer, _from: RemoteInfo) => answers.push(Buffer.from(bytes)))
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  socket.setMulticastInterface('127.0.0.1')
  const asked = Buffer.from('\x0eedge-test-name\x05local\x00\x00\x01\x00\x01', 'latin1')
  const query = Buffer.concat([Buffer.from('123400000001000000000000', 'hex'), asked])
  await until(() => {
    if (answers.length === 0) socket.send(query, 5353, '224.0.0.251')
    return answers.length > 0
  }, 'the answer')
  const address = Buffer.from(
    '\x0eedge-test-name\x05local\x00\x00\x01\x00\x01\x00\x00\x00\x0a\x00\x04\x7f\x00\x00\x01',
    'latin1',
  )
  const answered = Buffer.concat([Buffer.from('123484000001000100000000', 'hex'), asked, address])
  expect(answers[0]!.toString('hex')).toBe(answered.toString('hex'))
  socket.close()
  await new Promise<void>((resolve) => announcement.withdraw(resolve))
})
