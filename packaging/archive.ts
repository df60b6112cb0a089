// Archives that are the same bytes for the same input: sorted, one time, root as owner, no names of this machine.
//
//   tar (ustar)   header 512 | content, padded to 512 | ... | 1024 zero bytes
//   ar  (.deb)    "!<arch>\n" | header 60 | content, padded to 2 | ...

import { readFileSync } from 'node:fs'

/** What lies at a path: bytes given here, or a file that is read when its turn comes (Node's binary has 120 MB). */
export interface Entry {
  readonly executable: boolean
  readonly content: Buffer | { readonly file: string }
}

/** Path -> entry. Folders follow from the paths. */
export type Tree = ReadonlyMap<string, Entry>

/** GNU tar warns of 1970, so this is the day when the project's first year began; SOURCE_DATE_EPOCH overrules it. */
export const TIME_DEFAULT = 1_767_225_600

const BLOCK = 512
const NAME_MAX = 100
const PREFIX_MAX = 155

export const text = (content: string, executable = false): Entry => ({ executable, content: Buffer.from(content) })

export const bytesOf = ({ content }: Entry): Buffer => (Buffer.isBuffer(content) ? content : readFileSync(content.file))

/** The tree as tar, in pieces; `top` is the folder that all of it lies in ('.' in a .deb). */
export function* tar(tree: Tree, top: string, time: number): Generator<Buffer> {
  const folders = new Set([`${top}/`])
  for (const path of tree.keys()) {
    const parts = path.split('/').slice(0, -1)
    parts.forEach((_, at) => {
      folders.add(`${top}/${parts.slice(0, at + 1).join('/')}/`)
    })
  }
  const files = new Map([...tree].map(([path, entry]) => [`${top}/${path}`, entry]))
  for (const path of [...folders, ...files.keys()].sort(byBytes)) {
    const entry = files.get(path)
    if (entry === undefined) {
      yield tarHeader(path, 0o755, 0, '5', time)
      continue
    }
    const content = bytesOf(entry)
    yield tarHeader(path, entry.executable ? 0o755 : 0o644, content.length, '0', time)
    yield content
    yield Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)
  }
  yield Buffer.alloc(2 * BLOCK)
}

function tarHeader(path: string, mode: number, size: number, type: '0' | '5', time: number): Buffer {
  const { prefix, name } = splitPath(path)
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`
  const header = Buffer.alloc(BLOCK)
  const put = (value: string, at: number): void => {
    header.write(value, at)
  }
  put(name, 0)
  put(octal(mode, 8), 100)
  put(octal(0, 8), 108)
  put(octal(0, 8), 116)
  put(octal(size, 12), 124)
  put(octal(time, 12), 136)
  put(' '.repeat(8), 148)
  put(type, 156)
  put('ustar\x0000', 257)
  put('root', 265)
  put('root', 297)
  put(octal(0, 8), 329)
  put(octal(0, 8), 337)
  put(prefix, 345)
  const sum = header.reduce((total, byte) => total + byte, 0)
  put(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

/** ustar has 100 bytes for a name, and 155 more for the folders before it. */
function splitPath(path: string): { prefix: string; name: string } {
  if (Buffer.byteLength(path) <= NAME_MAX) return { prefix: '', name: path }
  for (let at = path.indexOf('/'); at > 0 && at < path.length - 1; at = path.indexOf('/', at + 1)) {
    const name = path.slice(at + 1)
    if (Buffer.byteLength(name) > NAME_MAX) continue
    const prefix = path.slice(0, at)
    if (Buffer.byteLength(prefix) > PREFIX_MAX) break
    return { prefix, name }
  }
  throw new Error(`${path} is too long a name for an archive`)
}

/** The members of an ar archive, as dpkg wants them. */
export function* ar(members: readonly (readonly [name: string, content: Buffer])[], time: number): Generator<Buffer> {
  yield Buffer.from('!<arch>\n')
  for (const [name, content] of members) {
    const fields = [name.padEnd(16), String(time).padEnd(12), '0'.padEnd(6), '0'.padEnd(6), '100644'.padEnd(8)]
    yield Buffer.from(`${fields.join('')}${String(content.length).padEnd(10)}\`\n`)
    yield content
    if (content.length % 2 === 1) yield Buffer.from('\n')
  }
}

/** By bytes, in no country's order. */
export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))
