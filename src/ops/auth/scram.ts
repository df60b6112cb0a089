// SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677), without channel binding: the client proves that it knows the
// password without showing it, and we that we know what is kept of it.
//
//   client  n,,n=NAME,r=NONCE
//   server  r=NONCE+OURS,s=SALT,i=ITERATIONS
//   client  c=biws,r=NONCE+OURS,p=PROOF
//   server  v=SIGNATURE

import type { ScramCredentials } from '../../broker/accountfile.ts'
import type { Exchange, ExchangeStep } from '../../broker/ports.ts'
import { base64, hmac, same, sha256 } from './passwords.ts'

export const SCRAM = 'SCRAM-SHA-256'

export interface ScramWorld {
  /** Of an account that is not there or has none: made up, always the same for one name, and right for no proof. */
  credentials(name: string): ScramCredentials
  /** Judges a proof when it is the address's turn; a false one makes the address wait. */
  judge(name: string, credentials: ScramCredentials, right: () => boolean, done: (right: boolean) => void): void
  /** Printable, without commas. */
  nonce(): string
}

/** Bytes; names, nonces and proofs are short. */
const MESSAGE_MAX = 2048
const REFUSED: ExchangeStep = { at: 'refused' }

interface First {
  readonly header: string
  readonly bare: string
  readonly name: string
  readonly nonce: string
}

export class ScramExchange implements Exchange {
  readonly #world: ScramWorld
  #first: First | null = null
  #credentials: ScramCredentials | null = null
  #nonce = ''
  #challenge = ''

  constructor(world: ScramWorld) {
    this.#world = world
  }

  step(data: Buffer | null, done: (step: ExchangeStep) => void): void {
    if (data === null || data.length > MESSAGE_MAX) return done(REFUSED)
    const text = data.toString('utf8')
    if (this.#first === null) done(this.#begin(text))
    else this.#finish(this.#first, text, done)
  }

  #begin(text: string): ExchangeStep {
    const first = parseFirst(text)
    if (first === null) return REFUSED
    const credentials = this.#world.credentials(first.name)
    this.#first = first
    this.#credentials = credentials
    this.#nonce = first.nonce + this.#world.nonce()
    this.#challenge = `r=${this.#nonce},s=${credentials.salt},i=${credentials.iterations}`
    return { at: 'continue', data: Buffer.from(this.#challenge) }
  }

  #finish({ header, bare, name }: First, text: string, done: (step: ExchangeStep) => void): void {
    const match = /^(c=([A-Za-z0-9+/=]+),r=([^,]+)(?:,[^,]+)*?),p=([A-Za-z0-9+/=]+)$/.exec(text)
    const credentials = this.#credentials
    // Used up, whatever comes of it.
    this.#credentials = null
    if (match === null || credentials === null) return done(REFUSED)
    const [, withoutProof, binding, nonce, proof] = match
    if (base64(binding!).toString('utf8') !== header || nonce !== this.#nonce) return done(REFUSED)
    const message = Buffer.from(`${bare},${this.#challenge},${withoutProof}`)
    const right = () => proves(credentials, message, base64(proof!))
    this.#world.judge(name, credentials, right, (proven) => {
      if (!proven) return done(REFUSED)
      const signature = hmac(base64(credentials.serverKey), message).toString('base64')
      done({ at: 'done', account: name, data: Buffer.from(`v=${signature}`) })
    })
  }
}

function parseFirst(text: string): First | null {
  // `y`: the client would bind to the channel, and believes that we cannot; we cannot.
  const match = /^([ny],(?:a=([^,]+))?,)(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[a-ln-z]=[^,]*)*)$/.exec(text)
  if (match === null) return null
  const [, header, actingFor, bare, escaped, nonce] = match
  const name = unescaped(escaped!)
  // Nobody acts for another.
  if (name === null || (actingFor !== undefined && actingFor !== escaped)) return null
  return { header: header!, bare: bare!, name, nonce: nonce! }
}

const unescaped = (text: string): string | null =>
  /=(?!2C|3D)/.test(text) ? null : text.replace(/=2C/g, ',').replace(/=3D/g, '=')

function proves({ storedKey }: ScramCredentials, message: Buffer, proof: Buffer): boolean {
  const signature = hmac(base64(storedKey), message)
  if (proof.length !== signature.length) return false
  const clientKey = Buffer.from(proof.map((byte, index) => byte ^ signature[index]!))
  return same(sha256(clientKey), base64(storedKey))
}
