// The release as a user gets it: made twice, and used. Needs what `npm ci` needs, and dpkg-deb.

import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { debArch } from '../../packaging/deb.ts'

const repository = resolve(import.meta.dirname, '../..')
const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string }
const arch = process.arch
const possible = process.platform === 'linux' && (arch === 'x64' || arch === 'arm64') && existsSync('/usr/bin/dpkg-deb')
if (!possible) console.warn('\n*** package.test.ts: SKIPPED: a release is made on Debian, x64 or arm64 ***\n')

const folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-release-'))
const name = `edge-mqtt-${version}-linux-${arch}`
const top = join(folder, name)

/** Makes the release in a world of its own: another umask, place for temporary files, time zone and language. */
function make(out: string, umask: string, env: Record<string, string>): string {
  const work = join(folder, `work-${umask}`)
  mkdirSync(work)
  const command = `umask ${umask} && npm run --silent package -- --out ${join(folder, out)}`
  execFileSync('sh', ['-c', command], {
    cwd: repository,
    env: { ...process.env, ...env, TMPDIR: work },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return join(folder, out)
}

const sh = (script: string, cwd = top): string => execFileSync('sh', ['-ec', script], { cwd, encoding: 'utf8' })

describe.runIf(possible)('npm run package', () => {
  let first: string
  beforeAll(() => {
    first = make('first', '022', { TZ: 'UTC' })
    execFileSync('tar', ['-xzf', join(first, `${name}.tar.gz`)], { cwd: folder })
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('the same input gives the same bytes', () => {
    const second = make('second', '077', { TZ: 'Asia/Tokyo', LANG: 'C' })
    const files = readdirSync(first).sort()
    expect(files).toEqual([`${name}.tar.gz`, `edge-mqtt_${version}_${debArch(arch as 'x64')}.deb`])
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
    const deb = join(first, `edge-mqtt_${version}_${debArch(arch as 'x64')}.deb`)
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
