// `edge-mqtt cert issue` and `edge-mqtt ca show`: what devices need to trust the cluster, and to prove who they are.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { IssuedCertificate } from '../../cluster/trust/certificates.ts'
import type { ShownAuthority } from '../certificates.ts'
import { Ending, Exit } from '../exit.ts'
import { places } from '../places.ts'
import { print, printJson } from './output.ts'
import { addAuthorityCommands } from './trust.ts'

interface Reach {
  readonly dataDir?: string
  readonly socket?: string
  readonly json?: true
}

const ANSWER_MS = 10_000
const SECRET = 0o600
const OPEN = 0o644

async function asked(options: Reach, command: string, args: Record<string, unknown> = {}): Promise<unknown> {
  const { ask } = await import('../control/client.ts')
  return ask(places(options, process.env), { command, args }, { everybody: false, timeoutMs: ANSWER_MS })
}

export function addCertificateCommands(
  program: Command,
  reach: (command: Command) => Command,
  example: (...lines: readonly string[]) => string,
): void {
  const ca = program
    .command('ca')
    .description("the cluster's CA")
    .addHelpText('after', example('edge-mqtt ca show > ca.crt'))
  addAuthorityCommands(ca, reach, example)
  reach(ca.command('show'))
    .description('print its certificate, for devices that connect over TLS, its fingerprint, and who has its key')
    .addHelpText('after', example('edge-mqtt ca show > ca.crt', 'edge-mqtt ca show --json | jq -r .fingerprint'))
    .action(async (options: Reach) => {
      const shown = (await asked(options, 'ca show')) as ShownAuthority
      if (options.json === true) return printJson(shown)
      // The text before the first line of a PEM file is a comment.
      const holders = shown.holders.map(({ name }) => name).join(', ')
      const key = holders === '' ? 'on no box that is known here' : `on ${holders}`
      print(`SHA-256 fingerprint: ${fingerprintText(shown.fingerprint)}\nIts key: ${key}\n${shown.certificate}`)
    })

  const cert = program
    .command('cert')
    .description('certificates of the CA for devices')
    .addHelpText('after', example('edge-mqtt cert issue sensor-7'))
  reach(cert.command('issue'))
    .description('make a certificate by which a device proves its name: NAME.crt, NAME.key, and ca.crt')
    .argument('<name>', 'its common name; letters, digits and . _ @ -')
    .option('--out <dir>', 'where to put the files', '.')
    .addHelpText('after', example('edge-mqtt cert issue sensor-7 --out ./sensor-7'))
    .action(async (name: string, options: Reach & { readonly out: string }) => {
      const paths = [`${name}.crt`, `${name}.key`].map((file) => join(options.out, file.replaceAll(' ', '-')))
      const there = paths.find((path) => existsSync(path))
      if (there !== undefined) throw new Ending(Exit.notPermitted, `${there} is there already: nothing was made`)
      const issued = (await asked(options, 'cert issue', { name })) as IssuedCertificate
      const [crt, key] = paths as [string, string]
      const authority = join(options.out, 'ca.crt')
      save(options.out, [
        [key, issued.privateKey, SECRET],
        [crt, issued.certificate, OPEN],
        [authority, issued.authority, OPEN],
      ])
      if (options.json === true) return printJson({ name, certificate: crt, key, ca: authority })
      print(`issued a certificate for ${name}: ${crt}, ${key}; the CA to trust: ${authority}`)
    })
}

function save(directory: string, files: readonly (readonly [string, string, number])[]): void {
  try {
    mkdirSync(directory, { recursive: true })
    for (const [path, text, mode] of files) writeFileSync(path, text, { mode })
  } catch (error) {
    throw new Ending(Exit.notPermitted, `cannot write to ${directory}: ${(error as Error).message}`)
  }
}

const fingerprintText = (hex: string): string => hex.toUpperCase().match(/../g)?.join(':') ?? ''
