// What a client may publish, receive and subscribe to: the one place that says so.
//
// A rule that denies beats one that allows. Whoever has a rule that allows something may do only what such rules say;
// who has none may do everything. The broker's own topics have rules of their own.

import type { ClientId } from '../base/ids.ts'
import { matches } from '../topic/match.ts'
import { filterCovers, filtersMeet } from '../topic/relations.ts'
import { bounds } from './bounds.ts'
import type { Rule, Rules } from './ports.ts'

/** The broker's own topics are not for clients to write. */
const OWN = ['$SYS/', '$edge/']
/** Nobody reads below this without a rule that names it. */
const RESERVED = '$edge/'

const isOwn = (topic: string): boolean => topic.startsWith('$') && OWN.some((own) => topic.startsWith(own))

interface Side {
  /** Null: everything. */
  readonly allow: readonly string[] | null
  readonly deny: readonly string[]
}

const OPEN: Side = { allow: null, deny: [] }

/** The rights of one connected client; follows the rules as they change. */
export class Access {
  /** The account it has proven to be; null: none. */
  readonly account: string | null
  /** The listener it came through, which may have rules of its own; null: none that is known. */
  readonly listener: string | null
  readonly #clientId: ClientId
  readonly #rules: Rules
  #generation = -1
  #publish: Side = OPEN
  #receive: Side = OPEN
  /** Answers already found, by topic; made for clients that have rules. */
  #publishing: Map<string, boolean> | null = null
  #receiving: Map<string, boolean> | null = null

  constructor(account: string | null, clientId: ClientId, rules: Rules, listener: string | null = null) {
    this.account = account
    this.listener = listener
    this.#clientId = clientId
    this.#rules = rules
  }

  mayPublish(topic: string): boolean {
    if (isOwn(topic)) return false
    this.#follow()
    return this.#publish === OPEN || remembered((this.#publishing ??= new Map()), topic, this.#publish)
  }

  /** Whether a message of this topic may be delivered to it. */
  mayReceive(topic: string): boolean {
    this.#follow()
    if (this.#receive === OPEN) return !topic.startsWith(RESERVED)
    return remembered((this.#receiving ??= new Map()), topic, this.#receive)
  }

  /** Whether a subscription can bring it anything; what it must not see of it is left out at delivery. */
  maySubscribe(filter: string): boolean {
    this.#follow()
    const { allow, deny } = this.#receive
    if (deny.some((denied) => filterCovers(denied, filter))) return false
    return allow === null ? !filter.startsWith(RESERVED) : allow.some((allowed) => filtersMeet(allowed, filter))
  }

  #follow(): void {
    if (this.#generation === this.#rules.generation) return
    this.#generation = this.#rules.generation
    const { rules, strict } = this.#rules.of(this.account, this.listener)
    this.#publishing = null
    this.#receiving = null
    if (rules.length === 0 && !strict) {
      this.#publish = OPEN
      this.#receive = OPEN
      return
    }
    // With a rule that allows anything, in either direction, the rest is not allowed in either.
    const limited = strict || rules.some(({ effect }) => effect === 'allow')
    this.#publish = this.#side(rules, 'publish', limited)
    this.#receive = this.#side(rules, 'subscribe', limited)
  }

  #side(rules: readonly Rule[], action: 'publish' | 'subscribe', limited: boolean): Side {
    const filters = (effect: Rule['effect']) =>
      rules
        .filter((rule) => rule.effect === effect && (rule.action === 'both' || rule.action === action))
        .map((rule) => filled(rule, this.account, this.#clientId))
        .filter((filter) => filter !== null)
    return { allow: limited ? filters('allow') : null, deny: filters('deny') }
  }
}

function mayUse(side: Side, topic: string): boolean {
  const { allow, deny } = side
  if (deny.some((filter) => matches(filter, topic))) return false
  return allow === null ? !topic.startsWith(RESERVED) : allow.some((filter) => matches(filter, topic))
}

function remembered(known: Map<string, boolean>, topic: string, side: Side): boolean {
  const before = known.get(topic)
  if (before !== undefined) return before
  if (known.size >= bounds.decisionsRemembered) known.clear()
  const decision = mayUse(side, topic)
  known.set(topic, decision)
  return decision
}

/**
 * The rule's filter for this client; null: the rule is not for it. A name that would add levels or wildcards gets
 * nothing by it, and with a rule that denies it is denied for everybody's.
 */
function filled(rule: Rule, account: string | null, clientId: ClientId): string | null {
  if (rule.plain === true) return rule.filter
  let unsafe = false
  const filter = rule.filter.replace(/%[cu]/g, (mark) => {
    const name = mark === '%c' ? clientId : account
    if (name !== null && name !== '' && !/^\$|[+#/]/.test(name)) return name
    unsafe = true
    return '+'
  })
  if (!unsafe) return filter
  if (rule.effect === 'allow') return null
  return filter
    .split('/')
    .map((level) => (level.includes('+') ? '+' : level))
    .join('/')
}
