// `edge-mqtt ca rotate`, `ca seal`, `cluster remove` and `cluster leave`: the CA, its key, and who is a member no more.

import type { Command } from 'commander'
import type { Left } from '../../cluster/leaving.ts'
import type { NamedNode } from '../../cluster/trust/trustlife.ts'
import { places } from '../places.ts'
import type { ShownRemoval, ShownRotation, ShownSealing } from '../trust.ts'
import { print, printJson } from './output.ts'

interface Reach {
  readonly dataDir?: string
  readonly socket?: string
  readonly json?: true
}

/** Members are waited for: a removal and a rotation together take half a minute at most. */
const ANSWER_MS = 60_000

async function asked(options: Reach, command: string, args: Record<string, unknown> = {}): Promise<unknown> {
  const { ask } = await import('../control/client.ts')
  return ask(places(options, process.env), { command, args }, { everybody: false, timeoutMs: ANSWER_MS })
}

const names = (nodes: readonly NamedNode[]): string =>
  nodes.length === 0 ? 'nobody' : nodes.map(({ id, name }) => (name === id ? id : `${name} (${id})`)).join(', ')

export function addAuthorityCommands(
  ca: Command,
  reach: (command: Command) => Command,
  example: (...lines: readonly string[]) => string,
): void {
  reach(ca.command('rotate'))
    .description('replace the CA under the running cluster; boxes that are off find back for 90 days')
    .option(
      '--compromised',
      'somebody else has its key: what it has signed counts no more; boxes that are off need a code',
    )
    .addHelpText('after', example('edge-mqtt ca rotate', 'edge-mqtt ca rotate --compromised'))
    .action(async (options: Reach & { readonly compromised?: true }) => {
      const shown = (await asked(options, 'ca rotate', { compromised: options.compromised === true })) as ShownRotation
      if (options.json === true) return printJson(shown)
      print(rotationText(shown))
    })
  reach(ca.command('seal'))
    .description('delete the key of the CA from all boxes but two')
    .addHelpText('after', example('edge-mqtt ca seal'))
    .action(async (options: Reach) => {
      const shown = (await asked(options, 'ca seal')) as ShownSealing
      if (options.json === true) return printJson(shown)
      print(sealingText(shown))
    })
}

export function addMembershipCommands(
  cluster: Command,
  reach: (command: Command) => Command,
  example: (...lines: readonly string[]) => string,
): void {
  reach(cluster.command('remove'))
    .description('remove a box for good: it is refused everywhere, and can come back with a new identity only')
    .argument('<node>', 'its name or id, as "edge-mqtt cluster status" shows it')
    .option('--keep-ca', 'it had the key of the CA: keep the CA all the same')
    .addHelpText(
      'after',
      example('edge-mqtt cluster remove gw-3', 'edge-mqtt cluster remove 8332c452746a5762 --keep-ca'),
    )
    .action(async (node: string, options: Reach & { readonly keepCa?: true }) => {
      const args = { node, keepCa: options.keepCa === true }
      const shown = (await asked(options, 'cluster remove', args)) as ShownRemoval
      if (options.json === true) return printJson(shown)
      print(removalText(shown))
    })
  reach(cluster.command('leave'))
    .description(
      'take this box out of its cluster: its clients are sent elsewhere, and it is alone with a new identity',
    )
    .addHelpText('after', example('edge-mqtt cluster leave'))
    .action(async (options: Reach) => {
      const left = (await asked(options, 'cluster leave')) as Left
      if (options.json === true) return printJson(left)
      print(`left cluster ${left.cluster}; this box is alone now, as node ${left.node}`)
      const { given, kept } = left.sessions
      if (given > 0) print(`sessions of clients that go on at other boxes: ${given}`)
      if (kept > 0) print(`sessions that no other box could take, and that are here still: ${kept}`)
    })
}

export function rotationText({
  generation,
  fingerprint,
  compromised,
  confirmed,
  missing,
  holders,
}: ShownRotation): string {
  const back = compromised ? 'a code ("edge-mqtt invite")' : 'nothing: they follow when they are linked, for 90 days'
  return [
    `the CA was replaced (${generation === 1 ? 'once' : `${generation} times`} until now); its fingerprint: ${fingerprint}`,
    `  members on it:       ${names(confirmed)} and this box`,
    `  not yet:             ${names(missing)}${missing.length === 0 ? '' : `; they need ${back}`}`,
    `  its key is on:       ${names(holders)}`,
    '  for your devices:    edge-mqtt ca show > ca.crt',
    ...(compromised
      ? ['  the first password of the account "devices" came from the old key: edge-mqtt user passwd devices']
      : []),
  ].join('\n')
}

export function sealingText({ kept, deleted, missing, inBundle }: ShownSealing): string {
  return [
    `the key of the CA is on ${names(kept)}`,
    `  deleted from:        ${names(deleted)}`,
    ...(missing.length > 0 ? [`  not reached:         ${names(missing)}; say it again when they are linked`] : []),
    ...(inBundle.length > 0
      ? [`  still in certs/ of:  ${names(inBundle)}; there people delete it: sudo rm /etc/edge-mqtt/certs/ca.key`]
      : []),
  ].join('\n')
}

export function removalText({ id, name, confirmed, missing, keptCa, rotation }: ShownRemoval): string {
  const lines = [
    `${names([{ id, name }])} was removed`,
    `  confirmed by:        ${names(confirmed)} and this box`,
    `  not yet:             ${names(missing)}${missing.length === 0 ? '' : '; they hear of it when they are linked'}`,
  ]
  if (keptCa) lines.push('  it had the key of the CA, which stays: whoever has that box can make members')
  if (rotation === null) return lines.join('\n')
  if ('failed' in rotation) {
    lines.push(`  it had the key of the CA, which could not be replaced: ${rotation.failed}`)
    lines.push('  as soon as that is mended: edge-mqtt ca rotate --compromised')
    return lines.join('\n')
  }
  return [...lines, 'it had the key of the CA, so:', rotationText(rotation)].join('\n')
}
