// Who may connect: with the password of an account, or without one where `auth.anonymous` lets them.
//
// The slow hash runs once per account and process; after that a keyed hash in memory answers. Whoever is refused has
// waited for a slow hash, whether there is such an account or not.

import { randomBytes } from 'node:crypto'
import { HostError } from '../../base/errors.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { Log } from '../../base/ports/log.ts'
import type { ScramCredentials } from '../../broker/accountfile.ts'
import type { Accounts } from '../../broker/accounts.ts'
import type { AuthenticationRequest, AuthenticationResult, Authenticator, Exchange } from '../../broker/ports.ts'
import { type AnonymousPolicy, mayBeAnonymous } from './anonymous.ts'
import type { Deriver } from './deriver.ts'
import { Lanes } from './lanes.ts'
import type { FileVerifier } from './mosquitto.ts'
import { type AnyVerifier, hmac, isRandomOne, SALT_BYTES, SCRAM_ITERATIONS, same, verify } from './passwords.ts'
import { SCRAM, ScramExchange } from './scram.ts'

export interface GateSettings {
  readonly anonymous: AnonymousPolicy
  /** By listener, where one has a policy of its own. */
  readonly anonymousAt?: Readonly<Record<string, AnonymousPolicy | null>>
  /** Those of the password_file. */
  readonly passwords: ReadonlyMap<string, FileVerifier>
  /** By listener, where one has a password_file of its own. */
  readonly passwordsAt?: ReadonlyMap<string, ReadonlyMap<string, FileVerifier>>
}

/** As many as arrive in a turn (host/arrivals.ts). */
const ANSWERED_PER_TURN = 8

/** The name a client gives, and the listener where it gives it. */
interface Who {
  readonly username: string
  readonly listener: string
}

type Done = Parameters<Authenticator['authenticate']>[1]

export interface GateWorld {
  readonly clock: Clock
  readonly log: Log
  readonly deriver: Deriver
  /** Asked at each connection, so that a reload counts from the next one on. */
  readonly settings: () => GateSettings
}

export class Gate implements Authenticator {
  readonly #world: GateWorld
  readonly #lanes: Lanes
  #accounts: Pick<Accounts, 'account'> | null = null
  /** Of this process only: what it keys is worth nothing elsewhere. */
  readonly #key = randomBytes(32)
  /** What the right password of an account came to, keyed; for each listener with passwords of its own by itself. */
  readonly #proven = new Map<string, Buffer>()
  /** Those who wait for the same check: address, account and password are the same. */
  readonly #pending = new Map<string, Done[]>()

  constructor(world: GateWorld) {
    this.#world = world
    this.#lanes = new Lanes(world.clock)
  }

  /** The node's accounts; before that there are none. */
  attach(accounts: Pick<Accounts, 'account'>): void {
    this.#accounts = accounts
  }

  authenticate(request: AuthenticationRequest, done: Done): void {
    const { username, password, certified = null, listener } = request
    // Its listener has proven its certificate already.
    if (certified !== null) return done('allowed', certified)
    const { anonymous, anonymousAt = {} } = this.#world.settings()
    const who = username === null ? null : { username, listener }
    const verifier = who === null ? null : this.#verifier(who)
    if (verifier === null && mayBeAnonymous(anonymousAt[listener] ?? anonymous, request)) return done('allowed', null)
    if (who === null || username === null) return done('notAuthorized')
    const given = password ?? Buffer.alloc(0)
    const proof = this.#proof(username, verifier, given)
    if (verifier !== null && this.#known(who, verifier, given, proof)) return done('allowed', username)
    this.#check(request.remoteAddress, who, verifier, given, proof, done)
  }

  exchange(method: string, request: AuthenticationRequest): Exchange | null {
    if (method !== SCRAM) return null
    const credentials = (name: string) => this.#accounts?.account(name)?.scram ?? null
    return new ScramExchange({
      credentials: (name) => credentials(name) ?? this.#madeUp(name),
      judge: (name, kept, right, done) => {
        const entered = this.#lanes.enter(request.remoteAddress, (checked) => {
          // What was made up is nobody's, and the account may have changed since the first step.
          const proven = right() && credentials(name) === kept
          checked(!proven)
          done(proven)
        })
        if (!entered) done(false)
      },
      nonce: () => randomBytes(18).toString('base64'),
    })
  }

  /** As if there were such an account. */
  #madeUp(name: string): ScramCredentials {
    const bytes = (what: string) => hmac(this.#key, Buffer.from(JSON.stringify([what, name])))
    return {
      iterations: SCRAM_ITERATIONS,
      salt: bytes('salt').subarray(0, SALT_BYTES).toString('base64'),
      storedKey: bytes('stored').toString('base64'),
      serverKey: bytes('server').toString('base64'),
    }
  }

  #verifier({ username, listener }: Who): AnyVerifier | null {
    const { passwords, passwordsAt } = this.#world.settings()
    const inFile = passwordsAt?.get(listener) ?? passwords
    return this.#accounts?.account(username)?.verifier ?? inFile.get(username) ?? null
  }

  /** Where the proof of an account is remembered. */
  #place({ username, listener }: Who): string {
    return this.#world.settings().passwordsAt?.has(listener) === true ? `${username}\0${listener}` : username
  }

  #proof(username: string, verifier: AnyVerifier | null, password: Buffer): Buffer {
    return hmac(this.#key, Buffer.from(JSON.stringify([username, verifier])), password)
  }

  #known(who: Who, verifier: AnyVerifier, password: Buffer, proof: Buffer): boolean {
    const proven = this.#proven.get(this.#place(who))
    return (proven !== undefined && same(proven, proof)) || isRandomOne(verifier, password)
  }

  #check(address: string, who: Who, verifier: AnyVerifier | null, password: Buffer, proof: Buffer, done: Done): void {
    const { username } = who
    const key = `${address} ${proof.toString('base64')}`
    const others = this.#pending.get(key)
    if (others !== undefined) return void others.push(done)
    const all = [done]
    const isKnown = () => {
      const now = this.#verifier(who)
      return now !== null && this.#known(who, now, password, this.#proof(username, now, password))
    }
    const entered = this.#lanes.enter(address, (checked) => {
      const finish = (result: AuthenticationResult) => {
        this.#pending.delete(key)
        checked(result === 'badUserNameOrPassword')
        this.#answer(all, username, () => (result === 'allowed' && !isKnown() ? 'badUserNameOrPassword' : result))
      }
      // It may have been proven meanwhile from another address, or the account may be another.
      if (isKnown()) return finish('allowed')
      verify(this.#world.deriver, verifier, password, (right) => {
        if (right instanceof HostError) {
          this.#world.log.error({ why: right.message }, 'a password cannot be checked')
          return finish('serverBusy')
        }
        const still = right && same(proof, this.#proof(username, this.#verifier(who), password))
        if (still) this.#proven.set(this.#place(who), proof)
        finish(still ? 'allowed' : 'badUserNameOrPassword')
      })
    })
    if (entered) this.#pending.set(key, all)
    else done('serverBusy')
  }

  /**
   * The devices of a whole site may have waited for one check: they are answered a few in a turn, so that everybody else
   * gets their turns in between. `result` is asked anew in each, because the account may have changed.
   */
  #answer(waiting: Done[], username: string, result: () => AuthenticationResult): void {
    const told = result()
    for (const done of waiting.splice(0, ANSWERED_PER_TURN)) done(told, told === 'allowed' ? username : null)
    if (waiting.length > 0) this.#world.clock.soon(() => this.#answer(waiting, username, result))
  }
}
