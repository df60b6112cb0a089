import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { HostError } from '../../../src/base/errors.ts'
import { HostFiles } from '../../../src/host/files.ts'
import { until } from '../../contract/world.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-files-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

async function write(files: HostFiles, name: string, text: string, secret = false): Promise<HostError | null> {
  const answers: (HostError | null)[] = []
  files.write(name, Buffer.from(text), secret, (error) => answers.push(error))
  await until(() => answers.length > 0, 'the write')
  return answers[0]!
}

const mode = (name: string) => statSync(join(directory, name)).mode & 0o777

test('a secret is for the service alone, whatever the umask and whatever lay there before', async () => {
  const files = new HostFiles(directory)
  writeFileSync(join(directory, 'node.key'), 'old', { mode: 0o644 })
  writeFileSync(join(directory, '.node.key.new'), 'left by a power cut', { mode: 0o666 })
  const before = process.umask(0)
  try {
    await write(files, 'node.key', 'secret', true)
    await write(files, 'node.crt', 'public')
  } finally {
    process.umask(before)
  }
  expect([mode('node.key'), mode('node.crt')]).toEqual([0o600, 0o644])
  expect(readdirSync(directory).sort()).toEqual(['node.crt', 'node.key'])
})

test('the directory is made when it is missing, for the service alone', async () => {
  const files = new HostFiles(join(directory, 'a/b'))
  expect(files.read('node.id')).toBeNull()
  expect(await write(files, 'node.id', 'x')).toBeNull()
  expect(mode('a/b')).toBe(0o700)
})

test('what cannot be read or written is said with its path, and leaves nothing behind', async () => {
  mkdirSync(join(directory, 'folder'))
  const files = new HostFiles(directory)
  expect(() => files.read('folder')).toThrow(join(directory, 'folder'))
  const failure = await write(files, 'folder', 'x')
  expect(failure?.message).toContain(join(directory, 'folder'))
  writeFileSync(join(directory, 'plain'), '')
  const nowhere = await write(new HostFiles(join(directory, 'plain')), 'node.id', 'x')
  expect(nowhere).toMatchObject({ kind: 'failed', message: expect.stringContaining('plain') })
})

test('a directory that does not let us write is denied', async () => {
  // Root may write anywhere but where the kernel itself says no.
  const root = process.getuid?.() === 0
  const place = root ? '/sys/edge-mqtt' : directory
  if (!root) chmodSync(directory, 0o500)
  const failure = await write(new HostFiles(place), 'node.id', 'x')
  chmodSync(directory, 0o700)
  expect(failure).toMatchObject({ kind: 'denied', message: expect.stringContaining(`${place}/node.id`) })
})

test('a directory in a place that never has one fails, and does not try for ever', async () => {
  const failure = await write(new HostFiles('/proc/edge-mqtt/state'), 'node.id', 'x')
  expect(failure).toMatchObject({ kind: 'failed' })
})

test('a failed write does not hold up the next one', async () => {
  const files = new HostFiles(join(directory, 'late'))
  writeFileSync(join(directory, 'late'), 'a file where the directory should be')
  expect(await write(files, 'node.id', 'one')).not.toBeNull()
  rmSync(join(directory, 'late'))
  expect(await write(files, 'node.id', 'two')).toBeNull()
  expect(files.read('node.id')?.toString()).toBe('two')
})

test('a name that leads elsewhere is our own mistake', () => {
  const files = new HostFiles(directory)
  for (const name of ['../escape', 'a/b', '.hidden', '']) expect(() => files.read(name)).toThrow('plain file name')
})
