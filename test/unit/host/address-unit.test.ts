import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { AddressUnitEvents } from '../../../src/base/ports/addressunit.ts'
import { SocketAddressUnit } from '../../../src/host/address-unit.ts'
import { until } from '../../contract/world.ts'

let directory: string
let path: string
let unit: SocketAddressUnit
let told: string[]
const clients: Socket[] = []

const events = (): AddressUnitEvents => ({
  present: (there) => told.push(there ? 'there' : 'gone'),
  held: (mac) => told.push(`held ${mac}`),
  answered: (mac) => told.push(`answered ${mac}`),
  conflict: (mac) => told.push(`conflict ${mac}`),
  lapsed: () => told.push('lapsed'),
  failed: (why) => told.push(`failed ${why}`),
})
const come = async (): Promise<{ socket: Socket; heard: () => string }> => {
  const socket = connect(path)
  clients.push(socket)
  let text = ''
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString()
  })
  await new Promise((resolve) => socket.once('connect', resolve))
  return { socket, heard: () => text }
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'edge-address-'))
  path = join(directory, 'address.sock')
  unit = new SocketAddressUnit(path)
  told = []
})
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy()
  unit.close()
  rmSync(directory, { recursive: true })
})

test('tells the unit in lines, and is told in lines, however they are cut', async () => {
  unit.hold('eth0', '10.0.0.99/24', 2500)
  unit.open(events())
  const mode = () => (statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o777
  await until(() => mode() === 0o660, 'the socket, for the group alone')
  const { socket, heard } = await come()
  await until(() => told.length > 0, 'the unit')
  unit.hold('eth0', '10.0.0.99/24', 2500.4)
  unit.announce()
  unit.release()
  await until(() => heard().endsWith('release\n'), 'the words')
  expect(heard()).toBe('hold eth0 10.0.0.99/24 2500\nannounce\nrelease\n')
  for (const part of [
    'held 02:00:00:',
    '00:00:01\nanswered 02:00:00:00:00:02\nconf',
    'lict 02:00:00:00:00:03\nlapsed\n',
  ]) {
    socket.write(part)
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.end('failed ip: no such device\n')
  await until(() => told.at(-1) === 'gone', 'the end')
  expect(told).toEqual([
    ...['there', 'held 02:00:00:00:00:01', 'answered 02:00:00:00:00:02', 'conflict 02:00:00:00:00:03', 'lapsed'],
    ...['failed ip: no such device', 'gone'],
  ])
  expect(unit.problem()).toBeNull()
})

test('nonsense is not believed, and a line without an end ends the talk', async () => {
  unit.open(events())
  const { socket } = await come()
  socket.write('held me\nheld\n\u0001\nanswered 02:00:00:00:00:0g\nlapse\nHELD 02:00:00:00:00:01\n')
  socket.write('x'.repeat(5000))
  await until(() => told.at(-1) === 'gone', 'the end')
  expect(told).toEqual(['there', 'gone'])
  const again = await come()
  await until(() => told.length === 3, 'the next one')
  expect(again.socket.destroyed).toBe(false)
})

test('there is one unit; a second one is sent away', async () => {
  unit.open(events())
  await come()
  const { socket } = await come()
  await until(() => socket.destroyed, 'its end')
  expect(told).toEqual(['there'])
})

test('who is told from now on hears that the unit is there', async () => {
  unit.open(events())
  await come()
  await until(() => told.length === 1, 'the unit')
  const before = told
  told = []
  unit.open(events())
  expect([before, told]).toEqual([['there'], ['there']])
})

test('a place that cannot be used is a problem with a name, and not the end of the daemon', async () => {
  const file = join(directory, 'file')
  writeFileSync(file, '')
  unit = new SocketAddressUnit(join(file, 'address.sock'))
  unit.open(events())
  await until(() => unit.problem() !== null, 'the problem')
  expect(unit.problem()).toContain(join(file, 'address.sock'))
})

test('what a killed daemon left behind is in nobody`s way', async () => {
  unit.open(events())
  await until(() => statSync(path, { throwIfNoEntry: false }) !== undefined, 'the socket')
  const next = new SocketAddressUnit(path)
  next.open(events())
  await come()
  await until(() => told.includes('there'), 'the unit at the next daemon')
  expect(next.problem()).toBeNull()
  next.close()
})
