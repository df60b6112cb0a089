// `edge-mqtt cluster heals`: what the boxes mended after they had been apart, as this box saw it.

import type { Command } from 'commander'
import type { Heal } from '../../cluster/heals.ts'
import { places } from '../places.ts'
import { print, printJson } from './output.ts'

interface Options {
  readonly dataDir?: string
  readonly socket?: string
  readonly json?: true
}

const ANSWER_MS = 10_000

export function addHealsCommand(
  cluster: Command,
  reach: (command: Command) => Command,
  example: (...lines: readonly string[]) => string,
): void {
  reach(cluster.command('heals'))
    .description('when this box and others had been apart, for how long, and what was put right since')
    .addHelpText('after', example('edge-mqtt cluster heals', 'edge-mqtt cluster heals --json'))
    .action(async (options: Options) => {
      const { ask } = await import('../control/client.ts')
      const asked = { everybody: false, timeoutMs: ANSWER_MS }
      const heals = (await ask(places(options, process.env), { command: 'cluster heals', args: {} }, asked)) as Heal[]
      if (options.json === true) printJson(heals)
      else print(healsText(heals))
    })
}

export function healsText(heals: readonly Heal[]): string {
  if (heals.length === 0) return 'no other box was away from this one that had been running all the time'
  return heals
    .map(({ atMs, members, here, mended, settling }) => {
      const who = members.map(({ name, apartMs }) => `${name} (apart for ${Math.round(apartMs / 1000)} s)`).join(', ')
      const what = Object.entries(mended).map(([text, count]) => `  ${count} ${text}`)
      const rest =
        what.length > 0 ? what : [settling ? '  nothing to put right so far' : '  nothing had to be put right']
      const own = here.length === 0 ? '' : `; with this box: ${here.map(({ name }) => name).join(', ')}`
      return [`${new Date(atMs).toISOString()}  ${who}${own}${settling ? ', settling' : ''}`, ...rest].join('\n')
    })
    .join('\n')
}
