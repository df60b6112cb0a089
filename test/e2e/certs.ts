// A CA for a test LAN, made the way a user makes it: by a first setup.

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { program } from './gateway.ts'

/** Makes a new cluster's CA below `directory` and returns the folder that holds ca.crt and ca.key. */
export function makeCerts(directory: string, name = 'certs'): string {
  const maker = join(directory, `maker-${name}`)
  execFileSync(process.execPath, [program, 'setup', '--new-cluster', '--data-dir', maker], { stdio: 'pipe' })
  const certs = join(directory, name)
  mkdirSync(certs)
  for (const file of ['ca.crt', 'ca.key']) copyFileSync(join(maker, 'state', file), join(certs, file))
  return certs
}
