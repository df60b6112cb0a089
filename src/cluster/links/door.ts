// How many strangers may be greeted at once: each costs memory and, later, a handshake.

const GREETINGS_MAX = 32
const PER_ADDRESS_MAX = 8

export class Door {
  #inside = 0
  readonly #byAddress = new Map<string, number>()

  /** False: there are too many already. Whoever is let in must `leave`. */
  enter(address: string): boolean {
    const same = this.#byAddress.get(address) ?? 0
    if (this.#inside >= GREETINGS_MAX || same >= PER_ADDRESS_MAX) return false
    this.#inside++
    this.#byAddress.set(address, same + 1)
    return true
  }

  leave(address: string): void {
    this.#inside--
    const same = this.#byAddress.get(address)! - 1
    if (same === 0) this.#byAddress.delete(address)
    else this.#byAddress.set(address, same)
  }
}
