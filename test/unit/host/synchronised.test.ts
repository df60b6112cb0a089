import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { Synchronised } from '../../../src/host/synchronised.ts'

const path = process.env['PATH']

afterEach(() => {
  process.env['PATH'] = path
})

/** A directory with a `timedatectl` that says what `script` says; null: without one. */
function machine(script: string | null): void {
  const directory = mkdtempSync(join(tmpdir(), 'synchronised-'))
  if (script !== null) {
    writeFileSync(join(directory, 'timedatectl'), `#!/bin/sh\n${script}\n`)
    chmodSync(join(directory, 'timedatectl'), 0o755)
  }
  process.env['PATH'] = directory
}

test.each([
  ['it is', 'echo yes', true],
  ['it is not', 'echo no', false],
  ['it fails', 'echo yes; exit 1', false],
  ['there is nobody to ask', null, false],
])('after the first answer it is known: %s', async (_name, script, known) => {
  machine(script)
  const synchronised = new Synchronised()
  expect(synchronised.now()).toBe(false)
  await synchronised.first()
  expect(synchronised.now()).toBe(known)
})

test('a start does not wait for long', async () => {
  machine('exec /bin/sleep 2')
  const before = performance.now()
  await new Synchronised().first()
  expect(performance.now() - before).toBeLessThan(1500)
})
