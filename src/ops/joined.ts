// What the daemon answers to `cluster join ADDR`.

export interface Joined {
  /** There is a link now, by this or already: exit status 0. */
  readonly linked: boolean
  /** In words. */
  readonly outcome: string
}
