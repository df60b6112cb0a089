import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { text } from '../../../packaging/archive.ts'
import { checksums, isNeededAtRunTime } from '../../../packaging/contents.ts'
import { debArch, debTree, debUnit, debVersion } from '../../../packaging/deb.ts'
import { checkIntegrity } from '../../../packaging/fetch.ts'
import runtime from '../../../packaging/node-runtime.json' with { type: 'json' }

const repository = resolve(import.meta.dirname, '../../..')
const read = (file: string): string => readFileSync(join(repository, file), 'utf8')

describe('what of a production package goes along', () => {
  test.each([
    ['yaml/dist/index.js', true],
    ['yaml/package.json', true],
    ['yaml/LICENSE', true],
    ['pino/license.md', true],
    ['mqtt-packet/README.md', false],
    ['commander/typings/index.d.cts', false],
    ['commander/src/index.ts', false],
    ['pino/pino.js.map', false],
    ['pino/.github/workflows/ci.yml', false],
    ['pino/test/basic.test.js', false],
    ['@pinojs/redact/benchmarks/all.js', false],
    ['yaml/dist/test/kept.js', true],
    ['some/test.js', true],
    ['.package-lock.json', false],
    ['.bin/pino', false],
    ['@types/node/package.json', false],
    ['level/prebuilds/linux-x64/node.napi.glibc.node', true],
    ['level/prebuilds/linux-arm64/node.napi.armv8.node', false],
    ['level/prebuilds/darwin-x64+arm64/node.napi.node', false],
  ])('%s: %s', (path, needed) => {
    expect(isNeededAtRunTime(path, 'x64')).toBe(needed)
  })
})

test('checksums are as sha256sum -c reads them, sorted', () => {
  const sum = (content: string) => createHash('sha256').update(content).digest('hex')
  expect(
    checksums(
      new Map([
        ['b/c', text('two')],
        ['a', text('one')],
      ]),
    ),
  ).toBe(`${sum('one')}  a\n${sum('two')}  b/c\n`)
})

describe('Node', () => {
  test('is pinned for both architectures, as a long-term release', () => {
    expect(runtime.version).toMatch(/^24\.\d+\.\d+$/)
    for (const arch of ['x64', 'arm64'] as const) {
      expect(runtime[arch].package).toBe(`node-linux-${arch}`)
      expect(runtime[arch].integrity).toMatch(/^sha512-[A-Za-z0-9+/]{86}==$/)
    }
  })

  test('one that is not the pinned one is refused', () => {
    const bytes = Buffer.from('node')
    const right = `sha512-${createHash('sha512').update(bytes).digest('base64')}`
    expect(checkIntegrity(bytes, right, 'node')).toBeUndefined()
    expect(() => checkIntegrity(Buffer.from('nod3'), right, 'node')).toThrow('not the one that is pinned')
  })
})

describe('the Debian package', () => {
  test('has its own words for architecture and version', () => {
    expect([debArch('x64'), debArch('arm64')]).toEqual(['amd64', 'arm64'])
    expect([debVersion('1.2.3'), debVersion('1.2.3-rc.1')]).toEqual(['1.2.3', '1.2.3~rc.1'])
  })

  test('lays the release down where the unit and the command look for it', () => {
    const files = ['dist/main.js', 'node/bin/node', 'install.sh', 'SHA256SUMS', 'certs/README.md', 'LICENSE']
    const release = new Map(files.map((path) => [path, text(path)]))
    for (const name of ['edge-mqtt.service', 'edge-mqtt-address.service', 'edge-mqtt-address']) {
      release.set(`systemd/${name}`, text(read(`systemd/${name}`)))
    }
    expect([...debTree(release, join(repository, 'packaging')).keys()].sort()).toEqual([
      'etc/edge-mqtt/edge-mqtt.yaml',
      'opt/edge-mqtt/LICENSE',
      'opt/edge-mqtt/dist/main.js',
      'opt/edge-mqtt/node/bin/node',
      'opt/edge-mqtt/systemd/edge-mqtt-address',
      'usr/bin/edge-mqtt',
      'usr/lib/systemd/system/edge-mqtt-address.service',
      'usr/lib/systemd/system/edge-mqtt.service',
      'usr/share/doc/edge-mqtt/copyright',
    ])
  })

  test('starts its own Node, and a unit that it does not know is an error', () => {
    expect(debUnit(read('systemd/edge-mqtt.service'))).toContain(
      '\nExecStart=/opt/edge-mqtt/node/bin/node /opt/edge-mqtt/dist/main.js start\n',
    )
    expect(() => debUnit('ExecStart=/bin/true')).toThrow('ExecStart')
  })
})
