// `edge-mqtt retained ...`: what it takes, what it asks of the daemon, what it prints.

import { isUtf8 } from 'node:buffer'
import type { Command } from 'commander'
import type { RetainedPage, RetainedRow } from '../../broker/retaineddesk.ts'
import { Ending, Exit } from '../exit.ts'
import { places } from '../places.ts'
import type { RetainedRemoved, RetainedShown } from '../retained.ts'
import { print, printJson } from './output.ts'

interface Reach {
  readonly dataDir?: string
  readonly socket?: string
  readonly json?: true
}

/** A hundred thousand messages are removed in seconds. */
const ANSWER_MS = 120_000

async function asked(options: Reach, command: string, args: Record<string, unknown>): Promise<unknown> {
  const { ask } = await import('../control/client.ts')
  return ask(places(options, process.env), { command, args }, { everybody: false, timeoutMs: ANSWER_MS })
}

/** All pages, by topic. What changes between two pages may be missing or there twice: once it is shown. */
async function all<Row extends RetainedRow>(options: Reach, command: string, filter: string): Promise<readonly Row[]> {
  const rows = new Map<string, Row>()
  for (let skip = 0; ; ) {
    const page = (await asked(options, command, { filter, skip })) as RetainedPage<Row>
    for (const row of page.rows) rows.set(row.topic, row)
    skip += page.rows.length
    if (page.rows.length === 0 || skip >= page.total) break
  }
  return [...rows.values()].sort((a, b) => (a.topic < b.topic ? -1 : 1))
}

export function addRetainedCommands(
  program: Command,
  reach: (command: Command) => Command,
  example: (...lines: readonly string[]) => string,
): void {
  const retained = program
    .command('retained')
    .description('retained messages, the same on all boxes')
    .addHelpText('after', example('edge-mqtt retained list', 'edge-mqtt retained remove "homeassistant/#"'))
  reach(retained.command('list'))
    .description('topics that have one: bytes, QoS, when and by whom, what is left of the expiry')
    .argument('[filter]', 'topic filter', '#')
    .addHelpText('after', example('edge-mqtt retained list "home/#"', 'edge-mqtt retained list --json | jq length'))
    .action(async (filter: string, options: Reach) => {
      const rows = await all<RetainedRow>(options, 'retained list', filter)
      if (options.json === true) return printJson(rows)
      print(rows.length === 0 ? `no retained messages match ${filter}` : rows.map(rowText).join('\n'))
    })
  reach(retained.command('get'))
    .description('what they say; of one topic the payload alone')
    .argument('<filter>', 'topic or topic filter')
    .addHelpText('after', example('edge-mqtt retained get home/door', 'edge-mqtt retained get "home/+/state"'))
    .action(async (filter: string, options: Reach) => {
      const rows = await all<RetainedShown>(options, 'retained get', filter)
      if (options.json === true) return printJson(rows)
      const [only] = rows
      if (only === undefined) throw new Ending(Exit.unexpected, `no retained message matches ${filter}`)
      print(
        only.topic === filter ? payloadText(only) : rows.map((row) => `${row.topic} ${payloadText(row)}`).join('\n'),
      )
    })
  reach(retained.command('remove'))
    .description('remove them on all boxes; subscribers get the empty message that says so')
    .argument('<filter>', 'topic or topic filter')
    .addHelpText('after', example('edge-mqtt retained remove home/door', 'edge-mqtt retained remove "old/#"'))
    .action(async (filter: string, options: Reach) => {
      const { removed } = (await asked(options, 'retained remove', { filter })) as RetainedRemoved
      if (options.json === true) return printJson({ removed })
      print(`${removed} removed`)
    })
}

function rowText({ topic, bytes, qos, publisher, writtenMs, expiresInMs }: RetainedRow): string {
  const left = expiresInMs === null ? '' : `, expires in ${Math.ceil(expiresInMs / 1000)} s`
  return `${topic}  ${bytes} bytes, QoS ${qos}, ${new Date(writtenMs).toISOString()} by ${publisher}${left}`
}

function payloadText({ payload, bytes }: RetainedShown): string {
  if (payload === null) return `(${bytes} bytes: too long to be shown)`
  const content = Buffer.from(payload, 'base64')
  return isUtf8(content) ? content.toString('utf8') : `(${bytes} bytes that are no text: --json shows them as base64)`
}
