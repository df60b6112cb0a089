// The floating address with what an installation makes of it: two boxes with a real systemd, where the broker has no right
// to take an address, and the small unit beside it has just that one.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Box, boxesLeftOut } from './box.ts'
import { Lan, until } from './lan.ts'
import { release } from './release.ts'

const ADDRESS = '10.77.0.99'
const UNIT = 'edge-mqtt-address'
/** CAP_NET_ADMIN and CAP_NET_RAW (capabilities(7)). */
const TWO_RIGHTS = (1n << 12n) | (1n << 13n)

describe.skipIf(boxesLeftOut('boxaddress.test.ts'))('the floating address of installed boxes', () => {
  let folder: string
  let lan: Lan
  const boxes: Box[] = []

  const has = (box: Box) => box.sh('ip -4 -o addr show dev eth0').includes(ADDRESS)
  const havers = () => boxes.filter((box) => box.up && has(box))
  const holder = () => until('one box has it', 30_000, () => havers().length === 1 && havers()[0]!)
  const other = (box: Box) => boxes.find((each) => each !== box)!

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-release-'))
    const tree = release(folder)
    lan = new Lan({ gateways: 2 })
    for (const place of [1, 2]) {
      const box = new Box(lan, place)
      boxes.push(box)
      await box.boot()
      box.write('/etc/edge-mqtt/edge-mqtt.yaml', `cluster: { address: ${ADDRESS}/24 }\nauth: { anonymous: always }\n`)
      const from = place === 1 ? tree : join(boxes[0]!.root, 'root/edge-mqtt')
      box.push(from, '/root/edge-mqtt')
      box.exec('/root/edge-mqtt/install.sh')
    }
    await until('they are linked', 30_000, () => boxes.every((box) => box.links() === 1))
  })

  afterAll(async () => {
    for (const box of boxes) await box.destroy()
    lan?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  test('is held by a unit that has two rights and no more, and by nobody that is root', async () => {
    const own = await holder()
    for (const box of boxes) {
      expect(box.property('ActiveState', UNIT)).toBe('active')
      const facts = box.sh(`cat /proc/${box.property('MainPID', UNIT)}/status`)
      expect(BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(facts)![1]}`)).toBe(TWO_RIGHTS)
      expect(BigInt(`0x${/^CapBnd:\s*(\w+)/m.exec(facts)![1]}`)).toBe(TWO_RIGHTS)
      expect(Number(/^Uid:\s*(\d+)/m.exec(facts)![1])).toBeGreaterThan(0)
      expect(box.property('NRestarts', UNIT)).toBe('0')
      expect(box.status().problems).toEqual([])
    }
    expect(lan.exec('sw', 'mosquitto_sub', '-h', ADDRESS, '-t', 'any', '-E', '-d')).toContain('Subscribed')
    const score = own.exec('systemd-analyze', 'security', '--no-pager', UNIT)
    expect(Number(/Overall exposure level for \S+: ([0-9.]+)/.exec(score)![1])).toBeLessThanOrEqual(3)
  })

  test('goes to the other box when the broker is stopped, and when the power fails', async () => {
    const first = await holder()
    const second = other(first)
    first.exec('systemctl', 'stop', 'edge-mqtt')
    await until('the other has it, alone', 15_000, () => havers().length === 1 && havers()[0] === second)
    expect(first.property('ActiveState', UNIT)).toBe('inactive')
    first.exec('systemctl', 'start', 'edge-mqtt')
    await until('the unit is there again', 15_000, () => first.property('ActiveState', UNIT) === 'active')
    await until('they are linked', 30_000, () => boxes.every((box) => box.links() === 1))
    expect(havers()).toEqual([second])
    await second.crash()
    // A machine without power has no address; a namespace keeps what was last set in it.
    lan.exec(second.place, 'ip', 'addr', 'flush', 'to', ADDRESS, 'dev', 'eth0')
    await until('the first has it', 15_000, () => has(first))
    await second.boot()
    await until('they are linked', 30_000, () => boxes.every((box) => box.links() === 1))
    expect(havers()).toEqual([first])
  })

  test('is let go when the unit is killed, and taken again when systemd has started it', async () => {
    const own = await holder()
    const pid = own.property('MainPID', UNIT)
    own.exec('kill', '-9', pid)
    await until('it is back', 15_000, () => {
      const now = own.property('MainPID', UNIT)
      return now !== '0' && now !== pid
    })
    await holder()
    await until('nothing is wrong', 15_000, () => boxes.every((box) => box.status().problems.length === 0))
  })
})
