// Accounts and access rules: kept in `accounts.json`, each entry with its stamp, shared with the other boxes so that the
// latest write counts everywhere, and served to whoever asks who may do what. The rules of a mosquitto acl_file stand
// beside them and are never written.

import { HostError, PeerError } from '../base/errors.ts'
import type { ClusterId } from '../base/ids.ts'
import type { StateFiles } from '../base/ports/files.ts'
import type { Log } from '../base/ports/log.ts'
import type { Replica, SharedTable } from '../base/shared.ts'
import type { Stamp } from '../base/stamps.ts'
import {
  type Account,
  type AccountFile,
  accountKey,
  fileText,
  type GrantedRule,
  type Kept,
  keptBytes,
  readFileText,
  readKept,
  ruleKey,
  type Who,
} from './accountfile.ts'
import { ACCOUNT_BOUNDS, firstStamp, isFirst } from './accountstamps.ts'
import type { Rule, Rules } from './ports.ts'
import { type StampedEntry, StampedMap } from './stampedmap.ts'

const FILE = 'accounts.json'
const DAMAGED = 'accounts.damaged.json'
const EMPTY: AccountFile = { entries: [], cluster: null, horizon: null }

/** Hears of changes, once they count. */
export interface AccountsWatcher {
  rulesChanged(): void
  /** The account is gone, or its password is another. */
  accountChanged(name: string): void
}

type RulesByWho = ReadonlyMap<Who, readonly Rule[]>

type Done = (error: HostError | null) => void

export class Accounts implements Rules, SharedTable<StampedEntry<Kept>> {
  readonly #files: StateFiles
  readonly #log: Log
  readonly #kept = new StampedMap<Kept>()
  readonly #replica: Replica
  #byWho: RulesByWho = new Map()
  #fileRules: readonly GrantedRule[] | null = null
  /** By listener, where one has an acl_file of its own. */
  #listenerRules: ReadonlyMap<string, readonly GrantedRule[]> = new Map()
  #ofFile: RulesByWho = new Map()
  readonly #ofListeners = new Map<string, RulesByWho>()
  #watcher: AccountsWatcher | null = null
  #generation = 0
  /** The generation that `#byWho` is of. */
  #indexed = -1
  #cluster: ClusterId | null
  /** Called when what stands now is on disk; null: nothing is to be written. */
  #unsaved: Done[] | null = null
  #saving = false

  /** `share` makes the table alike on all boxes. */
  constructor(files: StateFiles, log: Log, share: (bounds: typeof ACCOUNT_BOUNDS, table: SharedTable) => Replica) {
    this.#files = files
    this.#log = log
    this.#replica = share(ACCOUNT_BOUNDS, this)
    const { entries, cluster, horizon } = this.#read()
    this.#cluster = cluster
    for (const written of entries) {
      const entry = this.#kept.put(written)
      if (entry === null) continue
      this.#replica.recall(entry.stamp)
      this.#replica.wrote(entry, null, false)
    }
    if (horizon !== null) this.#replica.restore(horizon)
  }

  watch(watcher: AccountsWatcher): void {
    this.#watcher = watcher
  }

  get generation(): number {
    return this.#generation
  }

  of(
    account: string | null,
    listener: string | null = null,
  ): { readonly rules: readonly Rule[]; readonly strict: boolean } {
    this.#index()
    const ofListener = listener === null ? undefined : this.#ofListeners.get(listener)
    const rules: Rule[] = []
    for (const byWho of [this.#byWho, ofListener ?? this.#ofFile]) {
      rules.push(...(byWho.get('all') ?? []))
      if (account === null) rules.push(...(byWho.get('anonymous') ?? []))
      else {
        rules.push(...(byWho.get(`user:${account}`) ?? []))
        for (const group of this.account(account)?.groups ?? []) rules.push(...(byWho.get(`group:${group}`) ?? []))
      }
    }
    return { rules, strict: ofListener !== undefined || this.#fileRules !== null }
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
  }

  /** Whether there was one. `done` is called in either case. */
  removeAccount(name: string, done: Done): boolean {
    if (this.account(name) === undefined) {
      done(null)
      return false
    }
    this.#write(accountKey(name), null, done)
    return true
  }

  /**
   * This box is a member of the cluster: with these accounts, which every box that has the CA's key makes alike. What
   * boxes of another cluster have made so is forgotten; anything ever written on purpose is kept.
   */
  joined(cluster: ClusterId, firsts: readonly Account[]): void {
    if (this.#cluster !== null && this.#cluster !== cluster) {
      for (const { key, stamp } of [...this.#kept.entries()]) if (isFirst(stamp)) this.#replica.drop(key)
    }
    const isNew = this.#cluster !== cluster
    this.#cluster = cluster
    for (const account of firsts) this.#first(account)
    if (isNew) this.#save(null)
  }

  #first(account: Account): void {
    const key = accountKey(account.name)
    const bytes = keptBytes(account)
    const entry = this.#kept.entry(key)
    if (entry === undefined) {
      // What nobody knows any more was removed on purpose: it was there since the first start.
      if (this.#replica.horizon === null) this.#put(key, account, firstStamp(bytes), null)
      return
    }
    // The CA has another key than when it was made: clients know the password of then, which so becomes one on purpose.
    const other = isFirst(entry.stamp) && entry.value !== null && !keptBytes(entry.value).equals(bytes)
    if (other) this.#put(key, entry.value, this.#replica.stamp(), null)
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

  /** The rules of the acl_file; null: there is none. `at`: by listener, where one has a file of its own instead. */
  setFileRules(
    rules: readonly GrantedRule[] | null,
    at: ReadonlyMap<string, readonly GrantedRule[]> = new Map(),
  ): void {
    const said = JSON.stringify([rules, ...at])
    if (said === JSON.stringify([this.#fileRules, ...this.#listenerRules])) return
    this.#fileRules = rules
    this.#generation++
    this.#listenerRules = at
    this.#ofFile = byWho(rules ?? [])
    this.#ofListeners.clear()
    for (const [listener, own] of at) this.#ofListeners.set(listener, byWho(own))
    this.#watcher?.rulesChanged()
  }

  // What the other boxes write, by way of the replica:

  get(key: string): StampedEntry<Kept> | undefined {
    return this.#kept.entry(key)
  }

  isGone({ value }: StampedEntry<Kept>): boolean {
    return value === null
  }

  read({ value }: StampedEntry<Kept>): Buffer | null {
    return value === null ? null : keptBytes(value)
  }

  write(key: string, bytes: Buffer | null, stamp: Stamp): StampedEntry<Kept> | null {
    const value = bytes === null ? null : readKept(key, bytes)
    if (bytes !== null && value === null) throw new PeerError('an account or rule that makes no sense')
    const before = this.#kept.get(key)
    const entry = this.#kept.put({ key, stamp, value })
    this.#changed(before, value)
    this.#save(null)
    return entry
  }

  restamp(entry: StampedEntry<Kept>, stamp: Stamp): void {
    entry.stamp = stamp
    this.#save(null)
  }

  forget({ key, value }: StampedEntry<Kept>): void {
    this.#kept.delete(key)
    if (value !== null) this.#changed(value, null)
    this.#save(null)
  }

  horizonMoved(): void {
    this.#save(null)
  }

  #write(key: string, value: Kept | null, done: Done): void {
    const { entriesMax, keyBytesMax, valueBytesMax } = ACCOUNT_BOUNDS
    if (Buffer.byteLength(key) > keyBytesMax || (value !== null && keptBytes(value).length > valueBytesMax)) {
      return done(new HostError('invalid', `an account or rule of more than ${keyBytesMax} bytes`))
    }
    if (this.#kept.entry(key) === undefined && this.#replica.full) {
      return done(new HostError('invalid', `more than ${entriesMax} accounts and rules`))
    }
    this.#put(key, value, this.#replica.stamp(), done)
  }

  #put(key: string, value: Kept | null, stamp: Stamp, done: Done | null): void {
    const known = this.#kept.entry(key)
    const [before, beforeStamp] = [known?.value ?? undefined, known?.stamp ?? null]
    const entry = this.#kept.put({ key, stamp, value })
    if (entry !== null) {
      this.#replica.wrote(entry, beforeStamp, true)
      this.#changed(before, value)
    }
    this.#save(done)
  }

  /** Tells whoever watches what another value comes to. */
  #changed(before: Kept | undefined, now: Kept | null): void {
    if (JSON.stringify(before ?? null) === JSON.stringify(now)) return
    this.#generation++
    this.#watcher?.rulesChanged()
    const account = before ?? now
    if (account?.is === 'account') this.#watcher?.accountChanged(account.name)
  }

  /** Rules by whom they are for, made when the first one asks after a change. */
  #index(): void {
    if (this.#indexed === this.#generation) return
    this.#indexed = this.#generation
    this.#byWho = byWho(this.rules())
  }

  /** What changes while the file is being written goes into the next writing, all at once. */
  #save(done: Done | null): void {
    this.#unsaved ??= []
    if (done !== null) this.#unsaved.push(done)
    if (!this.#saving) this.#saveNow()
  }

  #saveNow(): void {
    const waiting = this.#unsaved
    if (waiting === null) return
    this.#unsaved = null
    this.#saving = true
    const text = fileText({
      entries: [...this.#kept.entries()],
      cluster: this.#cluster,
      horizon: this.#replica.horizon,
    })
    this.#files.write(FILE, Buffer.from(text), true, (error) => {
      this.#saving = false
      if (error !== null) this.#log.warn({ file: FILE, why: error.message }, 'accounts cannot be written')
      for (const done of waiting) done(error)
      this.#saveNow()
    })
  }

  /** A damaged file is set aside, never overwritten: with no accounts fewer people get in, not more. */
  #read(): AccountFile {
    const bytes = this.#files.read(FILE)
    if (bytes === null) return EMPTY
    const file = readFileText(bytes.toString('utf8'))
    if (file !== null) return file
    this.#log.error({ file: FILE, keptAs: DAMAGED }, 'accounts cannot be read: starting without any')
    this.#files.write(DAMAGED, bytes, true, (error) => {
      if (error !== null) this.#log.error({ file: DAMAGED, why: error.message }, 'damaged accounts cannot be set aside')
    })
    return EMPTY
  }
}

function byWho(rules: readonly GrantedRule[]): RulesByWho {
  const found = new Map<Who, Rule[]>()
  for (const { who, ...rule } of rules) {
    const there = found.get(who)
    if (there === undefined) found.set(who, [rule])
    else there.push(rule)
  }
  return found
}
