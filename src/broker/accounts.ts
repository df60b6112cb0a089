// Accounts and access rules: kept in `accounts.json`, each entry with its stamp, and served to whoever asks who may do
// what. The rules of a mosquitto acl_file stand beside them and are never written.

import { HostError } from '../base/errors.ts'
import type { StateFiles } from '../base/ports/files.ts'
import type { Log } from '../base/ports/log.ts'
import type { Stamp, StampClock } from '../base/stamps.ts'
import { type Account, accountKey, type GrantedRule, type Kept, readEntries, ruleKey, type Who } from './accountfile.ts'
import type { Rule, Rules } from './ports.ts'
import { type Stamped, StampedMap } from './stampedmap.ts'

const FILE = 'accounts.json'
const DAMAGED = 'accounts.damaged.json'
/** Accounts and rules together, removed ones included. */
const ENTRIES_MAX = 20_000
/** What a box makes by itself: anything that was written on purpose is later. */
const FIRST: Stamp = { wallMs: 0, counter: 0, node: '0000000000000000' as Stamp['node'] }

/** Hears of changes, once they count. */
export interface AccountsWatcher {
  rulesChanged(): void
  /** The account is gone, or its password is another. */
  accountChanged(name: string): void
}

type Done = (error: HostError | null) => void

export class Accounts implements Rules {
  readonly #files: StateFiles
  readonly #log: Log
  readonly #stamps: StampClock
  readonly #kept = new StampedMap<Kept>()
  readonly #byWho = new Map<Who, Rule[]>()
  #fileRules: readonly GrantedRule[] | null = null
  #watcher: AccountsWatcher | null = null
  #generation = 0

  constructor(files: StateFiles, log: Log, stamps: StampClock) {
    this.#files = files
    this.#log = log
    this.#stamps = stamps
    for (const entry of this.#read()) {
      this.#kept.put(entry)
      stamps.recall(entry.stamp)
    }
    this.#index()
  }

  watch(watcher: AccountsWatcher): void {
    this.#watcher = watcher
  }

  get generation(): number {
    return this.#generation
  }

  of(account: string | null): { readonly rules: readonly Rule[]; readonly strict: boolean } {
    const rules = [...(this.#byWho.get('all') ?? [])]
    if (account === null) rules.push(...(this.#byWho.get('anonymous') ?? []))
    else {
      rules.push(...(this.#byWho.get(`user:${account}`) ?? []))
      for (const group of this.account(account)?.groups ?? []) rules.push(...(this.#byWho.get(`group:${group}`) ?? []))
    }
    return { rules, strict: this.#fileRules !== null }
  }

  account(name: string): Account | undefined {
    const kept = this.#kept.get(accountKey(name))
    return kept?.is === 'account' ? kept : undefined
  }

  /** By name. */
  accounts(): Account[] {
    const accounts = this.#kept.values().filter((kept) => kept.is === 'account')
    return accounts.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  rules(): GrantedRule[] {
    return this.#kept.values().filter((kept) => kept.is === 'rule')
  }

  /** Makes or changes an account; `done` when it is on disk. */
  setAccount(account: Account, done: Done): void {
    this.#write(accountKey(account.name), account, done)
    this.#watcher?.accountChanged(account.name)
  }

  /** Whether there was one. `done` is called in either case. */
  removeAccount(name: string, done: Done): boolean {
    if (this.account(name) === undefined) {
      done(null)
      return false
    }
    this.#write(accountKey(name), null, done)
    this.#watcher?.accountChanged(name)
    return true
  }

  /**
   * An account that every box of the cluster makes alike: anything ever written of that name on purpose is kept. What
   * was made so before, in another cluster, is not.
   */
  setFirst(account: Account): void {
    const before = this.account(account.name)
    if (JSON.stringify(before) === JSON.stringify(account)) return
    if (!this.#kept.putAgain({ key: accountKey(account.name), stamp: FIRST, value: account })) return
    this.#index()
    this.#watcher?.accountChanged(account.name)
    this.#save((error) => {
      if (error !== null) this.#log.warn({ file: FILE, why: error.message }, 'accounts cannot be written')
    })
  }

  setRule(rule: GrantedRule, done: Done): void {
    this.#write(ruleKey(rule), rule, done)
  }

  /** Whether there was one. `done` is called in either case. */
  removeRule(rule: Pick<GrantedRule, 'who' | 'action' | 'filter'>, done: Done): boolean {
    if (this.#kept.get(ruleKey(rule)) === undefined) {
      done(null)
      return false
    }
    this.#write(ruleKey(rule), null, done)
    return true
  }

  /** The rules of the acl_file; null: there is none. */
  setFileRules(rules: readonly GrantedRule[] | null): void {
    if (JSON.stringify(rules) === JSON.stringify(this.#fileRules)) return
    this.#fileRules = rules
    this.#index()
    this.#watcher?.rulesChanged()
  }

  #write(key: string, value: Kept | null, done: Done): void {
    if (!this.#kept.has(key) && this.#kept.entryCount >= ENTRIES_MAX) {
      return done(new HostError('invalid', `more than ${ENTRIES_MAX} accounts and rules`))
    }
    this.#kept.put({ key, stamp: this.#stamps.next(), value })
    this.#index()
    this.#watcher?.rulesChanged()
    this.#save(done)
  }

  #index(): void {
    this.#generation++
    this.#byWho.clear()
    for (const { who, ...rule } of [...this.rules(), ...(this.#fileRules ?? [])]) {
      const there = this.#byWho.get(who)
      if (there === undefined) this.#byWho.set(who, [rule])
      else there.push(rule)
    }
  }

  #save(done: Done): void {
    const entries = [...this.#kept.entries()].map((entry) => JSON.stringify(entry))
    this.#files.write(FILE, Buffer.from(`{"version":1,"entries":[\n${entries.join(',\n')}\n]}\n`), true, done)
  }

  /** A damaged file is set aside, never overwritten: with no accounts fewer people get in, not more. */
  #read(): readonly Stamped<Kept>[] {
    const bytes = this.#files.read(FILE)
    if (bytes === null) return []
    const entries = readEntries(bytes.toString('utf8'))
    if (entries !== null) return entries
    this.#log.error({ file: FILE, keptAs: DAMAGED }, 'accounts cannot be read: starting without any')
    this.#files.write(DAMAGED, bytes, true, (error) => {
      if (error !== null) this.#log.error({ file: DAMAGED, why: error.message }, 'damaged accounts cannot be set aside')
    })
    return []
  }
}
