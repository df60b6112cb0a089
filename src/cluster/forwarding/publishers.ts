// Client ids of publishers as they stand in items: made once for many messages, the last one at hand.

import type { ClientId } from '../../base/ids.ts'
import { encodeText } from '../../wire/link/forward.ts'

const KEPT_MAX = 32_768

export class Publishers {
  readonly #known = new Map<ClientId, Buffer>()
  #last = '' as ClientId
  #lastBytes = encodeText('')

  bytesOf(publisher: ClientId): Buffer {
    return publisher === this.#last ? this.#lastBytes : this.#find(publisher)
  }

  #find(publisher: ClientId): Buffer {
    let bytes = this.#known.get(publisher)
    if (bytes === undefined) {
      if (this.#known.size >= KEPT_MAX) this.#known.clear()
      bytes = encodeText(publisher)
      this.#known.set(publisher, bytes)
    }
    this.#last = publisher
    this.#lastBytes = bytes
    return bytes
  }
}
