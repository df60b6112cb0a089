// What `edge-mqtt cert issue` and `edge-mqtt ca show` ask of a running daemon.

import { HostError } from '../base/errors.ts'
import type { IssuedCertificate } from '../cluster/certificates.ts'
import type { Node } from '../compose.ts'
import type { Commands } from './control/server.ts'

export interface ShownAuthority {
  readonly certificate: string
  readonly fingerprint: string
}

export function certificateCommands(node: () => Promise<Pick<Node, 'certificates'>>): Commands {
  return {
    'ca show': {
      everybody: false,
      run: async (): Promise<ShownAuthority> => {
        const authority = (await node()).certificates.authority()
        if (authority === null) throw new HostError('unavailable', 'this box is not a member of a cluster yet')
        return authority
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
