import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { listeningInodes, portHolder } from '../../../src/host/port-holder.ts'

const proc = mkdtempSync(join(tmpdir(), 'edge-mqtt-proc-'))
afterAll(() => rmSync(proc, { recursive: true }))

const heading = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const row = (address: string, state: string, inode: string) =>
  `   0: ${address} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000   108        0 ${inode} 1 0000000000000000\n`

mkdirSync(join(proc, 'net'))
mkdirSync(join(proc, '812/fd'), { recursive: true })
writeFileSync(
  join(proc, 'net/tcp'),
  heading + row('00000000:075B', '0A', '4711') + row('0100007F:1388', '01', '4712') + row('00000000:1313', '0A', '99'),
)
writeFileSync(join(proc, 'net/tcp6'), heading + row('00000000000000000000000000000000:075B', '0A', '4713'))
writeFileSync(join(proc, '812/comm'), 'mosquitto\n')
symlinkSync('socket:[4713]', join(proc, '812/fd/5'))

test('listening sockets of both families are found by their port, others are not', () => {
  expect(listeningInodes(1883, proc)).toEqual(new Set(['4711', '4713']))
  expect(listeningInodes(5000, proc)).toEqual(new Set())
})

test('the process with such a socket is the holder', () => {
  expect(portHolder(1883, proc)).toBe('mosquitto (pid 812)')
})

test('a holder that does not show its files is not told, nor is one where there is none', () => {
  expect(portHolder(4883, proc)).toBeNull()
  expect(portHolder(5000, proc)).toBeNull()
  expect(portHolder(1883, join(proc, 'nowhere'))).toBeNull()
})
