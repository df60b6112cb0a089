// The parts of a release that come from elsewhere or are made: compiled code, production packages, Node itself. All by
// npm's client, so that its mirrors, its cache and its checks of the lock file hold here too.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Arch, Parts } from './contents.ts'
import runtime from './node-runtime.json' with { type: 'json' }

export function makeParts(repository: string, work: string, arch: Arch): Parts {
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  return {
    repository,
    dist: compile(repository, join(work, 'dist')),
    modules: productionPackages(repository, join(work, 'packages'), arch),
    node: nodeRuntime(join(work, 'node'), arch),
  }
}

/** Compiled afresh: dist/ may hold what an older source left there. */
function compile(repository: string, dist: string): string {
  run(
    join(repository, 'node_modules/.bin/tsc'),
    ['-p', join(repository, 'tsconfig.build.json'), '--outDir', dist],
    repository,
  )
  return dist
}

/** As the lock file says, for the other machine; no script of a package runs here or there. */
function productionPackages(repository: string, folder: string, arch: Arch): string {
  mkdirSync(folder)
  for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(repository, file), join(folder, file))
  const target = ['--os=linux', `--cpu=${arch}`, '--libc=glibc']
  run('npm', ['ci', '--omit=dev', '--ignore-scripts', ...target, '--no-audit', '--no-fund', '--loglevel=error'], folder)
  return join(folder, 'node_modules')
}

function nodeRuntime(folder: string, arch: Arch): string {
  const { package: name, integrity } = runtime[arch]
  mkdirSync(folder)
  run('npm', ['pack', `${name}@${runtime.version}`, '--prefer-offline', '--loglevel=error'], folder)
  const archive = join(folder, `${name}-${runtime.version}.tgz`)
  checkIntegrity(readFileSync(archive), integrity, `${name} ${runtime.version}`)
  run('tar', ['-xzf', archive, 'package/bin/node', 'package/LICENSE'], folder)
  return join(folder, 'package')
}

/** `integrity` as package-lock.json writes it: sha512-BASE64. */
export function checkIntegrity(bytes: Buffer, integrity: string, what: string): void {
  const found = `sha512-${createHash('sha512').update(bytes).digest('base64')}`
  if (found !== integrity) throw new Error(`${what} is not the one that is pinned: ${found}, not ${integrity}`)
}

function run(command: string, args: readonly string[], cwd: string): void {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
}
