// Certificates for listeners and devices, read back by OpenSSL's own eyes.

import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import { addressBytes } from '../../../src/host/interfaces.ts'
import { HostTrust } from '../../../src/host/trust.ts'
import { issueService, makeAuthority, makeKeys } from '../../../src/host/x509.ts'

const ca = await makeAuthority('1122334455667788' as never)
const keys = await makeKeys()
const issue = async (subject: Partial<Parameters<typeof issueService>[1]>) => {
  const whole = { commonName: 'gw-1', names: [], addresses: [], fromMs: null, toMs: null, ...subject }
  return new X509Certificate(await issueService(ca, whole, keys.publicKey))
}

describe('of a listener', () => {
  test('names hosts and addresses of both families, for its time', async () => {
    const [fromMs, toMs] = [Date.UTC(2027, 0, 2, 3, 4, 5), Date.UTC(2050, 0, 2)]
    const addresses = ['192.168.1.5', 'fd77::1', '::1', 'not an address']
    const certificate = await issue({ names: ['gw-1', 'gw-1.local'], addresses, fromMs, toMs })
    expect(certificate.checkHost('gw-1.local')).toBe('gw-1.local')
    for (const address of addresses.slice(0, 3)) expect(certificate.checkIP(address)).toBeDefined()
    expect(certificate.checkIP('192.168.1.6')).toBeUndefined()
    expect([Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]).toEqual([fromMs, toMs])
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
    const authority = new X509Certificate(ca.certificate)
    expect([certificate.checkIssued(authority), certificate.verify(authority.publicKey), certificate.ca]).toEqual([
      true,
      true,
      false,
    ])
  })
})

describe('of a device', () => {
  test('names it in any script, for good, and is no server', async () => {
    const certificate = await issue({ commonName: 'Küche 7' })
    expect(certificate.subject).toBe('CN=Küche 7')
    expect(certificate.subjectAltName).toBeUndefined()
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
    expect(certificate.validTo).toContain('9999')
  })

  test('is never that of a node', async () => {
    const certificate = await issue({ commonName: '0123456789abcdef' })
    expect(new HostTrust().read(certificate.toString())).toBeInstanceOf(HostError)
  })
})

test('addresses as bytes', () => {
  const text = (address: string) => addressBytes(address)?.toString('hex') ?? null
  expect(text('10.0.0.255')).toBe('0a0000ff')
  expect(text('::')).toBe('0'.repeat(32))
  expect(text('fe80::1%eth0')).toBe('fe80000000000000000000000000' + '0001')
  expect(text('1:2:3:4:5:6:7:8')).toBe('00010002000300040005000600070008')
  expect(text('::ffff:192.0.2.1')).toBe('00000000000000000000ffffc0000201')
  expect(text('gw-1')).toBeNull()
})
