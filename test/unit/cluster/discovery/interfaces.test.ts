import { describe, expect, test } from 'vitest'
import { broadcastAddresses, ipv4, onLink, wantsInterface } from '../../../../src/cluster/discovery/interfaces.ts'
import { eth0, lo } from '../fakes.ts'

describe('interfaces spoken on', () => {
  test.each(['eth0', 'enp3s0', 'wlan0', 'end0', 'lo', 'br0', 'bond0', 'usb0', 'eth0.20'])('%s is one', (name) => {
    expect(wantsInterface(name, [])).toBe(true)
  })
  test.each([
    'docker0',
    'veth12ab',
    'br-90af',
    'virbr0',
    'tun0',
    'tap1',
    'wg0',
    'zt5u4',
    'tailscale0',
    'cni0',
    'podman1',
  ])('%s is none, unless it is named', (name) => {
    expect(wantsInterface(name, [])).toBe(false)
    expect(wantsInterface(name, [name])).toBe(true)
  })
  test('those named are the only ones', () => {
    expect(wantsInterface('eth0', ['wlan0'])).toBe(false)
  })
})

describe('addresses', () => {
  test.each([
    ['10.0.0.1', 0x0a000001],
    ['255.255.255.255', 0xffffffff],
    ['256.0.0.1', null],
    ['10.0.0', null],
    ['10.0.0.0x1', null],
    ['::1', null],
    ['gw-1.local', null],
  ])('%s', (text, value) => {
    expect(ipv4(text)).toBe(value)
  })

  test.each([
    ['10.0.0.200', true],
    ['10.0.1.1', false],
    ['127.0.0.7', true],
    ['192.168.1.1', false],
    ['fe80::1', false],
  ])('%s on link: %s', (address, believed) => {
    expect(onLink(address, [eth0(1), lo])).toBe(believed)
  })

  test('a subnet in the upper half of the address space is compared as well', () => {
    const face = { ...eth0(1), address: '192.168.1.5', netmask: '255.255.255.128' }
    expect(onLink('192.168.1.127', [face])).toBe(true)
    expect(onLink('192.168.1.128', [face])).toBe(false)
  })

  test('an interface without a subnet believes only its own address', () => {
    const face = { ...eth0(1), netmask: '0.0.0.0' }
    expect(onLink('10.0.0.1', [face])).toBe(true)
    expect(onLink('10.0.0.2', [face])).toBe(false)
  })

  test('a beacon goes to everybody and to the subnet; on loopback to the subnet; without a subnet to everybody', () => {
    expect(broadcastAddresses(eth0(1))).toEqual(['255.255.255.255', '10.0.0.255'])
    expect(broadcastAddresses(lo)).toEqual(['127.255.255.255'])
    const point = { ...eth0(1), netmask: '255.255.255.254', broadcast: '10.0.0.1' }
    expect(broadcastAddresses(point)).toEqual(['255.255.255.255'])
  })
})
