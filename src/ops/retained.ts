// What `edge-mqtt retained ...` asks of a running daemon, a page at a time.

import { HostError, ProtocolError } from '../base/errors.ts'
import { MiB } from '../base/limits.ts'
import type { RetainedPage, RetainedRow } from '../broker/retaineddesk.ts'
import type { Node } from '../compose.ts'
import { parseTopicFilter } from '../topic/filter.ts'
import type { Commands } from './control/server.ts'

/** A retained message with what it says. */
export interface RetainedShown extends RetainedRow {
  /** Base64; null: it is too long to be shown. */
  readonly payload: string | null
}

export interface RetainedRemoved {
  readonly removed: number
}

const LEVELS_MAX = 1000
const ROWS_MAX = 5000
/** Payloads of one page, or one alone. */
const PAGE_BYTES = 4 * MiB
const PAYLOAD_BYTES_MAX = 32 * MiB

export function retainedCommands(node: () => Promise<Pick<Node, 'retained'>>): Commands {
  return {
    'retained list': {
      everybody: false,
      run: async ({ filter, skip }): Promise<RetainedPage<RetainedRow>> =>
        (await node()).retained.list(filterOf(filter), skipOf(skip), ROWS_MAX),
    },
    'retained get': {
      everybody: false,
      run: async ({ filter, skip }) => shown((await node()).retained, filterOf(filter), skipOf(skip)),
    },
    'retained remove': {
      everybody: false,
      run: async ({ filter }): Promise<RetainedRemoved> => {
        const { retained } = await node()
        const valid = filterOf(filter)
        return new Promise((resolve) => retained.remove(valid, (removed) => resolve({ removed })))
      },
    },
  }
}

function shown(retained: Node['retained'], filter: string, skip: number): RetainedPage<RetainedShown> {
  const { total, rows } = retained.list(filter, skip, ROWS_MAX)
  const page: RetainedShown[] = []
  let bytes = 0
  for (const row of rows) {
    if (page.length > 0 && bytes + row.bytes > PAGE_BYTES) break
    const payload = row.bytes > PAYLOAD_BYTES_MAX ? null : retained.payload(row.topic)
    page.push({ ...row, payload: payload === null ? null : payload.toString('base64') })
    bytes += row.bytes
  }
  return { total, rows: page }
}

function filterOf(text: unknown): string {
  const filter = parseTopicFilter(typeof text === 'string' ? text : '', LEVELS_MAX)
  if (filter instanceof ProtocolError) {
    throw new HostError('invalid', `not a topic filter: ${JSON.stringify(text)} (${filter.message})`)
  }
  if (filter.share !== null) {
    throw new HostError('invalid', `a shared subscription has no retained messages; right would be "${filter.filter}"`)
  }
  return filter.filter
}

const skipOf = (skip: unknown): number => (Number.isSafeInteger(skip) && (skip as number) > 0 ? (skip as number) : 0)
