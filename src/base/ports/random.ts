// Chance as the core sees it: cryptographic on a real box, drawn from the seed in the simulator.

export interface Random {
  /** `length` random bytes, fit for ids and nonces. */
  bytes(length: number): Buffer
  /** A number in [0, 1), for jitter and choices; not for secrets. */
  fraction(): number
}
