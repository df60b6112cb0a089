import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { ar, type Entry, TIME_DEFAULT, tar, text } from '../../../packaging/archive.ts'

const archive = (tree: ReadonlyMap<string, Entry>): Buffer => Buffer.concat([...tar(tree, 'top', TIME_DEFAULT)])

/** What the system's tar makes of it. */
const listed = (bytes: Buffer): string[] =>
  execFileSync('tar', ['-tvf', '-'], { input: bytes, encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } })
    .trim()
    .split('\n')
    .map((line) => line.replace(/ +/g, ' '))

describe('tar', () => {
  test('is read by tar: sorted, owned by root, one time, folders before what lies in them', () => {
    const tree = new Map([
      ['b/main.js', text('#!', true)],
      ['a', text('seven b')],
    ])
    expect(listed(archive(tree))).toEqual([
      'drwxr-xr-x root/root 0 2026-01-01 00:00 top/',
      '-rw-r--r-- root/root 7 2026-01-01 00:00 top/a',
      'drwxr-xr-x root/root 0 2026-01-01 00:00 top/b/',
      '-rwxr-xr-x root/root 2 2026-01-01 00:00 top/b/main.js',
    ])
  })

  test('is the same whatever the order of the tree', () => {
    const entries = ['x/1', 'x/2', 'a', 'B', 'x-1'].map((path) => [path, text(path)] as const)
    expect(archive(new Map(entries)).equals(archive(new Map(entries.toReversed())))).toBe(true)
  })

  test('keeps content of every length around a block', () => {
    for (const length of [0, 1, 511, 512, 513]) {
      const content = Buffer.alloc(length, 'x')
      const bytes = archive(new Map([['file', { executable: false, content }]]))
      expect(bytes.length % 512).toBe(0)
      expect(execFileSync('tar', ['-xOf', '-', 'top/file'], { input: bytes }).equals(content)).toBe(true)
    }
  })

  test('takes names of more than 100 bytes and refuses what does not fit at all', () => {
    const long = `${'folder/'.repeat(20)}${'n'.repeat(90)}`
    expect(listed(archive(new Map([[long, text('')]]))).at(-1)).toContain(`top/${long}`)
    expect(() => archive(new Map([['n'.repeat(101), text('')]]))).toThrow('too long')
    expect(() => archive(new Map([[`${'f/'.repeat(200)}x`, text('')]]))).toThrow('too long')
  })
})

test('ar pads each member to an even place', () => {
  const bytes = Buffer.concat([
    ...ar(
      [
        ['odd', Buffer.from('abc')],
        ['even', Buffer.from('ab')],
      ],
      7,
    ),
  ])
  expect(bytes.toString()).toBe(
    [
      '!<arch>\n',
      'odd             7           0     0     100644  3         `\nabc\n',
      'even            7           0     0     100644  2         `\nab',
    ].join(''),
  )
})
