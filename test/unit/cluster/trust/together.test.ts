// Files that count only all together, with the power cut after every single write.

import { beforeEach, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import { settledFiles, Together, type Write } from '../../../../src/cluster/trust/together.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { MemoryFiles } from '../fakes.ts'

let clock: VirtualClock
let files: MemoryFiles
beforeEach(() => {
  clock = new VirtualClock()
  files = new MemoryFiles(clock)
  for (const name of ['a', 'b', 'c']) files.texts.set(name, 'old')
})

const set = (text: string): Write[] => ['a', 'b', 'c'].map((name) => ({ name, text, secret: name === 'b' }))
const read = () => ['a', 'b', 'c'].map((name) => settledFiles(files).read(name)?.toString())

test('all of it counts or none, whenever the power is cut, and it is finished at the next start', () => {
  const seen = new Set<string>()
  for (let cut = 0; cut <= 5; cut++) {
    files = new MemoryFiles(clock)
    for (const name of ['a', 'b', 'c']) files.texts.set(name, 'old')
    files.cutAfter = cut
    const done: (HostError | null)[] = []
    new Together(files).write(set('new'), (error) => done.push(error))
    clock.advance(1000)
    const now = read()
    seen.add(now.join())
    expect(now).toEqual(cut === 0 ? ['old', 'old', 'old'] : ['new', 'new', 'new'])
    // Whoever was told that it counts was told the truth.
    expect(done).toEqual(cut >= 5 ? [null] : [])
    files.cutAfter = Number.POSITIVE_INFINITY
    let finished = 0
    new Together(files).finish(silentLog, () => finished++)
    clock.advance(1000)
    expect(finished).toBe(1)
    expect(['a', 'b', 'c'].map((name) => files.texts.get(name))).toEqual(now)
    expect(files.texts.get('together.json') ?? '').toBe('')
  }
  expect([...seen].sort()).toEqual(['new,new,new', 'old,old,old'])
})

test('keeps secrets secret, in both places', () => {
  new Together(files).write(set('new'), () => {})
  clock.advance(1000)
  expect([...files.secrets].sort()).toEqual(['b', 'together.json'])
})

test('several follow one another; what fails before it counts has changed nothing', () => {
  const together = new Together(files)
  const done: string[] = []
  together.write(set('first'), (error) => done.push(`first ${error?.message ?? 'done'}`))
  together.write([{ name: 'a', text: 'second', secret: false }], (error) =>
    done.push(`second ${error?.message ?? 'done'}`),
  )
  clock.advance(1000)
  expect(done).toEqual(['first done', 'second done'])
  expect(read()).toEqual(['second', 'first', 'first'])
  files.failing = new HostError('failed', 'disk full')
  together.write(set('third'), (error) => done.push(`third ${error?.message ?? 'done'}`))
  clock.advance(1000)
  expect(done[2]).toBe('third disk full')
  expect(read()).toEqual(['second', 'first', 'first'])
})

test('what is asked for while another is told of its end waits for its turn, and is written once', () => {
  const together = new Together(files)
  const done: string[] = []
  together.write(set('first'), () => {
    together.write([{ name: 'a', text: 'second', secret: false }], () => done.push('second'))
    together.write(set('third'), () => done.push('third'))
  })
  const seen = new Set<string>()
  for (let ms = 0; ms < 1000; ms++) {
    clock.advance(1)
    seen.add(read().join())
  }
  expect(done).toEqual(['second', 'third'])
  expect([...seen]).toEqual(['old,old,old', 'first,first,first', 'second,first,first', 'third,third,third'])
})

test('what counts but could not be spread over its files is, with the next', () => {
  const together = new Together(files)
  const done: string[] = []
  together.write(set('first'), (error) => done.push(error?.message ?? 'done'))
  clock.advance(7)
  files.failing = new HostError('failed', 'disk full')
  clock.advance(1000)
  expect(done).toEqual(['done'])
  expect(read()).toEqual(['first', 'first', 'first'])
  files.failing = null
  together.write([{ name: 'a', text: 'second', secret: false }], (error) => done.push(error?.message ?? 'done'))
  clock.advance(1000)
  expect(read()).toEqual(['second', 'first', 'first'])
  expect(files.texts.get('b')).toBe('first')
})

test('a file that makes no sense is named, with what to do', () => {
  for (const text of ['{', 'null', '{"writes":[{"name":1}]}', '{"writes":"x"}']) {
    files.texts.set('together.json', text)
    expect(() => settledFiles(files)).toThrow(/together\.json: damaged.*remove it/)
    // The start says what is wrong when it reads the identity.
    let finished = 0
    new Together(files).finish(silentLog, () => finished++)
    expect(finished).toBe(1)
  }
})
