// The release as a user gets it: made twice, used, and installed by apt. Needs what `npm ci` needs, and dpkg-deb.

import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Arch } from '../../packaging/contents.ts'
import { debArch } from '../../packaging/deb.ts'
import type { NodeStatus } from '../../src/compose.ts'
import { Box, boxesLeftOut, type Ran, type Suite } from './box.ts'
import { Lan, until } from './lan.ts'
import { released } from './release.ts'

const repository = resolve(import.meta.dirname, '../..')
const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string }
const NEWER = '99.0.1'
const arch = process.arch
const possible = process.platform === 'linux' && (arch === 'x64' || arch === 'arm64') && existsSync('/usr/bin/dpkg-deb')
if (!possible) console.warn('\n*** package.test.ts: SKIPPED: a release is made on Debian, x64 or arm64 ***\n')

const folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-release-'))
const name = `edge-mqtt-${version}-linux-${arch}`
const top = join(folder, name)
const deb = join(folder, 'first', `edge-mqtt_${version}_${debArch(arch as Arch)}.deb`)

/** Makes the release in a world of its own: another umask, place for temporary files, time zone and language. */
function make(out: string, umask: string, env: Record<string, string>): void {
  const work = join(folder, `work-${umask}`)
  mkdirSync(work)
  const command = `umask ${umask} && npm run --silent package -- --out ${join(folder, out)}`
  execFileSync('sh', ['-c', command], {
    cwd: repository,
    env: { ...process.env, ...env, TMPDIR: work },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** The Debian package with a number that is greater, and nothing else changed. */
function newerDeb(): string {
  const unpacked = join(folder, 'newer')
  if (!existsSync(unpacked)) {
    sh(`dpkg-deb -R ${deb} ${unpacked}`, folder)
    sh(`sed -i 's/^Version: .*/Version: ${NEWER}/' ${unpacked}/DEBIAN/control`, folder)
    sh(`sed -i 's/"version": "${version}"/"version": "${NEWER}"/' ${unpacked}/opt/edge-mqtt/package.json`, folder)
    sh(`dpkg-deb -Zgzip -z1 --root-owner-group -b ${unpacked} ${unpacked}.deb`, folder)
  }
  return `${unpacked}.deb`
}

const sh = (script: string, cwd = top): string => execFileSync('sh', ['-ec', script], { cwd, encoding: 'utf8' })

const first = join(folder, 'first')
beforeAll(() => {
  if (!possible) return
  execFileSync('cp', ['-r', released(), first])
  execFileSync('tar', ['-xzf', join(first, `${name}.tar.gz`)], { cwd: folder })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.runIf(possible)('npm run package', () => {
  test('the same input gives the same bytes', () => {
    const second = join(folder, 'second')
    make('second', '077', { TZ: 'Asia/Tokyo', LANG: 'C' })
    const files = readdirSync(first).sort()
    expect(files).toEqual([`${name}.tar.gz`, `edge-mqtt_${version}_${debArch(arch as Arch)}.deb`])
    for (const file of files) expect(sh(`cmp ${file} ${join(second, file)} && echo same`, first)).toBe('same\n')
  })

  test('holds what an installation without network needs, and nothing of its making', () => {
    expect(readdirSync(top).sort()).toEqual(
      ['CHANGELOG.md', 'LICENSE', 'README.md', 'SHA256SUMS', 'certs', 'dist', 'docs', 'install.sh', 'node'].concat([
        'node_modules',
        'package-lock.json',
        'package.json',
        'systemd',
      ]),
    )
    expect(sh('find . -name vitest -o -name typescript -o -name .bin -o -name "*.d.ts" -o -name "*.map"')).toBe('')
    expect(sh('find . ! -type f ! -type d')).toBe('')
  })

  test('runs by its own Node', () => {
    expect(sh('./node/bin/node --version')).toMatch(/^v24\./)
    expect(sh('./node/bin/node dist/main.js --version')).toBe(`edge-mqtt ${version}\n`)
    expect(sh('./node/bin/node dist/main.js start --check --data-dir empty')).toContain('good')
  })

  test('its checksums fit every file, and one changed byte is seen', () => {
    expect(sh('sha256sum --quiet -c SHA256SUMS && echo whole')).toBe('whole\n')
    expect(sh('cut -c 67- SHA256SUMS | sort')).toBe(sh('find . -type f ! -name SHA256SUMS | cut -c 3- | sort'))
    appendFileSync(join(top, 'dist/main.js'), '\n')
    expect(() => sh('sha256sum --quiet -c SHA256SUMS 2>/dev/null')).toThrow()
  })

  test('the Debian package is one that dpkg reads, with the same program in it', () => {
    expect(sh(`dpkg-deb -f ${deb} Package Version`)).toBe(`Package: edge-mqtt\nVersion: ${version}\n`)
    sh(`dpkg-deb -R ${deb} ${join(folder, 'deb')}`)
    const laidDown = join(folder, 'deb')
    for (const script of ['preinst', 'postinst', 'prerm', 'postrm']) sh(`sh -n DEBIAN/${script}`, laidDown)
    expect(sh('md5sum --quiet -c DEBIAN/md5sums && echo whole', laidDown)).toBe('whole\n')
    expect(sh('cat DEBIAN/conffiles', laidDown)).toBe('/etc/edge-mqtt/edge-mqtt.yaml\n')
    expect(
      sh(
        'CONFIGURATION_DIRECTORY=etc/edge-mqtt opt/edge-mqtt/node/bin/node opt/edge-mqtt/dist/main.js start --check',
        laidDown,
      ),
    ).toContain('good')
  })
})

describe.skipIf(!possible || boxesLeftOut('package.test.ts')).each<[Suite, string]>([
  ['trixie', 'Debian 13'],
  ['bookworm', 'Debian 12'],
])('the Debian package on %s (%s)', (suite) => {
  const PLACE = '/root/edge-mqtt.deb'
  const CONFIGURATION = '/etc/edge-mqtt/edge-mqtt.yaml'
  const LEFT =
    'find / -xdev \\( -name "edge-mqtt*" -o -name edge-mqtt \\) ! -path "/root/*" ! -path "/var/log/*" ! -path "/tmp/*"'
  let lan: Lan
  let box: Box

  beforeAll(async () => {
    lan = new Lan({ gateways: 1 })
    box = await new Box(lan, 1, suite).boot()
    box.push(deb, PLACE)
  })
  afterAll(async () => {
    await box?.destroy()
    lan?.down()
  })

  const apt = (...args: readonly string[]): Ran =>
    box.try('env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-y', ...args)
  const version = (): string => (JSON.parse(box.exec('edge-mqtt', 'status', '--json')) as NodeStatus).node.version
  const nodeId = (): string => box.exec('cat', '/var/lib/edge-mqtt/node.json')

  test('is refused where install.sh was at work, and changes nothing', () => {
    box.write('/etc/systemd/system/edge-mqtt.service', '[Unit]\n')
    const { status, output } = apt('install', PLACE)
    expect(status).not.toBe(0)
    expect(output).toContain('type: sudo ./install.sh --uninstall')
    box.exec('rm', '/etc/systemd/system/edge-mqtt.service')
    expect(box.sh('ls -d /opt/edge-mqtt /etc/edge-mqtt 2>/dev/null; true')).toBe('')
  })

  test('is installed by apt without any network, and runs', () => {
    const { status, output } = apt('install', PLACE)
    expect(output).toContain('edge-mqtt runs on gw-1 and will at every boot')
    expect(status).toBe(0)
    expect(box.property('ActiveState')).toBe('active')
    expect(box.exec('systemctl', 'is-enabled', 'edge-mqtt').trim()).toBe('enabled')
    expect(box.property('StatusText')).toMatch(/^gw-1: alone/)
    expect(box.sh('stat -c "%a %U:%G" /var/lib/edge-mqtt /etc/edge-mqtt/certs /etc/edge-mqtt/certs/ca.key')).toBe(
      '700 edge-mqtt:edge-mqtt\n750 root:edge-mqtt\n640 root:edge-mqtt\n',
    )
    expect(box.sh('readlink /proc/$(systemctl show -p MainPID --value edge-mqtt)/exe')).toBe(
      '/opt/edge-mqtt/node/bin/node\n',
    )
  })

  test('an upgrade keeps what the operator wrote and who the box is', async () => {
    const before = nodeId()
    box.write(CONFIGURATION, 'node: { name: kept }\n')
    box.push(newerDeb(), PLACE)
    expect(apt('install', PLACE).status).toBe(0)
    expect(version()).toBe(NEWER)
    expect(nodeId()).toBe(before)
    expect(box.sh(`cat ${CONFIGURATION}`)).toBe('node: { name: kept }\n')
    await until('the daemon has its name', 10_000, () => box.property('StatusText').startsWith('kept: '))
  })

  test('a configuration that does not check leaves the running daemon alone', () => {
    const pid = box.property('MainPID')
    box.write(CONFIGURATION, 'node: { nome: wrong }\n')
    const { status, output } = apt('install', '--reinstall', PLACE)
    expect(status).not.toBe(0)
    expect(output).toContain('node.nome')
    expect(output).toContain('dpkg --configure edge-mqtt')
    expect(box.property('MainPID')).toBe(pid)
    box.write(CONFIGURATION, '')
    box.exec('dpkg', '--configure', 'edge-mqtt')
    expect(box.property('ActiveState')).toBe('active')
  })

  test('a removal leaves configuration and state, a purge nothing', () => {
    expect(apt('remove', 'edge-mqtt').status).toBe(0)
    expect(box.sh('ls /etc/edge-mqtt /var/lib/edge-mqtt | sort')).toContain('node.key')
    expect(box.sh('ls -d /opt/edge-mqtt /usr/bin/edge-mqtt 2>/dev/null; true')).toBe('')
    expect(box.try('pgrep', '-u', 'edge-mqtt').output).toBe('')
    expect(apt('purge', 'edge-mqtt').status).toBe(0)
    expect(box.sh(LEFT)).toBe('')
    expect(box.sh('grep edge-mqtt /etc/passwd /etc/group; true')).toBe('')
  })
})
