// Every connected client id with the stamp of its CONNECT, of clean sessions too: of two connections of one client id the
// later stays, on whichever boxes they are and after a heal as well.

import type { ClientId, NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import { compareStamps, type Stamp, type StampClock } from '../../base/stamps.ts'
import type { SessionView } from '../../broker/ports.ts'
import { CONNECTED_BYTES_MAX, decodeConnected, encodeConnected } from '../../wire/link/sessions.ts'
import { OwnedMap } from '../maps/ownedmap.ts'
import type { Channels, FeatureWorld, Membership } from '../ports.ts'

export interface ConnectedHere {
  get(clientId: ClientId): SessionView | undefined
  /** Ends the connection of a session: its client is connected elsewhere. */
  disconnect(session: SessionView): void
}

export class ConnectedClients {
  readonly #stamps: StampClock
  readonly #here: () => ConnectedHere | null
  readonly #map: OwnedMap
  #watcher: ((clientId: ClientId, epoch: Stamp) => void) | null = null

  constructor(
    world: FeatureWorld,
    channels: Channels,
    membership: Membership,
    stamps: StampClock,
    here: () => ConnectedHere | null,
  ) {
    this.#stamps = stamps
    this.#here = here
    this.#map = new OwnedMap(
      {
        name: 'clients',
        valueBytesMax: CONNECTED_BYTES_MAX,
        entriesMax: limits.partEntries,
        check: (_key, value) => void decodeConnected(value),
      },
      world,
      channels,
      membership,
      stamps,
      {
        changed: (_owner, clientId, value) => {
          if (value === null) return
          const epoch = decodeConnected(value)
          this.#watcher?.(clientId as ClientId, epoch)
          this.#look(clientId as ClientId, epoch)
        },
        partHidden: () => {},
        partShown: (owner) => this.#lookAll(owner),
        partDropped: () => {},
      },
    )
  }

  /** The one who hears of each client that has connected, here or elsewhere. */
  watch(watcher: (clientId: ClientId, epoch: Stamp) => void): void {
    this.#watcher = watcher
  }

  /** The stamp of the CONNECT by which the client is connected somewhere, the latest; null: it is not. */
  epochOf(clientId: ClientId): Stamp | null {
    let latest: Stamp | null = null
    const session = this.#here()?.get(clientId)
    if (session !== undefined && session.connection !== null) latest = session.epoch
    for (const owner of this.#map.owners) {
      const value = this.#map.part(owner)?.get(clientId)
      if (value === undefined) continue
      const epoch = decodeConnected(value)
      if (latest === null || compareStamps(epoch, latest) > 0) latest = epoch
    }
    return latest
  }

  connected(clientId: ClientId, epoch: Stamp): void {
    this.#watcher?.(clientId, epoch)
    this.#map.set(clientId, encodeConnected(epoch))
  }

  gone(clientId: ClientId): void {
    if (this.#map.own.has(clientId)) this.#map.set(clientId, null)
  }

  stop(): void {
    this.#map.stop()
  }

  #lookAll(owner: NodeId): void {
    for (const [clientId, value] of this.#map.part(owner)?.entries() ?? []) {
      this.#look(clientId as ClientId, decodeConnected(value))
    }
  }

  #look(clientId: ClientId, epoch: Stamp): void {
    this.#stamps.observe(epoch)
    const here = this.#here()
    const session = here?.get(clientId)
    if (session === undefined || session.connection === null || session.epoch === null) return
    if (compareStamps(session.epoch, epoch) < 0) here!.disconnect(session)
  }
}
