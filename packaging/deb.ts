// The Debian package: the release's tree under /opt, the unit, the command, and scripts that do what install.sh does.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { byBytes, bytesOf, type Entry, type Tree, tar, text } from './archive.ts'
import type { Arch } from './contents.ts'

const PROGRAM = 'opt/edge-mqtt'
const CONFIGURATION = 'etc/edge-mqtt/edge-mqtt.yaml'
const SCRIPTS = ['preinst', 'postinst', 'prerm', 'postrm'] as const

/** What only an installer by hand needs. */
const LEFT_OUT = ['install.sh', 'SHA256SUMS', 'certs/', 'systemd/']

export const debArch = (arch: Arch): string => (arch === 'x64' ? 'amd64' : arch)

/** 1.0.0-rc.1 comes before 1.0.0, which dpkg spells with a tilde. */
export const debVersion = (version: string): string => version.replace('-', '~')

/** What the package lays down, from the release's tree. */
export function debTree(release: Tree, packaging: string): Tree {
  const tree = new Map<string, Entry>()
  for (const [path, entry] of release) {
    if (!LEFT_OUT.some((prefix) => path.startsWith(prefix))) tree.set(`${PROGRAM}/${path}`, entry)
  }
  const unit = bytesOf(release.get('systemd/edge-mqtt.service')!).toString()
  tree.set('usr/lib/systemd/system/edge-mqtt.service', text(debUnit(unit)))
  tree.set('usr/lib/systemd/system/edge-mqtt-address.service', release.get('systemd/edge-mqtt-address.service')!)
  tree.set(`${PROGRAM}/systemd/edge-mqtt-address`, release.get('systemd/edge-mqtt-address')!)
  tree.set('usr/bin/edge-mqtt', text(`#!/bin/sh\nexec /${PROGRAM}/node/bin/node /${PROGRAM}/dist/main.js "$@"\n`, true))
  tree.set(CONFIGURATION, text(readFileSync(join(packaging, 'deb/edge-mqtt.yaml'), 'utf8')))
  const license = bytesOf(release.get('LICENSE')!).toString()
  tree.set(
    'usr/share/doc/edge-mqtt/copyright',
    text(
      `${license}\nNode.js: /${PROGRAM}/node/LICENSE. Packages: the LICENSE files under /${PROGRAM}/node_modules.\n`,
    ),
  )
  return tree
}

/** The unit with the release's own Node. */
export function debUnit(unit: string): string {
  const own = unit.replace(/^ExecStart=.*\/node (?=\/opt\/edge-mqtt\/)/m, `ExecStart=/${PROGRAM}/node/bin/node `)
  if (!own.includes(`ExecStart=/${PROGRAM}/node/bin/node `))
    throw new Error('the unit has no ExecStart that is known here')
  return own
}

/** control.tar.gz: what dpkg knows of the package, and its scripts. */
export function debControl(tree: Tree, packaging: string, version: string, arch: Arch, time: number): Buffer {
  const kibibytes = [...tree.values()].reduce((sum, entry) => sum + Math.ceil(bytesOf(entry).length / 1024), 0)
  const control = new Map<string, Entry>([
    ['control', text(controlFile(debVersion(version), arch, kibibytes))],
    ['conffiles', text(`/${CONFIGURATION}\n`)],
    ['md5sums', text(md5sums(tree))],
  ])
  for (const script of SCRIPTS) control.set(script, text(readFileSync(join(packaging, 'deb', script), 'utf8'), true))
  return gzipSync(Buffer.concat([...tar(control, '.', time)]), { level: 9 })
}

function controlFile(version: string, arch: Arch, kibibytes: number): string {
  return `Package: edge-mqtt
Version: ${version}
Architecture: ${debArch(arch)}
Maintainer: edge-mqtt
Installed-Size: ${kibibytes}
Depends: libc6 (>= 2.28), libstdc++6, systemd, passwd, init-system-helpers
Recommends: iproute2
Suggests: mosquitto-clients
Section: net
Priority: optional
Description: clustered MQTT broker for small gateway boxes
 Boxes on one LAN find each other, trust each other and are one MQTT broker:
 a device connects to any of them and reaches everything. No cloud, no external
 database, no list of addresses, no quorum.
 .
 Carries its own Node.js.
`
}

function md5sums(tree: Tree): string {
  return [...tree]
    .filter(([path]) => path !== CONFIGURATION)
    .sort(([a], [b]) => byBytes(a, b))
    .map(([path, entry]) => `${createHash('md5').update(bytesOf(entry)).digest('hex')}  ${path}\n`)
    .join('')
}
