import { createSocket } from 'node:dgram'
import { afterEach, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { DatagramPort, NetInterface } from '../../../src/base/ports/datagrams.ts'
import { broadcastAddress, ipv4Interfaces, sameSubnet } from '../../../src/host/interfaces.ts'
import { UdpDatagrams } from '../../../src/host/udp.ts'
import { until } from '../../contract/world.ts'

// Not the port of the contract test, which may run at the same time in another process.
const PORT = 30_000 + (process.pid % 10_000)
const endings: (() => void)[] = []
afterEach(() => {
  for (const end of endings.splice(0)) end()
})

const lo: NetInterface = {
  name: 'lo',
  address: '127.0.0.1',
  netmask: '255.0.0.0',
  broadcast: '127.255.255.255',
  loopback: true,
}
const gone: NetInterface = {
  name: 'eth9',
  address: '203.0.113.77',
  netmask: '255.255.255.0',
  broadcast: '203.0.113.255',
  loopback: false,
}

interface Failure {
  readonly where: string | null
  readonly error: HostError
}

async function bind(datagrams: UdpDatagrams, heard: string[] = [], failures: Failure[] = [], at = PORT) {
  const answers: (DatagramPort | HostError)[] = []
  datagrams.bind(
    at,
    (bytes) => heard.push(bytes.toString('latin1')),
    (where, error) => failures.push({ where: where?.name ?? null, error }),
    (result) => answers.push(result),
  )
  await until(() => answers.length > 0, 'bind')
  const port = answers[0]!
  if (!(port instanceof HostError)) endings.push(() => port.close())
  return port
}

test('sending from an address that is not ours fails by word, not by throwing, and the others go on', async () => {
  const heard: string[] = []
  const failures: Failure[] = []
  const port = (await bind(new UdpDatagrams(), heard, failures)) as DatagramPort
  port.send(gone, { address: gone.broadcast, port: PORT }, Buffer.from('nowhere'))
  port.send(lo, { address: lo.broadcast, port: PORT }, Buffer.from('here'))
  await until(() => heard.length > 0 && failures.length > 0, 'the datagram and the failure')
  expect(heard).toEqual(['here'])
  expect(failures[0]).toMatchObject({ where: 'eth9', error: { kind: 'unavailable' } })
})

test('what the kernel refuses to send is a failure too', async () => {
  const failures: Failure[] = []
  const port = (await bind(new UdpDatagrams(), [], failures)) as DatagramPort
  port.send(lo, { address: '127.0.0.1', port: 0 }, Buffer.from('no port'))
  port.send(lo, { address: '127.0.0.1', port: PORT }, Buffer.alloc(70_000))
  await until(() => failures.length === 2, 'both failures')
  expect(failures.every(({ error }) => error instanceof HostError)).toBe(true)
})

test('the socket of an address that is gone is closed, and made anew when the address is back', async () => {
  let list = [lo]
  const datagrams = new UdpDatagrams(() => list)
  const heard: string[] = []
  const failures: Failure[] = []
  const port = (await bind(datagrams, heard, failures)) as DatagramPort
  port.send(lo, { address: lo.broadcast, port: PORT }, Buffer.from('one'))
  await until(() => heard.length === 1, 'the first')
  list = []
  expect(datagrams.interfaces()).toEqual([])
  list = [lo]
  datagrams.interfaces()
  port.send(lo, { address: lo.broadcast, port: PORT }, Buffer.from('two'))
  await until(() => heard.length === 2, 'the second')
  expect([heard, failures]).toEqual([['one', 'two'], []])
})

test('a port that another holds for itself alone is unavailable', async () => {
  const holder = createSocket('udp4')
  await new Promise<void>((resolve) => holder.bind({ port: 0, address: '0.0.0.0' }, resolve))
  endings.push(() => holder.close())
  const result = await bind(new UdpDatagrams(), [], [], holder.address().port)
  expect(result).toMatchObject({ kind: 'unavailable', message: expect.stringContaining(String(holder.address().port)) })
  expect(await bind(new UdpDatagrams(), [], [], 70_000)).toBeInstanceOf(HostError)
})

test('a flood of datagrams is heard without harm', async () => {
  const heard: string[] = []
  await bind(new UdpDatagrams(), heard)
  const sender = createSocket('udp4')
  endings.push(() => sender.close())
  for (let index = 0; index < 5000; index++) sender.send(Buffer.alloc(index % 1400, 1), PORT, '127.0.0.1')
  await until(() => heard.length > 100, 'some of the flood')
  expect(heard.every((text) => text === '\x01'.repeat(text.length))).toBe(true)
})

test.each([
  ['192.168.1.7', '255.255.255.0', '192.168.1.255'],
  ['10.77.0.3', '255.255.0.0', '10.77.255.255'],
  ['172.20.5.9', '255.255.255.252', '172.20.5.11'],
  ['203.0.113.4', '255.255.255.255', '203.0.113.4'],
  ['200.1.2.3', '128.0.0.0', '255.255.255.255'],
])('the broadcast address of %s/%s is %s', (address, netmask, broadcast) => {
  expect(broadcastAddress(address, netmask)).toBe(broadcast)
})

test('neighbours are told by the netmask', () => {
  const on = { address: '192.168.1.7', netmask: '255.255.255.0' }
  expect(sameSubnet('192.168.1.200', on)).toBe(true)
  expect(sameSubnet('192.168.2.200', on)).toBe(false)
})

test('this machine has its loopback interface', () => {
  expect(ipv4Interfaces()).toContainEqual(lo)
})
