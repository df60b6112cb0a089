// What `edge-mqtt invite`, `cluster join` and `cluster approve` ask of a running daemon.

import { HostError } from '../base/errors.ts'
import type { Endpoint } from '../base/ports/streams.ts'
import type { ListedInvite, MadeInvite } from '../cluster/enrolment/invites.ts'
import type { WaitingStatus } from '../cluster/status.ts'
import type { Node } from '../compose.ts'
import { parseEndpoint } from './config/kinds.ts'
import { CLUSTER_PORT } from './config/schema.ts'
import { parseDuration } from './config/units.ts'
import type { Commands } from './control/server.ts'
import type { Joined } from './joined.ts'

type Operated = Pick<Node, 'operator' | 'status'>

/** Nodes by their names. */
export interface ShownInvite extends Omit<ListedInvite, 'by' | 'used'> {
  readonly by: string
  readonly used: readonly string[]
}

export function enrolmentCommands(node: () => Promise<Operated>): Commands {
  return {
    'cluster join': {
      everybody: false,
      run: async ({ address, code, replace }) => join(await node(), text(address), text(code), text(replace)),
    },
    'cluster approve': { everybody: false, run: async ({ box }) => approve(await node(), text(box) ?? '') },
    invite: {
      everybody: false,
      run: async ({ ttl, uses, issuer }): Promise<MadeInvite> => {
        const ttlMs = parseDuration(text(ttl) ?? '1h')
        if (ttlMs === null) {
          throw new HostError(
            'invalid',
            `--ttl ${JSON.stringify(ttl)}: right would be a duration such as 10m, 1h or 7d`,
          )
        }
        const wish = { ttlMs, uses: uses === undefined ? 1 : Number(uses), issuer: issuer === true }
        return told((await node()).operator.invite(wish))
      },
    },
    'invite list': {
      everybody: false,
      run: async (): Promise<ShownInvite[]> => {
        const asked = await node()
        const names = new Map(asked.status().cluster.members.map(({ id, name }) => [id, name]))
        const name = (id: string) => names.get(id) ?? id
        return told(asked.operator.invites()).map((row) => ({ ...row, by: name(row.by), used: row.used.map(name) }))
      },
    },
    'invite revoke': {
      everybody: false,
      run: async ({ id }) => told((await node()).operator.revokeInvite(text(id) ?? '')),
    },
  }
}

function told<T>(result: T | HostError): T {
  if (result instanceof HostError) throw result
  return result
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

function join(
  { operator }: Operated,
  address: string | null,
  code: string | null,
  replaces: string | null,
): Promise<Joined> {
  const to: Endpoint | null = address === null ? null : parseEndpoint(address, CLUSTER_PORT)
  if (address !== null && to === null) {
    throw new HostError('invalid', `not an address: ${JSON.stringify(address)}; right would be host or host:port`)
  }
  if (to === null && code === null) {
    throw new HostError('invalid', 'an address or a code is needed: edge-mqtt cluster join ADDR, or --code CODE')
  }
  return new Promise((resolve) =>
    operator.join({ to, code, replaces }, ({ linked, waiting, words }) => resolve({ linked, waiting, outcome: words })),
  )
}

function approve({ operator }: Operated, box: string): Promise<WaitingStatus> {
  if (box === '')
    throw new HostError('invalid', 'the id of a waiting box is needed: edge-mqtt cluster status shows them')
  return new Promise((resolve, reject) =>
    operator.approve(box, (result) => (result instanceof HostError ? reject(result) : resolve(result))),
  )
}
