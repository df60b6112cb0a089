import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import type { ClusterId } from '../../../../src/base/ids.ts'
import { devicesPassword } from '../../../../src/ops/auth/devices.ts'
import { KeptDevices } from '../../../../src/ops/auth/keptdevices.ts'
import { FilesInMemory } from '../../broker/make.ts'

const cluster = '0123456789abcdef' as ClusterId
const [first, second, third] = [1, 2, 3].map(() => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  return { certificate: '', privateKey: String(privateKey.export({ format: 'pem', type: 'pkcs8' })) }
}) as [Ca, Ca, Ca]
type Ca = { readonly certificate: string; readonly privateKey: string }
const password = devicesPassword(first.privateKey, cluster)
const file = (files: FilesInMemory) => files.read('devices.sealed')

test('the password of the first CA is told after any number of replacements and restarts', () => {
  const files = new FilesInMemory()
  const running = new KeptDevices(files)
  expect(running.password).toBeNull()
  expect(running.standsOn(first, cluster, 0)).toMatchObject([{ name: 'devices' }])
  expect([running.password, file(files)]).toEqual([password, null])
  expect(running.standsOn(second, cluster, 1)).toEqual([])
  expect(running.password).toBe(password)
  const again = new KeptDevices(files)
  again.standsOn(second, cluster, 1)
  expect(again.password).toBe(password)
  again.standsOn(third, cluster, 2)
  const last = new KeptDevices(files)
  last.standsOn(third, cluster, 2)
  expect(last.password).toBe(password)
})

test('it is not written anew at each start, nor in the clear', () => {
  const files = new FilesInMemory()
  const running = new KeptDevices(files)
  running.standsOn(first, cluster, 0)
  running.standsOn(second, cluster, 1)
  const written = file(files)!
  running.standsOn(second, cluster, 1)
  expect(file(files)!.equals(written)).toBe(true)
  expect(written.includes(password)).toBe(false)
})

test('a box from which the key was deleted tells it no more, and neither does one with another key', () => {
  const files = new FilesInMemory()
  const running = new KeptDevices(files)
  running.standsOn(first, cluster, 0)
  running.standsOn(second, cluster, 1)
  expect(running.standsOn(null, cluster, 1)).toEqual([])
  expect(running.password).toBeNull()
  const stolen = new KeptDevices(files)
  stolen.standsOn(third, cluster, 2)
  expect(stolen.password).toBeNull()
})

test.each([0, 20, 28, 40, 300])('a file of %i bytes that means nothing is none', (length) => {
  const files = new FilesInMemory()
  files.write('devices.sealed', Buffer.alloc(length, 7), true, () => {})
  const running = new KeptDevices(files)
  running.standsOn(second, cluster, 1)
  expect(running.password).toBeNull()
})
