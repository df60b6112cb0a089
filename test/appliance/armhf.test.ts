// 32-bit Raspberry Pi OS is armhf: a Debian of that kind under qemu-user, with the distribution's Node.js. systemd starts
// no services there (qemu-user lacks the system calls), so install.sh judges and installs, and the daemon is started as
// the unit would. The unit itself is seen on a 32-bit PC, in test/e2e/clone.test.ts.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NodeStatus } from '../../src/compose.ts'
import { Box, boxMissing } from '../e2e/box.ts'
import { makeCerts } from '../e2e/certs.ts'
import { Gateway } from '../e2e/gateway.ts'
import { Lan, until } from '../e2e/lan.ts'
import { release } from '../e2e/release.ts'

const MINUTE = 60_000
const EMULATOR = '/proc/sys/fs/binfmt_misc/qemu-arm'
const missing =
  boxMissing() ?? (existsSync(EMULATOR) ? null : 'programs for armhf do not run: update-binfmts --enable qemu-arm')
if (missing !== null) console.warn(`\n*** armhf.test.ts: SKIPPED: ${missing} ***\n`)

describe.runIf(missing === null)('a 32-bit ARM gateway', () => {
  let folder: string
  let lan: Lan
  let box: Box
  let other: Gateway

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-armhf-'))
    lan = new Lan({ gateways: 2 })
    box = new Box(lan, 1, 'trixie-armhf')
    box.patienceMs = 9 * MINUTE
    await box.boot()
    box.push(release(folder), '/root/release')
  })

  afterAll(async () => {
    await box?.destroy()
    lan?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  test('refuses the release of another machine, and says what to take instead', () => {
    expect(box.sh('uname -m; getconf LONG_BIT; node -p process.arch')).toBe('armv7l\n32\narm\n')
    expect(box.try('/root/release/install.sh', '--no-start')).toMatchObject({
      status: 1,
      output: expect.stringMatching(/this system is armv7l\n.*on a 32-bit system install from a clone/),
    })
  })

  test('takes a clone that is built, with the Node.js of the distribution', () => {
    const certs = makeCerts(folder)
    box.sh('cp -a /root/release /root/built && cd /root/built && rm -r node SHA256SUMS')
    for (const file of ['ca.crt', 'ca.key']) box.push(join(certs, file), `/root/built/certs/${file}`)
    expect(box.exec('/root/built/install.sh', '--no-start')).toContain('edge-mqtt is installed')
    expect(box.sh('readlink /opt/edge-mqtt/node/bin/node; edge-mqtt --version')).toMatch(
      /^\/usr\/bin\/node\nedge-mqtt /,
    )
    other = new Gateway(lan, 2, { certs })
  })

  test('its daemon links with a 64-bit box, and messages pass both ways', async () => {
    const run = 'runuser -u edge-mqtt -- /usr/local/bin/edge-mqtt start --set auth.anonymous=always'
    box.sh(`install -d -o edge-mqtt /run/edge-mqtt; setsid ${run} >/root/said 2>&1 &`)
    await other.start().ready()
    await until('they are linked', 3 * MINUTE, () => other.links() === 1)
    const status = () => JSON.parse(box.exec('edge-mqtt', 'status', '--json')) as NodeStatus
    expect(status().cluster.members.filter(({ self, linked }) => !self && linked)).toHaveLength(1)
    const routes = { 1: () => status().routes, 2: () => other.status().routes }
    for (const [from, to] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const at = (place: number) => ['-h', lan.address(place), '-q', '2', '-t', `to/${to}`]
      const heard = lan.spawn(to, 'mosquitto_sub', [...at(to), '-C', '1'])
      let text = ''
      heard.stdout!.on('data', (bytes: Buffer) => {
        text += bytes.toString()
      })
      await until('the route is known', MINUTE, () => routes[from]() === 1)
      lan.exec(from, 'mosquitto_pub', ...at(from), '-m', `from ${from}`)
      await until('it has come', MINUTE, () => text === `from ${from}\n`)
    }
  })
})
