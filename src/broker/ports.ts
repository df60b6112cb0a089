// What the broker asks of the rest of the node, in plain values; each port has a do-nothing version, so that a single
// broker is just the smallest cluster (STYLE 8).

import type { ClientId, NodeId } from '../base/ids.ts'
import type { Stamp } from '../base/stamps.ts'
import type { ShareCount } from '../wire/link/shares.ts'
import type { ShareTargets } from '../wire/link/sharetargets.ts'
import type { Late, Message } from '../wire/message.ts'
import type { WillPacket } from '../wire/mqtt/packets.ts'
import type { Numbered, Recordable } from '../wire/record/batch.ts'

/** What the broker asks of the cluster. */
export interface Peers {
  /**
   * The first subscription to `filter` on this node; `durable`: some persistent session has it. Called again when that
   * changes. `taken` is called once, now or later, when every linked member has taken the route or is suspect: the
   * SUBACK waits for it (CLUSTER 5). Never for a shared subscription.
   */
  wanted(filter: string, durable: boolean, taken: () => void): void
  /** The last subscription to `filter` on this node is gone. */
  unwanted(filter: string): void
  /**
   * What this node has of a share group (`name/filter`) now; null: nothing any more. `taken` as for `wanted`.
   */
  grouped(group: string, count: ShareCount | null, taken: () => void): void
  /**
   * Whether a message that was published here is for the group's consumers on this node; else `forward` brings it to
   * one on another. `ready`: the best of those here takes messages now (2), is connected (1), or away (0).
   */
  ours(group: string, ready: 0 | 1 | 2): boolean
  /**
   * Brings a message of a share group to a consumer on another node, because the one here has gone; false: there is none.
   * `hops`: how often that was done with it before. `connected`: one that is away will not do.
   */
  handOn(message: Message, group: string, hops: number, connected: boolean): boolean
  /**
   * Sends the message once to each member that has a matching route, a stamped one to all; returns how many match.
   * Called before or after local delivery, for messages of this node's own clients only: never for what a member sent.
   * The message's bytes are valid during this call only. What a publisher has to wait for is staged in this call.
   * `here`: the share groups that have been served on this node; of every other one consumer elsewhere gets it.
   */
  forward(message: Message, here?: readonly string[]): number
  /** Changes whenever the answer of `interested` may have changed, for the broker's cache of receivers. */
  readonly generation: number
  /** Whether any member has a route that matches `topic`. */
  interested(topic: string): boolean
}

export class NoPeers implements Peers {
  readonly generation = 0
  wanted(_filter: string, _durable: boolean, taken: () => void): void {
    taken()
  }
  unwanted(): void {}
  grouped(_group: string, _count: ShareCount | null, taken: () => void): void {
    taken()
  }
  ours(): boolean {
    return true
  }
  handOn(): boolean {
    return false
  }
  forward(): number {
    return 0
  }
  interested(): boolean {
    return false
  }
}

/** What the cluster asks of the broker; the broker implements it. */
export interface LocalDelivery {
  /**
   * A message from a member: to this node's subscribers, and to one consumer of each share group that it is for; never
   * sent on, but for a group whose consumers here have gone. `late`: it may have come before, so it is for persistent
   * sessions that have not had it. Returns how many sessions got it.
   */
  deliverFromPeer(message: Message, late?: Late, targets?: ShareTargets): number
}

/** A CONNECT that is about to be accepted, as the other boxes have to know of it. */
export interface Claim {
  readonly clientId: ClientId
  /** The account that the client has proven to be; null: none. */
  readonly account: string | null
  /** Whatever there is of a session is to end. */
  readonly cleanStart: boolean
  /** Its session is to outlive the connection. */
  readonly lasting: boolean
}

/**
 * The answer: the stamp of this CONNECT, and the session of the client is here, if there is one. 'busy': it is on its
 * way and takes too long; the client is to come again. Null: there is no cluster.
 */
export type Claimed = Stamp | 'busy' | null

/** What the broker asks of the cluster about sessions. */
export interface Claims {
  /** `done` is called once: at once when no other box has anything of this client. */
  claim(claim: Claim, done: (claimed: Claimed) => void): void
  /** The client is connected; `present`: with the session that it had; `fresh`: it has said Clean Start. */
  opened(session: SessionView, present: boolean, fresh: boolean): void
  /** The client is gone; its session may go on. */
  left(session: SessionView): void
  /** The session is over, and with it every copy. */
  ended(session: SessionView): void
}

export class NoClaims implements Claims {
  claim(_claim: Claim, done: (claimed: Claimed) => void): void {
    done(null)
  }
  opened(): void {}
  left(): void {}
  ended(): void {}
}

/** Where a session stands between the boxes (broker/place.ts draws it). */
export type SessionPlace =
  | { readonly at: 'here' }
  | { readonly at: 'arriving'; readonly from: NodeId }
  | { readonly at: 'departing'; readonly to: NodeId }
  | { readonly at: 'standing-in'; readonly owner: NodeId; readonly after: number }

/** A session as the cluster sees it. */
export interface SessionView {
  readonly clientId: ClientId
  /** The stamp of its last CONNECT; null: from before there was a cluster. */
  readonly epoch: Stamp | null
  /** Its record; null: it ends with its connection. */
  readonly kept: Kept | null
  readonly place: SessionPlace
  /** Null while its client is away. */
  readonly connection: unknown
  /** Null: it has none, or it was published or dropped. */
  readonly will: WillPacket | null
  readonly access: ClientAccess
}

/** What the rights of a client depend on. */
export interface ClientAccess {
  /** Whom it has proven to be; null: nobody. */
  readonly account: string | null
  /** The listener that it came through, whose rules hold; null: none that is known. */
  readonly listener: string | null
}

/** A will to publish for a client whose box is gone. */
export interface OrphanedWill extends ClientAccess {
  /** The stamp of the CONNECT that brought it. */
  readonly epoch: Stamp
  readonly will: WillPacket
}

/** Who keeps the wills of this node's clients for when the node is gone. */
export interface WillWatch {
  /** The session's will was set by a CONNECT, dropped or published: it is as it stands there. */
  willChanged(session: SessionView): void
}

export class NoWillWatch implements WillWatch {
  willChanged(): void {}
}

/** A record that goes from one box to another: what it is called there, and how it then is. */
export interface RecordItem {
  readonly id: number
  readonly kind: number
  readonly body: Buffer
  /** Monotonic: what is left of durations counts from here; without it, from now. */
  readonly countedFromMs?: number
}

/** A session that is taken over from another box, record by record, messages before what refers to them. */
export interface SessionImport {
  /** Null until its first record has come. */
  readonly session: SessionView | null
  /** Records that make no sense are passed over. The items' bytes are valid during this call only. */
  add(items: readonly RecordItem[]): void
  /** What that member had sent to the former owner is all there: what comes from it directly need not wait any more. */
  passed(member: NodeId): void
  /** That was all of it. */
  end(): void
}

/** What the cluster asks of the sessions of this node. */
export interface LocalSessions {
  get(clientId: ClientId): SessionView | undefined
  all(): Iterable<SessionView>
  /** Whether the client of the session has proven to be `account`. */
  belongsTo(session: SessionView, account: string | null): boolean
  /** Ends its connection, if it has one: its client is connected elsewhere. */
  disconnect(session: SessionView): void
  /** Its records but for those that wait in its queue: the session first, then in order. */
  head(session: SessionView): readonly Kept[]
  /** The records in its queue with ids above `after`, in order. */
  queued(session: SessionView, after: number): readonly Kept[]
  put(session: SessionView, place: Exclude<SessionPlace, { at: 'arriving' }>): void
  /** A session whose records come from another box. One of that client that stands in here is joined with it. */
  take(from: NodeId, place: 'arriving' | 'standing-in'): SessionImport
  /**
   * Records of messages that another box has taken for the session: joined by message id, where it still wants them.
   * `merges`: what its client has said there of its subscriptions counts, too, where it is the latest.
   */
  join(session: SessionView, merges: boolean): SessionImport
  /** It is this node's from now on, by the CONNECT of that stamp. */
  own(session: SessionView, epoch: Stamp): void
  /** The stamp of its last CONNECT is another by the time that counts now. */
  restamp(session: SessionView, epoch: Stamp): void
  /** Calls `done` when all members send what it wants to this node. */
  whenRouted(session: SessionView, done: () => void): void
  /** Forgets it: it goes on elsewhere. */
  drop(session: SessionView): void
  /** It is over, as another box has said: others of its share groups get what it leaves behind. */
  over(session: SessionView): void
  /** Publishes the will of a client whose box is gone. */
  publishWill(clientId: ClientId, will: OrphanedWill): void
  /** Another box has published the will that the client left by the CONNECT of that stamp. */
  willPublished(clientId: ClientId, epoch: Stamp): void
}

export interface AuthenticationRequest {
  readonly clientId: string
  readonly username: string | null
  readonly password: Buffer | null
  /** The client's address and the address it connected to. */
  readonly remoteAddress: string
  readonly localAddress: string
  readonly listener: string
  /** It came through a proxy, so that its address says nothing of where the client is. */
  readonly proxied?: boolean
  /** The user name that a verified certificate gives it, where its listener takes names from certificates. */
  readonly certified?: string | null
}

export type AuthenticationResult = 'allowed' | 'badUserNameOrPassword' | 'notAuthorized' | 'serverBusy'

/** Who may connect. `done` is called once, now or later; `account` is whom the client has proven to be, if anybody. */
export interface Authenticator {
  authenticate(
    request: AuthenticationRequest,
    done: (result: AuthenticationResult, account?: string | null) => void,
  ): void
  /** Begins enhanced authentication; null, or no such function: not by this method. */
  exchange?(method: string, request: AuthenticationRequest): Exchange | null
}

/** What one message of the client comes to. */
export type ExchangeStep =
  | { readonly at: 'continue'; readonly data: Buffer }
  | { readonly at: 'done'; readonly account: string; readonly data: Buffer }
  | { readonly at: 'refused' }

/** One enhanced authentication (MQTT 4.12). */
export interface Exchange {
  /** `data`: what the client sent. `done` is called once for each step, now or later; no step overlaps another. */
  step(data: Buffer | null, done: (step: ExchangeStep) => void): void
}

/** One thing that may or must not be done. */
export interface Rule {
  readonly effect: 'allow' | 'deny'
  readonly action: 'publish' | 'subscribe' | 'both'
  /** A topic filter in which `%c` stands for the client id and `%u` for the account. */
  readonly filter: string
  /** The filter is meant as it is: no `%c`, no `%u`. */
  readonly plain?: boolean
}

/** Who may do what. */
export interface Rules {
  /** Changes whenever the answer of `of` may have changed. */
  readonly generation: number
  /**
   * The rules for an account, or for a client without one, that came through a listener; `strict`: what no rule allows is
   * denied.
   */
  of(account: string | null, listener: string | null): { readonly rules: readonly Rule[]; readonly strict: boolean }
}

/** Everybody may do everything. */
export class NoRules implements Rules {
  readonly generation = 0
  of(): { readonly rules: readonly Rule[]; readonly strict: boolean } {
    return { rules: [], strict: false }
  }
}

/** Something that the keeper keeps: written when its turn comes, as it then is. */
export type Kept = Numbered

/**
 * What must survive (the store). Everything staged gets a position; what is promised on the ground of it is said when
 * `safe` has reached that position: it is on disk, or it was taken back before it had to be.
 */
export interface Keeper {
  /** False: nothing is kept, and everything is safe at once. */
  readonly durable: boolean
  /** There is no room: nothing more that would have to be kept may be accepted. */
  readonly full: boolean
  /** The position of what was staged last, here or by whoever else a promise may have to wait for. */
  readonly position: number
  /** Everything up to here is safe, at the members that were sent it too. */
  readonly safe: number
  /** Everything up to here is safe as far as this node and its copies are concerned. */
  readonly ours: number
  /** The position of what was staged last that members have to say is safe. */
  readonly asked: number
  put(value: Recordable): Kept
  /** The value is another now; returns the position that makes the change safe. */
  changed(kept: Kept): number
  /** `replaced`: by something that was staged after it, and that keeps what was promised. */
  remove(kept: Kept, replaced?: boolean): void
  /**
   * `moved` is called whenever `safe` or `ours` has grown; `failed` whenever the disk has refused what was staged: it may
   * take long until that is safe.
   */
  watch(moved: () => void, failed?: () => void): void
}

const NOTHING_KEPT: Kept = { id: 0, value: null }
const NOTHING_STAGED = { position: 0, safe: 0, ours: 0, asked: 0, watch: () => {} }

/** `positions`: what others than the store have staged, and how far that is safe. */
export class NoKeeper implements Keeper {
  readonly durable = false
  readonly full = false
  readonly #positions: Pick<Keeper, 'position' | 'safe' | 'ours' | 'asked' | 'watch'>

  constructor(positions: Pick<Keeper, 'position' | 'safe' | 'ours' | 'asked' | 'watch'> = NOTHING_STAGED) {
    this.#positions = positions
  }

  get position(): number {
    return this.#positions.position
  }

  get safe(): number {
    return this.#positions.safe
  }

  get ours(): number {
    return this.#positions.ours
  }

  get asked(): number {
    return this.#positions.asked
  }

  put(): Kept {
    return NOTHING_KEPT
  }
  changed(): number {
    return 0
  }
  remove(): void {}
  watch(moved: () => void): void {
    this.#positions.watch(moved)
  }
}

/** A record found at start. */
export interface FoundRecord {
  readonly kept: Kept
  /** What other records call it: another number than `kept` has when it comes from another box. */
  readonly id: number
  readonly kind: number
  readonly body: Buffer
  /** Monotonic: what is left of durations in the body counts from here. */
  readonly countedFromMs: number
}

/** The records found at start, in the order of their ids. */
export interface Found {
  readonly records: Iterable<FoundRecord>
  /** The record lives on with this value behind it. */
  adopt(kept: Kept, value: Recordable): void
  /** The record means nothing any more. */
  remove(kept: Kept): void
}
