// What `edge-mqtt ca rotate`, `ca seal`, `cluster remove` and `cluster leave` ask of a running daemon.

import { HostError } from '../base/errors.ts'
import type { Left } from '../cluster/leaving.ts'
import type { Sealed } from '../cluster/trust/keyholding.ts'
import type { Rotated } from '../cluster/trust/rotation.ts'
import type { Holder, NamedNode, Removed, TrustLife } from '../cluster/trust/trustlife.ts'
import type { Node } from '../compose.ts'
import type { Commands } from './control/server.ts'

type Operated = Pick<Node, 'operator' | 'status'>

export interface ShownRotation {
  readonly generation: number
  readonly fingerprint: string
  readonly compromised: boolean
  readonly confirmed: readonly NamedNode[]
  /** Members that do not stand on the new CA yet, linked or not. */
  readonly missing: readonly NamedNode[]
  readonly holders: readonly Holder[]
}

export interface ShownSealing {
  readonly kept: readonly NamedNode[]
  readonly deleted: readonly NamedNode[]
  readonly missing: readonly NamedNode[]
  readonly inBundle: readonly NamedNode[]
}

export interface ShownRemoval extends NamedNode {
  readonly confirmed: readonly NamedNode[]
  readonly missing: readonly NamedNode[]
  readonly keptCa: boolean
  /** Null: the CA was not replaced. */
  readonly rotation: ShownRotation | { readonly failed: string } | null
}

export function trustCommands(node: () => Promise<Operated>): Commands {
  return {
    'ca rotate': { everybody: false, run: async ({ compromised }) => rotate(await node(), compromised === true) },
    'ca seal': { everybody: false, run: async () => seal(await node()) },
    'cluster remove': {
      everybody: false,
      run: async ({ node: target, keepCa }) => remove(await node(), target, keepCa === true),
    },
    'cluster leave': {
      everybody: false,
      run: async (): Promise<Left> => {
        const { operator } = await node()
        return answered((done) => operator.leave(done))
      },
    },
  }
}

/** Who has the key of the CA, for `ca show`. */
export function holdersOf(node: Operated): readonly Holder[] {
  const trust = node.operator.trust()
  return trust instanceof HostError ? [] : trust.holders(node.status().node.name)
}

function trustOf({ operator }: Operated): TrustLife {
  const trust = operator.trust()
  if (trust instanceof HostError) throw trust
  return trust
}

async function rotate(node: Operated, compromised: boolean): Promise<ShownRotation> {
  const trust = trustOf(node)
  return shownRotation(node, await answered((done) => trust.rotate(compromised, done)))
}

function shownRotation(node: Operated, { generation, fingerprint, compromised, confirmed }: Rotated): ShownRotation {
  const members = node.status().cluster.members.filter(({ self, state }) => !self && state !== 'left')
  const sure = new Set<string>(confirmed)
  const named = (which: boolean) =>
    members.filter(({ id }) => sure.has(id) === which).map(({ id, name }) => ({ id: id as NamedNode['id'], name }))
  const holders = holdersOf(node)
  return { generation, fingerprint, compromised, confirmed: named(true), missing: named(false), holders }
}

async function seal(node: Operated): Promise<ShownSealing> {
  const trust = trustOf(node)
  const { kept, deleted, missing, inBundle } = await answered<Sealed>((done) => trust.seal(done))
  const { id: self, name } = node.status().node
  const named = (ids: readonly NamedNode['id'][]) =>
    ids.map((id) => ({ id, name: id === self ? name : trust.name(id) }))
  return { kept: named(kept), deleted: named(deleted), missing: named(missing), inBundle: named(inBundle) }
}

async function remove(node: Operated, target: unknown, keepCa: boolean): Promise<ShownRemoval> {
  if (typeof target !== 'string' || target === '') {
    throw new HostError('invalid', 'the name or id of a member is needed: edge-mqtt cluster status shows them')
  }
  const trust = trustOf(node)
  const { rotated, ...removed } = await answered<Removed>((done) => trust.remove(target, keepCa, done))
  const rotation = rotated === null || 'failed' in rotated ? rotated : shownRotation(node, rotated)
  return { ...removed, rotation }
}

const answered = <T>(ask: (done: (result: T | HostError) => void) => void): Promise<T> =>
  new Promise((resolve, reject) => ask((result) => (result instanceof HostError ? reject(result) : resolve(result))))
