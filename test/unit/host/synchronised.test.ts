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

/** A machine that answers when it is told to. */
function asking() {
  const asked: ((synchronised: boolean) => void)[] = []
  const time = { now: 1000, wall: 1_700_000_000_000 }
  const synchronised = new Synchronised(
    (done) => void asked.push(done),
    () => time.now,
    () => time.wall,
  )
  const pass = (ms: number, wallMs = ms) => {
    time.now += ms
    time.wall += wallMs
    return synchronised.now()
  }
  return { asked, pass }
}

test('not synchronised until the machine has said so, and asked again every minute', () => {
  const { asked, pass } = asking()
  expect([asked.length, pass(1)]).toEqual([1, false])
  asked[0]!(true)
  expect(pass(59_000)).toBe(true)
  expect(asked).toHaveLength(1)
  expect(pass(2000)).toBe(true)
  asked[1]!(false)
  expect([asked.length, pass(1)]).toEqual([2, false])
})

test('a clock that has jumped, either way, is not synchronised until that was asked anew', () => {
  for (const byMs of [-3_600_000, 5000]) {
    const { asked, pass } = asking()
    asked[0]!(true)
    expect(pass(5000, 5000 + byMs)).toBe(false)
    expect([asked.length, pass(5000)]).toEqual([2, false])
    asked[1]!(true)
    expect(pass(5000)).toBe(true)
  }
})

test('an answer from before the jump says nothing', () => {
  const { asked, pass } = asking()
  expect(pass(1, 60_000)).toBe(false)
  asked[0]!(true)
  expect([asked.length, pass(1)]).toEqual([2, false])
  asked[1]!(true)
  expect(pass(1)).toBe(true)
})

test('a clock that is slewed stays synchronised', () => {
  const { asked, pass } = asking()
  asked[0]!(true)
  for (let step = 0; step < 11; step++) expect(pass(5000, 5100)).toBe(true)
  expect(asked).toHaveLength(1)
})
