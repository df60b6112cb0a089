// What a contract needs of the world it runs in: a way to let time pass until something has happened. On the real host
// that is the event loop, with a deadline; in the simulator it is the virtual clock.

export interface World {
  /** Resolves as soon as `condition` holds; rejects, naming `what`, when it does not within some seconds. */
  until(condition: () => boolean, what: string): Promise<void>
  close(): void
}

/** The real event loop. */
export async function until(condition: () => boolean, what: string, deadlineMs = 10_000): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`still waiting for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
