// One host name that several boxes answer for: each with its own address, none of them alone. So its records are shared
// ones (RFC 6762 2): nobody probes for the name, and the cache-flush bit, which would throw out what the others have
// said, is never set. A box that dies without a goodbye is forgotten when its record's time is over.

/** How long a caller may go on using the address of a box that died without a word. */
export const NAME_TTL_SEC = 10
/** Several boxes answer one question: each waits a moment of its own first (RFC 6762 6). */
const DELAY_MIN_MS = 20
const DELAY_MAX_MS = 120
/** A record is multicast once a second at most, however often it is asked for (RFC 6762 6). */
const AGAIN_MS = 1000
/** Answers in one second to callers that know no multicast: each has its own, and anybody can invent callers. */
const UNICAST_MAX = 50
const MULTICAST_PORT = 5353

/** What is read of a question and of the answers that its asker knows already. */
export interface Query {
  readonly id?: number
  readonly questions: readonly { readonly name: string; readonly type: string; readonly class?: unknown }[]
  readonly answers?: readonly {
    readonly name: string
    readonly type: string
    readonly ttl?: number
    readonly data?: unknown
  }[]
}

interface AddressRecord {
  readonly name: string
  readonly type: 'A'
  readonly ttl: number
  readonly flush: false
  readonly data: string
}

export interface NameReply {
  readonly packet: {
    readonly id?: number
    readonly questions?: Query['questions']
    readonly answers: readonly AddressRecord[]
  }
  /** Null: to all. */
  readonly to: { readonly address: string; readonly port: number } | null
}

/** Whether `query` asks for an address of `name`, by someone who does not know that it has this one. Pure. */
export function wantsAddress(query: Query, name: string, address: string): boolean {
  const asked = query.questions.some((one) => same(one.name, name) && (one.type === 'A' || one.type === 'ANY'))
  const known = (query.answers ?? []).some(
    (one) => same(one.name, name) && one.type === 'A' && one.data === address && (one.ttl ?? 0) >= NAME_TTL_SEC / 2,
  )
  return asked && !known
}

export const addressRecord = (name: string, address: string, ttl: number): AddressRecord => ({
  ...{ name, type: 'A', ttl, flush: false, data: address },
})

const same = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase()

type Say = (reply: NameReply, sent?: () => void) => void

/** The name on one interface. */
export class SharedName {
  readonly #name: string
  readonly #address: string
  readonly #say: Say
  readonly #waiting = new Set<NodeJS.Timeout>()
  #saidMs = Number.NEGATIVE_INFINITY
  #secondMs = Number.NEGATIVE_INFINITY
  #unicasts = 0

  constructor(name: string, address: string, say: Say) {
    this.#name = name
    this.#address = address
    this.#say = say
  }

  /** Twice, a second apart: the first may be lost (RFC 6762 8.3). */
  announce(): void {
    this.#toAll()
    this.#later(AGAIN_MS, () => this.#toAll())
  }

  asked(query: Query, from: { readonly address: string; readonly port: number }): void {
    if (!wantsAddress(query, this.#name, this.#address)) return
    if (from.port !== MULTICAST_PORT) return this.#toOne(query, from)
    // A word to all that waits already, or has just been said, answers this one too.
    if (performance.now() - this.#saidMs < AGAIN_MS) return
    const delayMs = DELAY_MIN_MS + Math.random() * (DELAY_MAX_MS - DELAY_MIN_MS)
    this.#saidMs = performance.now() + delayMs
    this.#later(delayMs, () => this.#toAll())
  }

  stop(): void {
    for (const timer of this.#waiting) clearTimeout(timer)
    this.#waiting.clear()
  }

  goodbye(sent: () => void): void {
    this.#say({ packet: { answers: [addressRecord(this.#name, this.#address, 0)] }, to: null }, sent)
  }

  #toAll(): void {
    this.#saidMs = performance.now()
    this.#say({ packet: { answers: [addressRecord(this.#name, this.#address, NAME_TTL_SEC)] }, to: null })
  }

  /** A plain resolver that asks the multicast address: it hears no multicast, and knows its question by its number. */
  #toOne({ id = 0, questions }: Query, to: { readonly address: string; readonly port: number }): void {
    const nowMs = performance.now()
    if (nowMs - this.#secondMs >= 1000) {
      this.#secondMs = nowMs
      this.#unicasts = 0
    }
    if (++this.#unicasts > UNICAST_MAX) return
    const own = questions.find(({ name }) => same(name, this.#name))!
    this.#say({
      packet: {
        id,
        questions: [{ name: own.name, type: own.type, class: 'IN' }],
        answers: [addressRecord(this.#name, this.#address, NAME_TTL_SEC)],
      },
      to: { address: to.address, port: to.port },
    })
  }

  #later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#waiting.delete(timer)
      run()
    }, ms)
    this.#waiting.add(timer)
  }
}
