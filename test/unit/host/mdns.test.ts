import { createSocket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import type { NetInterface } from '../../../src/base/ports/datagrams.ts'
import type { FoundService } from '../../../src/base/ports/names.ts'
import { MdnsNames } from '../../../src/host/mdns.ts'
import { foundOn, hearOnLink, hostName } from '../../../src/host/mdns-voice.ts'
import { until } from '../../contract/world.ts'

const lo: NetInterface = {
  name: 'lo',
  address: '127.0.0.1',
  netmask: '255.0.0.0',
  broadcast: '127.255.255.255',
  loopback: true,
}
const all = () => true
const quick = { pollMs: 20, retryMs: 100 }

const endings: (() => void)[] = []
afterEach(() => {
  for (const end of endings.splice(0)) end()
})

describe('what keeps it from working', () => {
  test('is nothing while nobody wishes anything', () => {
    expect(new MdnsNames(() => []).problem()).toBeNull()
  })

  test('no interface is a problem; it goes when one comes, and the service is found then', async () => {
    let list: NetInterface[] = []
    const names = new MdnsNames(() => list, quick)
    const found: FoundService[] = []
    const announcement = names.announce({ name: 'edge-test-u', port: 1, instance: 'late', text: {} }, all)
    endings.push(() => announcement.withdraw(() => {}))
    endings.push(names.browse('edge-test-u', all, (service) => found.push(service)))
    await until(() => names.problem() !== null, 'the problem')
    expect(names.problem()).toContain('no network interface')
    list = [lo]
    await until(() => found.length > 0 && names.problem() === null, 'the service')
    list = []
    await until(() => names.problem() !== null, 'the problem again')
  })

  test('an address that is not this machine`s does not end the process', async () => {
    const gone: NetInterface = { ...lo, name: 'eth9', address: '203.0.113.77', netmask: '255.255.255.0' }
    const names = new MdnsNames(() => [gone, lo], quick)
    const found: FoundService[] = []
    const announcement = names.announce({ name: 'edge-test-v', port: 1, instance: 'here', text: {} }, all)
    endings.push(() => announcement.withdraw(() => {}))
    endings.push(names.browse('edge-test-v', all, (service) => found.push(service)))
    await until(() => found.length > 0, 'the service on the interface that is there')
    expect(found[0]?.addresses).toEqual(['127.0.0.1'])
    await until(() => names.problem() !== null, 'the problem')
    expect(names.problem()).toBe('mDNS on 203.0.113.77: the interface is gone')
  })
})

test('a service is found on each interface, with the address it has there', async () => {
  const single = { name: 'lo', netmask: '255.255.255.255', loopback: true }
  const list = ['127.0.0.1', '127.0.0.2'].map((address) => ({ ...single, address, broadcast: address }))
  const found: FoundService[] = []
  const announcement = new MdnsNames(() => list, quick).announce(
    { name: 'edge-test-x', port: 1, instance: 'everywhere', text: {} },
    all,
  )
  endings.push(() => announcement.withdraw(() => {}))
  endings.push(new MdnsNames(() => list, quick).browse('edge-test-x', all, (service) => found.push(service)))
  const addresses = () => new Set(found.flatMap((service) => service.addresses))
  await until(() => addresses().size === 2, 'both addresses')
  expect(found.every((service) => service.addresses.length === 1)).toBe(true)
  expect([...addresses()].sort()).toEqual(['127.0.0.1', '127.0.0.2'])
})

test('junk on the port is nobody`s end', async () => {
  const names = new MdnsNames(() => [lo], quick)
  const found: FoundService[] = []
  endings.push(names.browse('edge-test-w', all, (service) => found.push(service)))
  const junk = createSocket('udp4')
  endings.push(() => junk.close())
  await new Promise<void>((resolve) => junk.bind(0, '127.0.0.1', resolve))
  junk.setMulticastInterface('127.0.0.1')
  const name = Buffer.from('\x0e_edge-test-w\x00\x04_tcp\x05local\x00', 'latin1')
  for (let index = 0; index < 500; index++) {
    const header = Buffer.from([0, 0, index & 1 ? 0x84 : 0, 0, index & 3, index & 7, 0, 0, 0, index & 5, 0, index & 3])
    const rest = Buffer.alloc(index, index)
    junk.send(Buffer.concat([header, name, rest]), 5353, '224.0.0.251')
  }
  const announcement = names.announce({ name: 'edge-test-w', port: 7, instance: 'sane', text: {} }, all)
  endings.push(() => announcement.withdraw(() => {}))
  await until(() => found.some(({ instance }) => instance === 'sane'), 'the one that is not junk')
  expect(names.problem()).toBeNull()
})

describe('what was heard', () => {
  const on = { ...lo, name: 'eth0', address: '192.168.1.7', netmask: '255.255.255.0' }
  const referer = (address: string) => ({ address, family: 'IPv4' as const, port: 5353, size: 100 })
  const service = { name: 'gw-2', port: 4883, txt: { id: 'ab', odd: true } }

  test('counts on the interface it came by alone', () => {
    expect(foundOn(on, { ...service, addresses: [], referer: referer('10.0.0.9') })).toBeNull()
    expect(foundOn(on, { ...service, addresses: [], referer: referer('192.168.1.9') })).toEqual({
      instance: 'gw-2',
      addresses: ['192.168.1.9'],
      port: 4883,
      text: { id: 'ab' },
    })
  })

  test('from another link reaches no listener, or a browser would take the service as known', () => {
    const mdns = new EventEmitter()
    const heard: unknown[] = []
    for (const event of ['query', 'response', 'warning']) mdns.on(event, (detail) => heard.push([event, detail]))
    hearOnLink(mdns, on)
    for (const from of ['192.168.1.9', '10.0.0.9']) {
      mdns.emit('query', `asked from ${from}`, { address: from })
      mdns.emit('response', `answered from ${from}`, { address: from })
    }
    mdns.emit('warning', 'junk')
    expect(heard).toEqual([
      ['query', 'asked from 192.168.1.9'],
      ['response', 'answered from 192.168.1.9'],
      ['warning', 'junk'],
    ])
  })

  test('keeps addresses of this link and no others, IPv6 least of all', () => {
    const addresses = ['172.17.0.1', 'fe80::1', '192.168.1.8', '192.168.1.9']
    const found = foundOn(on, { ...service, addresses, referer: referer('192.168.1.9') })
    expect(found?.addresses).toEqual(['192.168.1.8', '192.168.1.9'])
  })
})

test.each([
  ['gw-1', 'gw-1.local'],
  ['Kitchen gateway (ab12.cd)', 'kitchen-gateway-ab12-cd.local'],
  ['---', 'edge-mqtt.local'],
  ['Größe', 'gr-e.local'],
  ['x'.repeat(100), `${'x'.repeat(63)}.local`],
])('the host name of %s is %s', (instance, host) => {
  expect(hostName(instance)).toBe(host)
})
