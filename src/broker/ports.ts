// What the broker asks of the rest of the node, in plain values; each port has a do-nothing version, so that a single
// broker is just the smallest cluster (STYLE 8).

import type { Message } from '../wire/message.ts'

/** What the broker asks of the cluster. */
export interface Peers {
  /**
   * The first subscription to `filter` on this node. `taken` is called once, now or later, when every linked member
   * has taken the route or is suspect: the SUBACK waits for it (CLUSTER 5). `filter` is without `$share/group/`.
   */
  wanted(filter: string, taken: () => void): void
  /** The last subscription to `filter` on this node is gone. */
  unwanted(filter: string): void
  /**
   * Sends the message once to each member that has a matching route; returns how many that were. Called before or
   * after local delivery, for messages of this node's own clients only: never for what a member sent. The message's
   * bytes are valid during this call only.
   */
  forward(message: Message): number
  /** Changes whenever the answer of `interested` may have changed, for the broker's cache of receivers. */
  readonly generation: number
  /** Whether any member has a route that matches `topic`. */
  interested(topic: string): boolean
}

export class NoPeers implements Peers {
  readonly generation = 0
  wanted(_filter: string, taken: () => void): void {
    taken()
  }
  unwanted(): void {}
  forward(): number {
    return 0
  }
  interested(): boolean {
    return false
  }
}

/** What the cluster asks of the broker; the broker implements it. */
export interface LocalDelivery {
  /** A message from a member: to this node's subscribers only, never sent on. Returns how many sessions got it. */
  deliverFromPeer(message: Message): number
}

export interface AuthenticationRequest {
  readonly clientId: string
  readonly username: string | null
  readonly password: Buffer | null
  /** The client's address and the address it connected to. */
  readonly remoteAddress: string
  readonly localAddress: string
  readonly listener: string
}

export type AuthenticationResult = 'allowed' | 'badUserNameOrPassword' | 'notAuthorized'

/** Who may connect. `done` is called once, now or later. */
export interface Authenticator {
  authenticate(request: AuthenticationRequest, done: (result: AuthenticationResult) => void): void
}
