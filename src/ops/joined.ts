// What the daemon answers to `cluster join`.

export interface Joined {
  /** There is a link now, by this or already, or will be at once: exit status 0. */
  readonly linked: boolean
  /** It shows its words to people now, who have to type the rest: exit status 0. */
  readonly waiting: boolean
  /** In words. */
  readonly outcome: string
}
