// The release tarball of this tree, as `npm run package` makes it, and one that calls itself newer.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { boxCache, makeOnce } from './box.ts'

const repository = resolve(import.meta.dirname, '../..')

/** All that a release is made of: the same content is the same release, which need not be made again. */
const SOURCES = [
  'src',
  'packaging',
  'docs',
  'systemd',
  'certs/README.md',
  'install.sh',
  'package.json',
  'package-lock.json',
]
/** Runs beside this one, of other trees, may be using theirs. */
const OLD_MS = 3_600_000
const PROSE = ['README.md', 'CHANGELOG.md', 'LICENSE', 'tsconfig.base.json', 'tsconfig.build.json']

/** The folder with the release of this machine's kind, tarball and Debian package: made, or what was made of the same. */
export function released(): string {
  const sums = execFileSync('sh', ['-c', 'find "$@" -type f | sort | xargs sha256sum', 'sh', ...SOURCES, ...PROSE], {
    cwd: repository,
  })
  const kept = join(boxCache(), `release-${createHash('sha256').update(sums).digest('hex').slice(0, 16)}`)
  if (existsSync(kept)) return kept
  mkdirSync(boxCache(), { recursive: true })
  for (const old of readdirSync(boxCache()).filter((name) => name.startsWith('release-'))) {
    const place = join(boxCache(), old)
    const { mtimeMs = Date.now() } = statSync(place, { throwIfNoEntry: false }) ?? {}
    if (Date.now() - mtimeMs > OLD_MS) rmSync(place, { recursive: true, force: true })
  }
  makeOnce(kept, ['npm', '--prefix', repository, 'run', '--silent', 'package', '--', '--out', '{}'])
  return kept
}

/** Unpacks the release of this machine's kind into `folder`. */
export function release(folder: string): string {
  const kept = released()
  const tarball = readdirSync(kept).find((name) => name.endsWith('.tar.gz'))!
  execFileSync('tar', ['-xzf', join(kept, tarball), '-C', folder])
  return join(folder, tarball.replace(/\.tar\.gz$/, ''))
}

/** A copy of a release with another version number, whole by its checksums. */
export function releaseCalled(version: string, from: string, folder: string): string {
  const copy = join(folder, `edge-mqtt-${version}`)
  mkdirSync(folder, { recursive: true })
  execFileSync('cp', ['-al', from, copy])
  const manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as { version: string }
  rewrite(copy, 'package.json', JSON.stringify({ ...manifest, version }, null, 2))
  return copy
}

/** Writes a file of a release anew, with its checksum. (Linked files are not written through.) */
export function rewrite(copy: string, file: string, content: string): void {
  const sum = createHash('sha256').update(content).digest('hex')
  const sums = readFileSync(join(copy, 'SHA256SUMS'), 'utf8').replace(
    new RegExp(`^[0-9a-f]{64}  ${file.replaceAll('.', '\\.')}$`, 'm'),
    `${sum}  ${file}`,
  )
  for (const [name, text] of [
    [file, content],
    ['SHA256SUMS', sums],
  ] as const) {
    execFileSync('rm', ['-f', join(copy, name)])
    writeFileSync(join(copy, name), text)
  }
}
