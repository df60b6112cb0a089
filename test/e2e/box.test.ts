// The installed thing on Debian with a real systemd and no network but its LAN: the release tarball, install.sh, and
// what becomes of the service.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NodeStatus } from '../../src/compose.ts'
import { Box, boxesLeftOut, type Suite } from './box.ts'
import { Lan, until } from './lan.ts'
import { release, releaseCalled } from './release.ts'
import { SANDBOX_ANSWERS, TRY_SANDBOX } from './sandbox.ts'

const NEWER = '99.0.1'

const statusOf = (box: Box): NodeStatus => JSON.parse(box.exec('edge-mqtt', 'status', '--json')) as NodeStatus

/** All that an installation may leave: files of ours, the account, the unit. */
const traces = (box: Box): string[] =>
  box
    .sh(
      'ls -d /opt/edge-mqtt* /etc/edge-mqtt /var/lib/edge-mqtt /usr/local/bin/edge-mqtt /run/edge-mqtt \
      /etc/systemd/system/edge-mqtt.service /etc/systemd/system/*.wants/edge-mqtt.service 2>/dev/null; \
      grep -o "^edge-mqtt:" /etc/passwd /etc/group; true',
    )
    .split('\n')
    .filter(Boolean)

describe.skipIf(boxesLeftOut('box.test.ts'))('a gateway', () => {
  let folder: string
  let current: string
  let newer: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-release-'))
    current = release(folder)
    newer = releaseCalled(NEWER, current, folder)
  })

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  describe.each<[Suite, string]>([
    ['trixie', 'Debian 13'],
    ['bookworm', 'Debian 12'],
  ])('with %s (%s)', (suite) => {
    let lan: Lan
    let box: Box

    beforeAll(async () => {
      lan = new Lan({ gateways: 1 })
      box = await new Box(lan, 1, suite).boot()
      box.push(current, '/root/edge-mqtt')
    })

    afterAll(async () => {
      await box?.destroy()
      lan?.down()
    })

    test('is installed from the tarball, and says so to systemctl status', async () => {
      const said = box.exec('/root/edge-mqtt/install.sh')
      expect(said).toContain('set up: made the CA of a new cluster')
      expect(said).toContain('edge-mqtt runs on gw-1 and will at every boot')
      expect(said).toMatch(/Your devices connect with: mqtt:\/\/devices:\w+@\S+:1883/)
      expect(said).toContain('The next box: copy this folder (/root/edge-mqtt)')
      expect(box.property('ActiveState')).toBe('active')
      expect(box.exec('systemctl', 'is-enabled', 'edge-mqtt').trim()).toBe('enabled')
      expect(box.property('StatusText')).toMatch(/^gw-1: alone, 0 clients, 0 msg\/s in, 0 out/)
      expect(
        box.sh('stat -c "%a %U:%G" /var/lib/edge-mqtt /run/edge-mqtt/control.sock /etc/edge-mqtt/certs/ca.key'),
      ).toBe('700 edge-mqtt:edge-mqtt\n660 edge-mqtt:edge-mqtt\n640 root:edge-mqtt\n')
      expect(box.sh('stat -c "%a %U" /root/edge-mqtt/certs/ca.key')).toBe('600 root\n')
    })

    test('lives in a sandbox that systemd calls safe, and still hears its LAN', () => {
      const score = /Overall exposure level for \S+: ([0-9.]+)/.exec(
        box.exec('systemd-analyze', 'security', '--no-pager', 'edge-mqtt'),
      )
      expect(Number(score![1])).toBeLessThanOrEqual(2)
      expect(statusOf(box).problems).toEqual([])
      expect(box.journal()).not.toMatch(/Unknown (key|lvalue)|Failed to|warn/i)
      const helpers = box.sh('pgrep -u edge-mqtt | wc -l')
      expect(helpers.trim()).toBe('2')
    })

    test('may write what is its own and nothing else, not even its configuration', () => {
      expect(box.sh(TRY_SANDBOX).trim().split('\n')).toEqual(SANDBOX_ANSWERS)
    })

    test('comes back when it is killed, and when it hangs', async () => {
      const killed = box.property('MainPID')
      box.exec('kill', '-9', killed)
      await until(
        'it is back',
        20_000,
        () => box.property('ActiveState') === 'active' && box.property('MainPID') !== killed,
      )
      // As an operator would say it, because half a minute is long for a test.
      box.write('/etc/systemd/system/edge-mqtt.service.d/soon.conf', '[Service]\nWatchdogSec=2\n')
      box.sh('systemctl daemon-reload && systemctl restart edge-mqtt')
      const hung = box.property('MainPID')
      box.exec('kill', '-STOP', hung)
      await until(
        'it is back',
        20_000,
        () => box.property('ActiveState') === 'active' && box.property('MainPID') !== hung,
      )
      expect(box.exec('journalctl', '--no-pager', '-u', 'edge-mqtt')).toMatch(/[Ww]atchdog timeout/)
      box.sh('rm -r /etc/systemd/system/edge-mqtt.service.d && systemctl daemon-reload && systemctl restart edge-mqtt')
    })

    test('takes a wrong configuration as an answer, not as something to try again', async () => {
      box.write('/etc/edge-mqtt/edge-mqtt.yaml', 'listeners: { mqtt: { port: many } }\n')
      expect(box.try('systemctl', 'restart', 'edge-mqtt').status).not.toBe(0)
      await until('it has given up', 10_000, () => box.property('ActiveState') === 'failed')
      expect(box.property('ExecMainStatus')).toBe('78')
      box.write('/etc/edge-mqtt/edge-mqtt.yaml', 'auth: { anonymous: always }\n')
      box.exec('systemctl', 'restart', 'edge-mqtt')
    })

    test('reloads', async () => {
      box.write('/etc/edge-mqtt/edge-mqtt.yaml', 'log: { level: debug }\nauth: { anonymous: always }\n')
      box.exec('systemctl', 'reload', 'edge-mqtt')
      await until('it says so', 5_000, () => box.journal().includes('settings reloaded'))
      await until('it is active', 5_000, () => box.property('ActiveState') === 'active')
    })

    test('is there after a reboot, and after the power failed', async () => {
      const { id } = statusOf(box).node
      const keeper = ['-h', '127.0.0.1', '-c', '-i', 'keeper', '-q', '1', '-t', 'kept/#']
      lan.exec(1, 'mosquitto_sub', ...keeper, '-E')
      const keep = (message: string) =>
        lan.exec(1, 'mosquitto_pub', '-h', '127.0.0.1', '-q', '1', '-t', 'kept/a', '-m', message)
      keep('before the reboot')
      await box.reboot()
      await until('it is active', 20_000, () => box.property('ActiveState') === 'active')
      expect(statusOf(box).node.id).toBe(id)
      keep('before the crash')
      await box.crash()
      await box.boot()
      await until('it is active', 20_000, () => box.property('ActiveState') === 'active')
      expect(statusOf(box).node.id).toBe(id)
    })

    test('is upgraded in place, with state and configuration as they were', () => {
      const before = statusOf(box)
      expect(before.sessions).toBe(1)
      box.push(newer, '/root/newer')
      box.exec('/root/newer/install.sh')
      const after = statusOf(box)
      expect(after.node.version).toBe(NEWER)
      expect([after.node.id, after.cluster.id]).toEqual([before.node.id, before.cluster.id])
      expect(box.sh('cat /etc/edge-mqtt/edge-mqtt.yaml')).toContain('anonymous: always')
      expect(box.sh('ls -d /opt/edge-mqtt*')).toBe('/opt/edge-mqtt\n')
      const keeper = ['-h', '127.0.0.1', '-c', '-i', 'keeper', '-q', '1', '-t', 'kept/#', '-C', '2', '-W', '10']
      expect(lan.exec(1, 'mosquitto_sub', ...keeper)).toBe('before the reboot\nbefore the crash\n')
      // The same once more changes nothing.
      box.exec('/root/newer/install.sh')
      expect(statusOf(box).node.id).toBe(before.node.id)
    })

    test('is removed: what stays is what it says, and a purge leaves nothing', () => {
      const said = box.exec('/root/newer/install.sh', '--uninstall')
      expect(said).toContain('Still there: /etc/edge-mqtt, /var/lib/edge-mqtt and the user and group edge-mqtt')
      expect(traces(box)).toEqual([
        '/etc/edge-mqtt',
        '/var/lib/edge-mqtt',
        '/etc/passwd:edge-mqtt:',
        '/etc/group:edge-mqtt:',
      ])
      expect(box.try('systemctl', 'cat', 'edge-mqtt').status).not.toBe(0)
      expect(box.exec('/root/newer/install.sh', '--uninstall', '--purge')).toContain('edge-mqtt is gone, with its')
      expect(traces(box)).toEqual([])
      expect(box.exec('/root/newer/install.sh', '--uninstall')).toContain('edge-mqtt is not installed here')
    })
  })
})
