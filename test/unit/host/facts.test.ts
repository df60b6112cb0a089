import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { hardwareFacts, readFacts } from '../../../src/host/facts.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'edge-mqtt-facts-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const put = (path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}
const card = (name: string, mac: string, { hardware = true, assigned = '0' } = {}): void => {
  put(`sys/class/net/${name}/address`, `${mac}\n`)
  put(`sys/class/net/${name}/addr_assign_type`, `${assigned}\n`)
  if (hardware) symlinkSync('../../../devices/pci', join(root, `sys/class/net/${name}/device`))
}

test('a Raspberry Pi is known by machine id, board serial and the address of its card', () => {
  put('etc/machine-id', '0123456789abcdef0123456789abcdef\n')
  put('proc/device-tree/serial-number', '10000000c0ffee00\0')
  card('eth0', 'DC:A6:32:00:00:01')
  card('wlan0', 'dc:a6:32:00:00:02')
  expect(readFacts(root)).toEqual({
    machineId: '0123456789abcdef0123456789abcdef',
    boardSerial: '10000000c0ffee00',
    firstMac: 'dc:a6:32:00:00:01',
  })
})

test('bridges and random addresses tie a node to nothing', () => {
  card('br0', '02:00:00:00:00:01', { hardware: false })
  card('docker0', '02:00:00:00:00:02', { hardware: false })
  card('eth0', '02:00:00:00:00:03', { assigned: '1' })
  card('wlan0', 'dc:a6:32:00:00:02')
  expect(readFacts(root)).toEqual({ machineId: '', boardSerial: '', firstMac: 'dc:a6:32:00:00:02' })
})

test('where the kernel tells nothing, other tools are asked, and not waited for too long', async () => {
  const asked = await hardwareFacts(root, 5000)
  for (const fact of Object.values(asked)) expect(typeof fact).toBe('string')
  const start = performance.now()
  expect(await hardwareFacts(root, 0)).toEqual({ machineId: '', boardSerial: '', firstMac: '' })
  expect(performance.now() - start).toBeLessThan(1000)
})
