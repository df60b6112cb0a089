import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { CertificateFacts, Trust } from '../../../src/base/ports/trust.ts'
import { readBundle } from '../../../src/ops/bundle.ts'
import { prepareDirectories, readText, remedy } from '../../../src/ops/directories.ts'
import { Ending, Exit } from '../../../src/ops/exit.ts'
import { places } from '../../../src/ops/places.ts'

const made: string[] = []
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true })
})
function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-places-'))
  made.push(directory)
  return directory
}

async function ending(act: () => unknown): Promise<Ending> {
  try {
    await act()
  } catch (error) {
    if (error instanceof Ending) return error
    throw error
  }
  throw new Error('it did not end')
}

describe('places', () => {
  test("the package's own, when nothing else is said", () => {
    expect(places({}, {})).toEqual({
      configFile: '/etc/edge-mqtt/edge-mqtt.yaml',
      configMustExist: false,
      certsDir: '/etc/edge-mqtt/certs',
      stateDir: '/var/lib/edge-mqtt',
      runDir: '/run/edge-mqtt',
      controlSocket: '/run/edge-mqtt/control.sock',
      statusSocket: '/run/edge-mqtt/status.sock',
      reachedBy: '',
    })
  })

  const systemd = {
    CONFIGURATION_DIRECTORY: '/etc/one:/etc/two',
    STATE_DIRECTORY: '/var/lib/private/one',
    RUNTIME_DIRECTORY: '/run/one',
  }

  test('where systemd says', () => {
    const { configFile, certsDir, stateDir, controlSocket } = places({}, systemd)
    expect([configFile, certsDir, stateDir, controlSocket]).toEqual([
      '/etc/one/edge-mqtt.yaml',
      '/etc/one/certs',
      '/var/lib/private/one',
      '/run/one/control.sock',
    ])
  })

  test('below --data-dir, whatever systemd says', () => {
    const found = places({ dataDir: '/d' }, systemd)
    expect([found.configFile, found.certsDir, found.stateDir, found.controlSocket, found.reachedBy]).toEqual([
      '/d/edge-mqtt.yaml',
      '/d/certs',
      '/d/state',
      '/d/run/control.sock',
      ' --data-dir /d',
    ])
    expect(places({ dataDir: 'x' }, {}).stateDir).toBe(join(process.cwd(), 'x/state'))
  })

  test('--config must exist, --socket is taken as it is', () => {
    expect(places({ dataDir: '/d', config: '/a.yaml' }, {})).toMatchObject({
      configFile: '/a.yaml',
      configMustExist: true,
      certsDir: '/d/certs',
    })
    expect(places({ socket: '/a/b.sock' }, {})).toMatchObject({
      controlSocket: '/a/b.sock',
      reachedBy: ' --socket /a/b.sock',
    })
  })
})

describe('directories', () => {
  test('are made, the one with the keys for the service alone', () => {
    const where = places({ dataDir: join(temporary(), 'a/b') }, {})
    prepareDirectories(where)
    prepareDirectories(where)
    expect(statSync(where.stateDir).mode & 0o777).toBe(0o700)
    expect(statSync(where.runDir).mode & 0o777).toBe(0o755)
  })

  test('that cannot be made end the start with 77 and what to type', async () => {
    const directory = temporary()
    writeFileSync(join(directory, 'file'), '')
    const end = await ending(() => prepareDirectories(places({ dataDir: join(directory, 'file') }, {})))
    expect(end.status).toBe(Exit.notPermitted)
    expect(end.message).toContain(`cannot write ${join(directory, 'file/state')}`)
    expect(end.message).toContain('edge-mqtt start --data-dir DIRECTORY')
  })

  for (const [code, words] of [
    ['EACCES', /^permission denied for .*\n.*sudo install -d -o \d+ \/d\n.*--data-dir DIRECTORY\n.*systemctl start/],
    ['EROFS', /^the file system is read-only\n.*--data-dir DIRECTORY$/],
    ['ENOSPC', /^no space left on the device\n.*df -h/],
    ['EIO', /^EIO$/],
  ] as const) {
    test(`${code} has its own remedy`, () => expect(remedy(code, '/d')).toMatch(words))
  }

  test('a file that cannot be read says why', async () => {
    const directory = temporary()
    expect(readText(join(directory, 'absent'), 10)).toBe(null)
    const end = await ending(() => readText(directory, 1_000_000))
    expect([end.status, end.message]).toEqual([Exit.configuration, `${directory}: cannot be read: it is a directory`])
    writeFileSync(join(directory, 'long'), 'x'.repeat(11))
    expect((await ending(() => readText(join(directory, 'long'), 10))).message).toContain('11 bytes')
  })
})

describe('bundle', () => {
  /** A certificate is its own description here: `ca`, `node` or anything else. */
  const trust = {
    read: (certificate: string): CertificateFacts | HostError => {
      if (certificate === 'ca') return { kind: 'ca', clusterId: 'c' as never, fingerprint: 'f' }
      if (certificate === 'node') return { kind: 'node', nodeId: 'n1' as never, keyFingerprint: 'f' }
      return new HostError('invalid', 'not a certificate')
    },
    matches: (_certificate: string, key: string): boolean | HostError =>
      key === 'junk' ? new HostError('invalid', 'not a private key') : key === 'its key',
  } as unknown as Trust

  const read = (files: Readonly<Record<string, string>>) => {
    const directory = temporary()
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
    return readBundle(directory, () => Promise.resolve(trust))
  }

  test('none is fine, and nobody is asked to judge it', async () => {
    const judge = () => Promise.reject(new Error('asked'))
    expect(await readBundle(temporary(), judge)).toBe(null)
    expect(await readBundle('/nonexistent', judge)).toBe(null)
  })

  test('a certificate with its key, or alone', async () => {
    expect(await read({ 'ca.crt': 'ca', 'ca.key': 'its key' })).toEqual({ certificate: 'ca', privateKey: 'its key' })
    expect(await read({ 'ca.crt': 'ca' })).toEqual({ certificate: 'ca', privateKey: null })
  })

  for (const [what, files, message] of [
    ['a key without its certificate', { 'ca.key': 'k' }, /ca\.key is there, but .*ca\.crt is not/],
    ['junk as certificate', { 'ca.crt': 'x', 'ca.key': 'its key' }, /\/ca\.crt: not a certificate$/],
    ['a node certificate', { 'ca.crt': 'node' }, /\/ca\.crt: not a CA certificate but the one of node n1$/],
    ['junk as key', { 'ca.crt': 'ca', 'ca.key': 'junk' }, /\/ca\.key: not a private key$/],
    ["another certificate's key", { 'ca.crt': 'ca', 'ca.key': 'k' }, /\/ca\.key: not the key of .*\/ca\.crt/],
  ] as const) {
    test(`${what} ends with 78 and the file's name`, async () => {
      const end = await ending(() => read(files))
      expect(end.status).toBe(Exit.configuration)
      expect(end.message).toMatch(message)
    })
  }

  test('a file that is a directory ends with 78', async () => {
    const directory = temporary()
    mkdirSync(join(directory, 'ca.crt'))
    const end = await ending(() => readBundle(directory, () => Promise.resolve(trust)))
    expect([end.status, end.message]).toEqual([78, `${directory}/ca.crt: cannot be read: it is a directory`])
  })
})
