// Time as the core sees it: a monotonic clock for durations, a wall clock that may be wrong, timers, and the end of
// this turn. The core has no other source of time (DESIGN 5, CLUSTER 3).

export interface Timer {
  /** Stops the timer; harmless when it has already fired or was cancelled. */
  cancel(): void
}

export interface Clock {
  /** Milliseconds, monotonic, from an arbitrary start. For durations and deadlines. */
  now(): number
  /** Milliseconds since 1970 by this machine's own clock, which may be wrong and may jump either way. */
  wall(): number
  /** Runs `run` once, `delayMs` from now. `name` (`room.purpose`) is for logs and the simulator's traces. */
  after(delayMs: number, name: string, run: () => void): Timer
  /** Runs `run` at the end of this turn of the event loop, after everything already received has been handled. */
  soon(run: () => void): void
}

/** Runs `run` every `intervalMs`, each time up to `jitter` (0..1) of the interval earlier, until cancelled. */
export function every(
  clock: Clock,
  intervalMs: number,
  name: string,
  run: () => void,
  jitter: () => number = () => 0,
): Timer {
  let timer: Timer
  const next = () => {
    timer = clock.after(intervalMs * (1 - jitter()), name, () => {
      next()
      run()
    })
  }
  next()
  return { cancel: () => timer.cancel() }
}
