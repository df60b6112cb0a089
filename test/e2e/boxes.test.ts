// Several installed gateways on one LAN, each a Debian with a real systemd: the folder is copied on and the boxes are one
// broker; a box from elsewhere waits; a copied disk becomes a box of its own.

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Box, boxesLeftOut } from './box.ts'
import { Lan, until } from './lan.ts'
import { release } from './release.ts'

/** The library that tells a service another time; a box has no clock of its own that could be wrong. */
const FAKETIME = '/usr/lib/libfaketime.so.1'
const faketime = (): string | undefined =>
  readdirSync('/usr/lib')
    .map((folder) => `/usr/lib/${folder}/faketime/libfaketime.so.1`)
    .find((file) => existsSync(file))

if (faketime() === undefined)
  console.warn('\n*** boxes.test.ts: a boot in 1970 SKIPPED: libfaketime is not installed ***\n')

describe.skipIf(boxesLeftOut('boxes.test.ts'))('gateways on one LAN', () => {
  let folder: string
  let lan: Lan
  const boxes: Box[] = []
  let tree: string
  const add = (place: number): Box => {
    const box = new Box(lan, place)
    boxes.push(box)
    return box
  }

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-release-'))
    tree = release(folder)
    lan = new Lan({ gateways: 4 })
  })

  afterAll(async () => {
    for (const box of boxes) await box.destroy()
    lan?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  test('the folder of the first, copied on, is all that the second needs', async () => {
    const first = await add(1).boot()
    first.push(tree, '/root/edge-mqtt')
    const said = first.exec('/root/edge-mqtt/install.sh')
    expect(said).toContain('with certs/ in it')

    const second = await add(2).boot()
    second.push(join(first.root, 'root/edge-mqtt'), '/root/edge-mqtt')
    const installed = performance.now()
    second.exec('/root/edge-mqtt/install.sh')
    await until('both are linked', 20_000, () => first.links() === 1 && second.links() === 1)
    const heard = lan.spawn(2, 'mosquitto_sub', ['-h', '127.0.0.1', '-t', 'greeting', '-C', '1', '-q', '1'])
    let text = ''
    heard.stdout!.on('data', (bytes: Buffer) => {
      text += bytes.toString()
    })
    await until('the route is known', 5_000, () => first.status().routes === 1)
    lan.exec(1, 'mosquitto_pub', '-h', '127.0.0.1', '-t', 'greeting', '-m', 'across the boxes', '-q', '1')
    await until('it has come', 5_000, () => text === 'across the boxes\n')
    expect(performance.now() - installed).toBeLessThan(20_000)
    await until('systemctl status knows both', 5_000, () => /2 of 2 members linked/.test(first.property('StatusText')))
  })

  test('a start without network is a start; an address that comes late, and another one later, are found', async () => {
    const [first, second] = boxes as [Box, Box]
    const address = (...words: string[]) => lan.exec(2, 'ip', 'addr', ...words, 'dev', 'eth0')
    await second.crash()
    address('flush')
    await second.boot()
    await until('it is active', 20_000, () => second.property('ActiveState') === 'active')
    expect(second.links()).toBe(0)
    lan.exec(2, 'mosquitto_pub', '-h', '127.0.0.1', '-t', 'greeting', '-m', 'alone', '-q', '1')
    address('add', '10.77.0.2/24', 'brd', '+')
    await until('it is linked', 20_000, () => first.links() === 1 && second.links() === 1)
    address('flush')
    address('add', '10.77.0.102/24', 'brd', '+')
    await until('it is linked again', 30_000, () => {
      const other = first.status().cluster.members.find((member) => !member.self)
      return other?.linked === true && other.address.startsWith('10.77.0.102:')
    })
  })

  test.skipIf(faketime() === undefined)('a box that boots in 1970 is up, and links', async () => {
    const [first, second] = boxes as [Box, Box]
    second.push(faketime()!, FAKETIME)
    const clock = '/etc/systemd/system/edge-mqtt.service.d/clock.conf'
    const words = [`LD_PRELOAD=${FAKETIME}`, '"FAKETIME=@1970-01-01 00:01:00"', 'FAKETIME_DONT_FAKE_MONOTONIC=1']
    second.write(clock, `[Service]\nEnvironment=${words.join(' ')}\n`)
    await second.reboot()
    await until('it is active', 20_000, () => second.property('ActiveState') === 'active')
    await until('it is linked', 20_000, () => first.links() === 1 && second.links() === 1)
    await until('systemctl status says so', 20_000, () => /2 of 2 members linked/.test(second.property('StatusText')))
    const hour = 3_600_000
    expect(Math.max(...second.status().cluster.members.map(({ sinceMs }) => sinceMs))).toBeLessThan(hour)
    expect(Math.max(...first.status().cluster.members.map(({ sinceMs }) => sinceMs))).toBeGreaterThan(hour)
    // And the right time again, decades later.
    second.sh(`rm ${clock} && systemctl daemon-reload && systemctl restart edge-mqtt`)
    await until('it is linked again', 20_000, () => first.links() === 1 && second.links() === 1)
  })

  test('a box with a folder from elsewhere waits and says what to type, and then does as it is told', async () => {
    const third = await add(3).boot()
    third.push(tree, '/root/edge-mqtt')
    const said = third.exec('/root/edge-mqtt/install.sh')
    expect(said).toContain('This box has heard a cluster and waits to be let in')
    expect(said).toContain('copy certs/ (ca.crt and ca.key) of a box that is a member')
    expect(said).toContain('sudo ./install.sh --new-cluster')
    await until('systemctl status says it', 15_000, () => /waiting to be let in/.test(third.property('StatusText')))
    const [first] = boxes as [Box]
    for (const file of ['ca.crt', 'ca.key']) {
      third.push(join(first.root, 'root/edge-mqtt/certs', file), `/root/edge-mqtt/certs/${file}`)
    }
    third.exec('/root/edge-mqtt/install.sh')
    await until('all three are linked', 20_000, () => first.links() === 2 && third.links() === 2)
  })

  test('a copy of a whole disk, started beside its original, makes itself a new identity and links', async () => {
    const [first, second] = boxes as [Box, Box]
    const original = second.status()
    await second.crash()
    const copy = add(4)
    copy.copyDiskOf(second)
    await second.boot()
    // The later start gives way, and starts are told apart by the second.
    await until('the original has run for a while', 30_000, () => second.status().node.uptimeMs > 1500)
    await copy.boot()
    await until('the copy is another', 30_000, () => {
      const { node, cluster } = copy.status()
      return node.id !== original.node.id && cluster.id === original.cluster.id
    })
    expect(second.status().node.id).toBe(original.node.id)
    await until('all four are linked', 30_000, () => first.links() === 3 && copy.links() === 3)
  })
})
