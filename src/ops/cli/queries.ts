// The commands that ask a running daemon.

import type { NodeStatus } from '../../compose.ts'
import { ask } from '../control/client.ts'
import { Ending, Exit } from '../exit.ts'
import type { Joined } from '../joined.ts'
import { type PlaceOptions, places } from '../places.ts'
import { clusterText, statusText } from '../statustext.ts'
import { print, printJson } from './output.ts'

/** A daemon answers within a turn of its loop; one that does not is hung or drowning. */
const STATUS_MS = 5_000
/** A join waits for a member to be heard, and for what it has signed. */
const JOIN_MS = 60_000

const ofDaemon = (options: PlaceOptions) => places(options, process.env)

export async function status(options: PlaceOptions, json: boolean): Promise<void> {
  const found = await askStatus(options, 'status')
  if (json) printJson(found)
  else print(statusText(found, Date.now()))
}

export async function clusterStatus(options: PlaceOptions, json: boolean): Promise<void> {
  const found = await askStatus(options, 'cluster status')
  if (json) printJson(found.cluster)
  else print(clusterText(found, Date.now()))
}

async function askStatus(options: PlaceOptions, command: string): Promise<NodeStatus> {
  const asked = { everybody: options.socket === undefined, timeoutMs: STATUS_MS }
  // The daemon's word for it: both come from the same package, and the protocol's version has been compared.
  return (await ask(ofDaemon(options), { command, args: {} }, asked)) as NodeStatus
}

export interface JoinOptions {
  readonly code?: string
  readonly replace?: string
}

export async function join(
  address: string | undefined,
  { code, replace }: JoinOptions,
  options: PlaceOptions,
  json: boolean,
): Promise<void> {
  const request = { command: 'cluster join', args: { address, code, replace } }
  const asked = { everybody: false, timeoutMs: JOIN_MS }
  const { linked, waiting, outcome } = (await ask(ofDaemon(options), request, asked)) as Joined
  if (json) printJson({ address: address ?? null, linked, waiting, outcome })
  if (!linked && !waiting) throw new Ending(Exit.unavailable, outcome)
  if (!json) print(address === undefined || waiting ? outcome : `${address}: ${outcome}`)
}
