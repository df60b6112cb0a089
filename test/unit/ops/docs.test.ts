// The documents say what the program does: every key with its default, every exit status, nothing that does not exist.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { needRestart } from '../../../src/cluster/restart.ts'
import { defaultClusterSettings } from '../../../src/cluster/settings.ts'
import { loadConfiguration } from '../../../src/ops/config/load.ts'
import { leafPaths } from '../../../src/ops/config/shape.ts'
import { Exit } from '../../../src/ops/exit.ts'

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')
const configuration = read('docs/configuration.md')

/** [key, default, what it is, reload] of each row of the table of keys. */
const rows = configuration
  .split('\n')
  .filter((line) => /^\| `[a-z_]+\./.test(line))
  .map((line) => line.slice(2, -2).split(' | '))

test('docs/configuration.md has each key once, and no other', () => {
  expect(rows.map(([key]) => key!.replaceAll('`', '').replace('NAME', '*')).sort()).toEqual([...leafPaths()].sort())
})

test('docs/configuration.md has the true defaults', () => {
  const defaults = loadConfiguration({ file: null, environment: {}, settings: [] })
  const settings = rows
    .filter(([key]) => key !== '`node.name`')
    .map(([key, value]) => `${key}=${value}`.replaceAll('`', '').replace('NAME', 'mqtt'))
  expect(settings.length).toBeGreaterThan(30)
  expect(loadConfiguration({ file: null, environment: {}, settings })).toEqual(defaults)
})

test('docs/configuration.md says of the cluster which keys take a restart', () => {
  const other = {
    ...defaultClusterSettings,
    ...{ enabled: false, name: 'x', nodeName: 'x', bind: '::', port: 1, interfaces: ['x'] },
    advertise: { address: 'x', port: 1 },
    beacon: { enabled: false, port: 1, intervalMs: 1 },
    mdns: { enabled: false },
    peers: [{ address: 'x', port: 1 }],
    heartbeatMs: 1,
    deadAfterMs: 3,
    linkQueue: { maxMessages: 1, maxBytes: 1, whenFull: 'drop-newest' as const },
  }
  const documented = rows
    .filter(([key, , , reload]) => /^`(cluster|node)\./.test(key!) && reload === 'restart')
    .map(([key]) => key!.replaceAll('`', ''))
  expect(documented.sort()).toEqual([...needRestart(defaultClusterSettings, other)].sort())
})

test('docs/configuration.md has each exit status', () => {
  const listed = configuration.match(/^\| \d+ \|/gm)?.map((cell) => Number(cell.replace(/\D/g, '')))
  expect(listed).toEqual(Object.values(Exit))
})

test('the unit does what the program counts on', () => {
  const unit = read('systemd/edge-mqtt.service')
  for (const line of [
    'Type=notify',
    'NotifyAccess=all',
    'ExecReload=/bin/kill -HUP $MAINPID',
    'StateDirectory=edge-mqtt',
    'ConfigurationDirectory=edge-mqtt',
    'RuntimeDirectory=edge-mqtt',
    'SystemCallErrorNumber=EPERM',
    `RestartPreventExitStatus=${Exit.notPermitted} ${Exit.configuration}`,
  ]) {
    expect(unit.split('\n')).toContain(line)
  }
  expect(unit).toMatch(/^RestrictAddressFamilies=.*\bAF_NETLINK\b/m)
  expect(unit).not.toMatch(/^MemoryDenyWriteExecute=yes/m)
  expect(unit).toMatch(/^Wants=edge-mqtt-address.service$/m)
})

test('the unit of the floating address has the two rights that it is there for, and no others', () => {
  const unit = read('systemd/edge-mqtt-address.service')
  for (const set of ['CapabilityBoundingSet', 'AmbientCapabilities']) {
    expect(unit.match(new RegExp(`^${set}=.*`, 'gm'))).toEqual([`${set}=CAP_NET_ADMIN CAP_NET_RAW`])
  }
  expect(unit).toMatch(/^RestrictAddressFamilies=.*\bAF_PACKET\b/m)
  expect(unit).toMatch(/^PartOf=edge-mqtt.service$/m)
})
