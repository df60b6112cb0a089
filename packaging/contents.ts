// What goes into a release: the built code, its production packages, its own Node and what an installer needs.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { byBytes, bytesOf, type Entry, type Tree, text } from './archive.ts'

/** What lies in the repository and goes along as it is; a folder with all that is in it. */
const OWN_FILES = [
  'package.json',
  'package-lock.json',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
  'certs/README.md',
] as const
const OWN_FOLDERS = ['docs', 'systemd'] as const

export type Arch = 'x64' | 'arm64'

/** Where the parts of a release lie before they are packed. */
export interface Parts {
  readonly repository: string
  /** The compiled program. */
  readonly dist: string
  /** A node_modules with production packages only. */
  readonly modules: string
  /** Node's npm package, unpacked. */
  readonly node: string
}

export function releaseTree(parts: Parts, arch: Arch): Tree {
  const tree = new Map<string, Entry>()
  const add = (path: string, file: string, executable = false): void => {
    tree.set(path, { executable, content: { file } })
  }
  // Read now: somebody may be writing there while this runs, and the checksums must fit.
  const addOwn = (path: string, executable = false): void => {
    tree.set(path, { executable, content: readFileSync(join(parts.repository, path)) })
  }
  for (const file of OWN_FILES) addOwn(file)
  for (const folder of OWN_FOLDERS) {
    for (const file of filesIn(join(parts.repository, folder))) addOwn(`${folder}/${file}`)
  }
  addOwn('install.sh', true)
  for (const file of filesIn(parts.dist)) add(`dist/${file}`, join(parts.dist, file), file === 'main.js')
  for (const file of filesIn(parts.modules)) {
    if (isNeededAtRunTime(file, arch)) add(`node_modules/${file}`, join(parts.modules, file))
  }
  add('node/bin/node', join(parts.node, 'bin/node'), true)
  add('node/LICENSE', join(parts.node, 'LICENSE'))
  tree.set('SHA256SUMS', text(checksums(tree)))
  return tree
}

/** A production package also carries types, maps, its own tests' settings, and binaries for other machines. */
export function isNeededAtRunTime(path: string, arch: Arch): boolean {
  const parts = path.split('/')
  const name = parts.at(-1)!
  if (name.startsWith('.') || parts.includes('.bin') || parts[0] === '@types') return false
  if (/^(licen[cs]e|copying|notice)/i.test(name)) return true
  if (/\.([cm]?ts|map|md|markdown|ya?ml|tsbuildinfo)$/.test(name)) return false
  const inPackage = parts[parts[0]!.startsWith('@') ? 2 : 1]!
  if (parts.length > 2 && /^(tests?|fixtures?|examples?|bench(marks?)?|coverage)$/.test(inPackage)) return false
  const prebuilds = parts.indexOf('prebuilds')
  return prebuilds < 0 || parts[prebuilds + 1] === `linux-${arch}`
}

/** As `sha256sum -c SHA256SUMS` reads it: a damaged copy is seen before anything is installed from it. */
export function checksums(tree: Tree): string {
  return [...tree]
    .sort(([a], [b]) => byBytes(a, b))
    .map(([path, entry]) => `${createHash('sha256').update(bytesOf(entry)).digest('hex')}  ${path}\n`)
    .join('')
}

function filesIn(folder: string): string[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .map((name) => relative(folder, join(folder, name)))
    .filter((name) => statSync(join(folder, name)).isFile())
}
