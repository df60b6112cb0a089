// What `edge-mqtt cert issue` and `edge-mqtt ca show` ask of a running daemon.

import { HostError } from '../base/errors.ts'
import type { IssuedCertificate } from '../cluster/trust/certificates.ts'
import type { Holder } from '../cluster/trust/trustlife.ts'
import type { Node } from '../compose.ts'
import type { Commands } from './control/server.ts'
import { holdersOf } from './trust.ts'

export interface ShownAuthority {
  readonly certificate: string
  readonly fingerprint: string
  /** Who has its key. */
  readonly holders: readonly Holder[]
}

export function certificateCommands(node: () => Promise<Pick<Node, 'certificates' | 'operator' | 'status'>>): Commands {
  return {
    'ca show': {
      everybody: false,
      run: async (): Promise<ShownAuthority> => {
        const running = await node()
        const authority = running.certificates.authority()
        if (authority === null) throw new HostError('unavailable', 'this box is not a member of a cluster yet')
        return { ...authority, holders: holdersOf(running) }
      },
    },
    'cert issue': {
      everybody: false,
      run: async ({ name }): Promise<IssuedCertificate> => {
        const { certificates } = await node()
        return new Promise((resolve, reject) => {
          certificates.issue(typeof name === 'string' ? name : '', (result) =>
            result instanceof HostError ? reject(result) : resolve(result),
          )
        })
      },
    },
  }
}
