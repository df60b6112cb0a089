// The release tarball of this tree, as `npm run package` makes it, and one that calls itself newer.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '../..')

/** Makes the release of this machine's kind in `folder` and unpacks it there; gives the unpacked folder. */
export function release(folder: string): string {
  const options = { cwd: repository, stdio: ['ignore', 'ignore', 'pipe'] as 'pipe'[] }
  execFileSync('npm', ['run', '--silent', 'package', '--', '--out', folder], options)
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tar.gz'))!
  execFileSync('tar', ['-xzf', join(folder, tarball), '-C', folder])
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
