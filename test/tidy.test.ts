// The house rules as tests: which room may import which, what the core may not name, how long a file may grow.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const src = join(root, 'src')

/** A room's row is all it may import; `npm` lists the packages, `node` whether Node's own modules are allowed. */
const rooms: Record<string, { imports: readonly string[]; packages: 'none' | 'any' | readonly string[] }> = {
  base: { imports: [], packages: 'none' },
  topic: { imports: ['base'], packages: 'none' },
  wire: { imports: ['base', 'topic'], packages: ['mqtt-packet'] },
  broker: { imports: ['base', 'topic', 'wire'], packages: 'none' },
  store: { imports: ['base', 'topic', 'wire', 'broker/ports.ts'], packages: 'none' },
  cluster: { imports: ['base', 'topic', 'wire', 'broker/ports.ts'], packages: 'none' },
  host: { imports: ['base'], packages: 'any' },
  bridge: { imports: ['base', 'topic', 'wire', 'broker/ports.ts'], packages: 'any' },
  ops: {
    imports: ['base', 'topic', 'wire', 'broker', 'store', 'cluster', 'bridge', 'compose.ts'],
    packages: 'any',
  },
  'compose.ts': { imports: ['base', 'topic', 'wire', 'broker', 'store', 'cluster', 'bridge'], packages: 'none' },
  'main.ts': { imports: ['base', 'host', 'ops', 'compose.ts', 'broker', 'cluster'], packages: 'any' },
}

/** The rooms inside `cluster`: what each may import of the others. What joins them lies beside them, and so does the ground. */
const clusterRooms: Record<string, readonly string[]> = {
  time: [],
  links: [],
  maps: ['time'],
  members: ['links', 'maps'],
  discovery: ['links', 'members'],
  sessions: ['maps'],
  forwarding: ['links', 'maps', 'members', 'sessions'],
  trust: ['members', 'discovery'],
  enrolment: ['links', 'maps', 'members', 'discovery', 'trust'],
}
const clusterGround = ['ports.ts', 'settings.ts', 'status.ts', 'rendezvous.ts', 'awaiting.ts']

/** The synchronous core: time, chance, network and disk come through its ports. */
const core = ['base', 'topic', 'wire', 'broker', 'store', 'cluster', 'compose.ts']

/** Every Node global but Buffer that would bring the outside in, and the words of asynchronous code. */
const banned = [
  'process',
  'console',
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'queueMicrotask',
  'structuredClone',
  'fetch',
  'crypto',
  'global',
  'globalThis',
  'require',
  'async',
  'await',
  'Promise',
  'EventEmitter',
  'AbortController',
  'MessageChannel',
  'Worker',
]

/** Files that have outgrown 400 lines. This list only shrinks. */
const longFiles: readonly string[] = []
const LINES_MAX = 400

const files = (readdirSync(src, { recursive: true }) as string[])
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, room: name.split('/')[0]!, text: readFileSync(join(src, name), 'utf8') }))

const importsOf = (text: string): string[] =>
  [...text.matchAll(/\b(?:from\s+|import\s+|import\s*\(\s*)'([^']+)'/g)].map((match) => match[1]!)

/** The code without comments and string literals, so that a word in a sentence is not a finding. */
function codeOf(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, ' ')
    .replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, "''")
    .replace(/(^|[^:\\])\/\/[^\n]*/g, '$1')
    .replace(/`(?:\\.|\$\{[^}]*\}|[^`\\])*`/g, '``')
}

describe('rooms', () => {
  test('every file of src is in a room of the table', () => {
    expect(files.filter(({ room }) => !(room in rooms)).map(({ name }) => name)).toEqual([])
    expect(files.length).toBeGreaterThan(20)
  })

  test('a room imports only what its row allows', () => {
    const broken: string[] = []
    for (const { name, room, text } of files) {
      const row = rooms[room]
      if (row === undefined) continue
      for (const target of importsOf(text)) {
        if (target.startsWith('.')) {
          const path = relative(src, resolve(src, dirname(name), target))
          const allowed =
            path.startsWith(`${room}/`) ||
            path === room ||
            row.imports.some((allowed) => path === allowed || path.startsWith(`${allowed}/`))
          if (!allowed) broken.push(`${name} imports ${path}`)
          if (!target.endsWith('.ts') && !target.endsWith('.json')) broken.push(`${name}: '${target}' lacks .ts`)
        } else if (row.packages === 'none' || (row.packages !== 'any' && !row.packages.includes(target))) {
          broken.push(`${name} imports package ${target}`)
        } else if (room === 'wire' && !name.startsWith('wire/mqtt/')) {
          broken.push(`${name} imports package ${target}: only wire/mqtt may`)
        }
      }
    }
    expect(broken).toEqual([])
  })

  test('a room inside the cluster imports only what its row allows', () => {
    const broken: string[] = []
    for (const { name, room, text } of files) {
      const inner = name.split('/')[1]!
      if (room !== 'cluster') continue
      if (!inner.endsWith('.ts') && !(inner in clusterRooms)) broken.push(`${name} is in no room of the table`)
      const ground = clusterGround.includes(inner)
      if (inner.endsWith('.ts') && !ground) continue
      const allowed = ground ? clusterGround : [...clusterGround, inner, ...(clusterRooms[inner] ?? [])]
      for (const target of importsOf(text)) {
        const path = relative(join(src, 'cluster'), resolve(src, dirname(name), target))
        if (target.startsWith('.') && !path.startsWith('..') && !allowed.includes(path.split('/')[0]!))
          broken.push(`${name} imports cluster/${path}`)
      }
    }
    expect(broken).toEqual([])
  })

  test('there is no circle of imports', () => {
    const graph = new Map(
      files.map(({ name, text }) => [
        name,
        importsOf(text.replace(/import type[^\n]*\n|import type \{[\s\S]*?\} from '[^']+'/g, ''))
          .filter((target) => target.startsWith('.'))
          .map((target) => relative(src, resolve(src, dirname(name), target))),
      ]),
    )
    const circles: string[] = []
    const done = new Set<string>()
    const walk = (name: string, path: readonly string[]): void => {
      const at = path.indexOf(name)
      if (at >= 0) circles.push([...path.slice(at), name].join(' -> '))
      if (at >= 0 || done.has(name)) return
      for (const next of graph.get(name) ?? []) walk(next, [...path, name])
      done.add(name)
    }
    for (const name of graph.keys()) walk(name, [])
    expect(circles).toEqual([])
  })
})

describe('core', () => {
  test('names no Node global but Buffer, and nothing asynchronous', () => {
    const found: string[] = []
    for (const { name, room, text } of files) {
      if (!core.includes(room)) continue
      const code = codeOf(text)
      for (const word of banned) {
        if (new RegExp(`(?<![.\\w$#'])${word}(?![\\w$]*['\\w:?])`).test(code)) found.push(`${name}: ${word}`)
      }
      if (/\bMath\s*\.\s*random\b/.test(code)) found.push(`${name}: Math.random`)
    }
    expect(found).toEqual([])
  })

  test('the ban sees what it is meant to see', () => {
    const seen = (code: string, word: string) =>
      new RegExp(`(?<![.\\w$#'])${word}(?![\\w$]*['\\w:?])`).test(codeOf(code))
    expect(seen('const t = Date.now()', 'Date')).toBe(true)
    expect(seen('setTimeout(() => {}, 1)', 'setTimeout')).toBe(true)
    expect(seen('async function f() { await g() }', 'await')).toBe(true)
    expect(seen('// Date.now() would be wrong\nconst a = 1', 'Date')).toBe(false)
    expect(seen("const a = 'Date'", 'Date')).toBe(false)
    expect(seen('this.process(frame)', 'process')).toBe(false)
  })
})

describe('files', () => {
  test('stay under 400 lines, but for a list that only shrinks', () => {
    const long = files.filter(({ text }) => text.split('\n').length > LINES_MAX).map(({ name }) => name)
    expect(long.filter((name) => !longFiles.includes(name))).toEqual([])
    expect(longFiles.filter((name) => !long.includes(name))).toEqual([])
  })

  test('begin by saying their job', () => {
    const silent = files.filter(({ text }) => !/^(#![^\n]*\n)?\/\//.test(text)).map(({ name }) => name)
    expect(silent).toEqual([])
  })
})

test('decisions are numbered one by one, in their names and their titles', () => {
  const folder = join(root, 'docs', 'decisions')
  for (const [index, name] of readdirSync(folder).sort().entries()) {
    const number = String(index + 1).padStart(4, '0')
    expect(name).toMatch(new RegExp(`^${number}-[a-z0-9-]+\\.md$`))
    expect(readFileSync(join(folder, name), 'utf8').split('\n', 1)[0]).toMatch(new RegExp(`^# ${number}: [A-Z]`))
  }
})
