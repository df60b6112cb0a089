// Passwords: made into what is kept of them, and compared with it in constant time.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { HostError } from '../../base/errors.ts'
import type { ScramCredentials, Verifier } from '../../broker/accountfile.ts'
import type { Derivation, Deriver } from './deriver.ts'
import type { FileVerifier } from './mosquitto.ts'

export type AnyVerifier = Verifier | FileVerifier

/** 16 MiB and some 50 ms on a fast machine, 250 ms on a Raspberry Pi 3. */
const SCRYPT = { cost: 16_384, blockSize: 8, parallel: 1, bytes: 32 } as const
export const SALT_BYTES = 16
/** RFC 7677 asks for 4096 at least. */
export const SCRAM_ITERATIONS = 16_384
/** A hundred and twenty bits and more. */
const RANDOM_LETTERS = 24
const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789'

/** What no password has: checked when there is no account, so that it takes as long. */
const NOBODY: Verifier = {
  kind: 'scrypt',
  ...SCRYPT,
  salt: Buffer.alloc(SALT_BYTES, 1).toString('base64'),
  hash: Buffer.alloc(SCRYPT.bytes).toString('base64'),
}

export const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()
export const hmac = (key: Buffer, ...pieces: readonly Buffer[]): Buffer => {
  const mac = createHmac('sha256', key)
  for (const piece of pieces) mac.update(piece)
  return mac.digest()
}
export const same = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
export const base64 = (text: string): Buffer => Buffer.from(text, 'base64')

/** Letters that cannot be taken for one another and mean nothing to a shell or in a URL. */
export const lettersOf = (bytes: Buffer): string =>
  [...bytes.subarray(0, RANDOM_LETTERS)].map((byte) => LETTERS[byte % LETTERS.length]).join('')

export const randomPassword = (): string => lettersOf(randomBytes(RANDOM_LETTERS))

/** For passwords of `lettersOf` only: there is nothing to guess. */
export const randomVerifier = (password: string): Verifier => ({
  kind: 'sha256',
  hash: sha256(Buffer.from(password)).toString('base64'),
})

export function makeVerifier(deriver: Deriver, password: Buffer, done: (made: Verifier | HostError) => void): void {
  const salt = randomBytes(SALT_BYTES)
  deriver.derive({ kind: 'scrypt', password, salt, ...SCRYPT }, (derived) => {
    if (derived instanceof HostError) return done(derived)
    const { cost, blockSize, parallel } = SCRYPT
    const bytes = { salt: salt.toString('base64'), hash: derived.toString('base64') }
    done({ kind: 'scrypt', cost, blockSize, parallel, ...bytes })
  })
}

export function makeScram(deriver: Deriver, given: Buffer, done: (made: ScramCredentials | HostError) => void): void {
  // What SASLprep comes to for what people type (RFC 5802 chapter 2.2).
  const password = Buffer.from(given.toString('utf8').normalize('NFKC'))
  const salt = randomBytes(SALT_BYTES)
  const wish = { kind: 'pbkdf2', digest: 'sha256', password, salt, iterations: SCRAM_ITERATIONS, bytes: 32 } as const
  deriver.derive(wish, (salted) => {
    if (salted instanceof HostError) return done(salted)
    done({ iterations: SCRAM_ITERATIONS, salt: salt.toString('base64'), ...scramKeys(salted) })
  })
}

/** RFC 5802 chapter 3. */
export function scramKeys(salted: Buffer): Pick<ScramCredentials, 'storedKey' | 'serverKey'> {
  return {
    storedKey: sha256(hmac(salted, Buffer.from('Client Key'))).toString('base64'),
    serverKey: hmac(salted, Buffer.from('Server Key')).toString('base64'),
  }
}

/** Whether it is known without a slow hash that the password is right; false: not known. */
export const isRandomOne = (verifier: AnyVerifier, password: Buffer): boolean =>
  verifier.kind === 'sha256' && same(sha256(password), base64(verifier.hash))

/**
 * Whether the password is the verifier's; null: there is no account. Every no takes one scrypt, whatever there is to
 * compare with.
 */
export function verify(
  deriver: Deriver,
  verifier: AnyVerifier | null,
  password: Buffer,
  done: (right: boolean | HostError) => void,
): void {
  const no = () => compare(deriver, NOBODY, password, (right) => done(right instanceof HostError ? right : false))
  if (verifier === null) return no()
  compare(deriver, verifier, password, (right) => {
    if (right === false && verifier.kind !== 'scrypt') no()
    else done(right)
  })
}

function compare(
  deriver: Deriver,
  verifier: AnyVerifier,
  password: Buffer,
  done: (right: boolean | HostError) => void,
): void {
  const hash = base64(verifier.hash)
  if (verifier.kind === 'sha256') return done(same(sha256(password), hash))
  const salt = base64(verifier.salt)
  if (verifier.kind === 'sha512') {
    return done(same(createHash('sha512').update(password).update(salt).digest(), hash))
  }
  const derivation: Derivation =
    verifier.kind === 'scrypt'
      ? { ...verifier, kind: 'scrypt', password, salt, bytes: hash.length }
      : { kind: 'pbkdf2', digest: 'sha512', password, salt, iterations: verifier.iterations, bytes: hash.length }
  deriver.derive(derivation, (derived) => done(derived instanceof HostError ? derived : same(derived, hash)))
}
