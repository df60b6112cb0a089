// A CA for a test LAN, made the way a user makes it: by a first setup. LANs of one file of tests never meet, so they may
// have the same one.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { program } from './gateway.ts'

const FILES = ['ca.crt', 'ca.key'] as const
const made = new Map<string, readonly Buffer[]>()

/** The CA of that name. */
function named(name: string): readonly Buffer[] {
  const there = made.get(name)
  if (there !== undefined) return there
  const maker = mkdtempSync(join(tmpdir(), 'edge-mqtt-ca-'))
  try {
    execFileSync(process.execPath, [program, 'setup', '--new-cluster', '--data-dir', maker], { stdio: 'pipe' })
    const files = FILES.map((file) => readFileSync(join(maker, 'state', file)))
    made.set(name, files)
    return files
  } finally {
    rmSync(maker, { recursive: true, force: true })
  }
}

/** Lays a cluster's CA into a folder below `directory`, and returns that: it holds ca.crt and ca.key. */
export function makeCerts(directory: string, name = 'certs'): string {
  const certs = join(directory, name)
  mkdirSync(certs)
  for (const [index, bytes] of named(name).entries()) writeFileSync(join(certs, FILES[index]!), bytes, { mode: 0o600 })
  return certs
}
