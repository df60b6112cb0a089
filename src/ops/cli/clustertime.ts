// `edge-mqtt cluster time`: one date for all boxes, shown and set.

import type { Command } from 'commander'
import type { ShownTime } from '../clustertime.ts'
import { places } from '../places.ts'
import { print, printJson } from './output.ts'

interface Options {
  readonly dataDir?: string
  readonly socket?: string
  readonly json?: true
  readonly set?: string
}

const ANSWER_MS = 10_000

export function addTimeCommand(
  cluster: Command,
  reach: (command: Command) => Command,
  example: (...lines: readonly string[]) => string,
): void {
  reach(cluster.command('time'))
    .description('what the boxes take for the time, whose clock that is, and how far their own clocks are off')
    .option('--set <time>', 'it is this time (with a zone, or "now": as the clock of this machine has it)')
    .addHelpText('after', example('edge-mqtt cluster time', 'edge-mqtt cluster time --set 2026-05-01T14:30:00Z'))
    .action(async (options: Options) => {
      const { ask } = await import('../control/client.ts')
      const args = options.set === undefined ? {} : { set: options.set }
      const asked = { everybody: false, timeoutMs: ANSWER_MS }
      const shown = (await ask(places(options, process.env), { command: 'cluster time', args }, asked)) as ShownTime
      if (options.json === true) printJson(shown)
      else print(timeText(shown))
    })
}

export function timeText({ clusterMs, ownMs, synchronised, from, members }: ShownTime): string {
  const rows = [
    `Cluster time  ${dateText(clusterMs)}  by ${from === 'set' ? 'what people have set' : from}`,
    `This box      ${dateText(ownMs)}  ${clockText(ownMs - clusterMs, synchronised)}`,
    ...members.map(
      ({ name, ownMs, synchronised, differenceMs }) =>
        `${name.padEnd(12)}  ${dateText(ownMs)}  ${clockText(ownMs - clusterMs, synchronised)}${
          Math.abs(differenceMs) > TOLD_MS ? `; takes ${dateText(clusterMs + differenceMs)} for the cluster's time` : ''
        }`,
    ),
  ]
  return rows.join('\n')
}

/** Less is nobody's concern. */
const TOLD_MS = 2000

const dateText = (ms: number): string => new Date(ms).toISOString()

function clockText(offMs: number, synchronised: boolean): string {
  const off = Math.abs(offMs) <= TOLD_MS ? 'right' : `${spanText(Math.abs(offMs))} ${offMs > 0 ? 'ahead' : 'late'}`
  return synchronised ? `${off}, synchronised` : off
}

function spanText(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}
