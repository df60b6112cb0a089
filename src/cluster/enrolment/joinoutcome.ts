// What came of `cluster join ADDR`, in words. Pure.

import type { NodeId } from '../../base/ids.ts'
import { type Endpoint, endpointText } from '../../base/ports/streams.ts'
import type { DialOutcome } from '../links/dialling.ts'
import type { JoinOutcome } from '../status.ts'

export function joinOutcome(outcome: DialOutcome, to: Endpoint, name: (node: NodeId) => string): JoinOutcome {
  return { linked: outcome.at === 'linked', waiting: false, words: words(outcome, endpointText(to), name) }
}

function words(outcome: DialOutcome, where: string, name: (node: NodeId) => string): string {
  switch (outcome.at) {
    case 'linked':
      return `linked with ${name(outcome.node)} at ${where}`
    case 'self':
      return `${where} is this node itself`
    case 'foreign':
      return `${where} belongs to another cluster (${outcome.cluster})`
    case 'refused':
      return `${where} is not linked: ${outcome.reason}`
    case 'unreachable':
      return `${where} is not reached: ${outcome.why}; it stays a candidate and is tried again`
  }
}
