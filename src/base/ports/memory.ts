// How much memory is left, as the core sees it.

export interface Memory {
  /** How much of what this process may have it uses: 0: nothing, 1: it is about to be ended for it. */
  used(): number
  /** Bytes that this process holds. */
  bytes(): number
}

/** As much as anybody wants. */
export const ampleMemory: Memory = { used: () => 0, bytes: () => 0 }
