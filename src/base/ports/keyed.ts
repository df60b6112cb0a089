// Two boxes that share a secret and no certificates yet, as the core sees them: the secret made into a key, and a stream
// sealed with it. The real host's is TLS 1.2 with a pre-shared key and nothing else.

import type { HostError } from '../errors.ts'
import type { ClusterId } from '../ids.ts'
import type { ByteStream } from './streams.ts'
import type { SecureFailure } from './trust.ts'

/** Bytes of a key, and of a digest. */
export const KEY_BYTES = 32

export type KeySide =
  /** `identity` goes in the clear and says which key. */
  | { readonly role: 'client'; readonly identity: string; readonly key: Buffer }
  /** Null: there is no key of that name. */
  | { readonly role: 'server'; keyOf(identity: string): Buffer | null }

/** Why sealing failed. `unknown key`: the server has none of that name; `wrong key`: it has another. */
export type KeyedFailure = SecureFailure | 'unknown key' | 'wrong key'

export interface KeyedTrust {
  /** SHA-256. */
  digest(bytes: Buffer): Buffer
  /** The key of a secret that nobody can guess. `salt` tells the uses of one secret apart. */
  secretKey(secret: Buffer, salt: string): Buffer
  /** The key of a password, made slowly and off the main thread, so that guessing is dear; the cluster's id is its salt. */
  passwordKey(password: string, cluster: ClusterId, done: (key: Buffer | HostError) => void): void
  /**
   * Seals a plain stream in place. Takes the stream over, at either end at any time: the client says nothing before the
   * server is ready. Both ends have proven that they know the key when `done`, which is called once, gets a stream; on
   * failure the stream is closed.
   */
  secureByKey(
    stream: ByteStream,
    side: KeySide,
    timeoutMs: number,
    done: (result: { readonly stream: ByteStream; readonly identity: string } | KeyedFailure) => void,
  ): void
}
