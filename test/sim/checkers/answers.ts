// How long clients wait: for CONNACK never longer than 3 s (DESIGN 4.5), for an acknowledgement as long as the disk and
// two heartbeats take (DESIGN 4.4). And what CONNACK says of the session is true.

import type { Connection, Ledger, Sent } from '../ledger.ts'
import { type Ground, longestFlushMs, runEnded } from './ground.ts'

const CONNACK_MS = 3000
/** Gathering for a commit, turns and the way there and back. */
const SLACK_MS = 400

export function checkAnswers(ledger: Ledger, ground: Ground): string[] {
  const problems: string[] = []
  if (ground.promises.has('connack')) for (const one of ledger.connections) checkConnack(one, ground, problems)
  if (ground.promises.has('prompt')) for (const sent of ledger.sent) checkPrompt(sent, ground, problems)
  return problems
}

/** How long somebody waited who waited until `until`, or null: what he waited at went away first. */
function waited(from: number, until: number | null, { closedAt }: Connection): number | null {
  if (until !== null) return until - from
  return closedAt === null ? null : closedAt - from
}

function checkConnack(one: Connection, ground: Ground, problems: string[]): void {
  if (one.askedAt === null) return
  const tookMs = waited(one.askedAt, one.connectedAt, one) ?? ground.now - one.askedAt
  if (tookMs <= CONNACK_MS || runEnded(ground, one) < one.askedAt + CONNACK_MS) return
  problems.push(`${one.client} waited ${tookMs.toFixed(0)} ms for the CONNACK of node ${one.node}`)
}

function checkPrompt(sent: Sent, ground: Ground, problems: string[]): void {
  const { connection } = sent
  const { node, client } = connection
  if (sent.qos === 0 || sent.will !== null || sent.times > 1) return
  // A commit may have to wait for the one before it, and both may be slow; a QoS 2 exchange has two.
  const commitMs = 2 * longestFlushMs(node, ground)
  const trips = sent.qos === 2 ? 2 : 1
  // One member after the other may fall silent while it is waited for.
  const silentMs = 2 * ground.heartbeatMs * Math.max(1, ground.members - 1)
  const longestMs = trips * (commitMs + silentMs + SLACK_MS) + ground.answersMs(client)
  const tookMs = waited(sent.at, sent.ackedAt, connection) ?? ground.now - sent.at
  if (tookMs <= longestMs || sent.reason >= 0x80) return
  if (runEnded(ground, connection) < sent.at + longestMs) return
  if (ground.history.wasFull(node, sent.at, sent.at + longestMs)) return
  problems.push(
    `message ${sent.key} (QoS ${sent.qos}, by ${client} at node ${node}, ${(sent.at / 1000).toFixed(3)} s) ` +
      `was ${sent.ackedAt === null ? 'not acknowledged' : 'acknowledged'} for ${tookMs.toFixed(0)} ms`,
  )
}
