// Before a box stops or leaves, what it alone holds goes to the others: its clients have been sent away, and their
// sessions as they then are must be in the copies. Nobody waits for that for long.

import type { Clock } from '../../base/ports/clock.ts'
import type { Positions } from '../../base/positions.ts'

/** A stop may take two seconds in all. */
const HAND_OVER_MS = 300

/** Calls `done` when everything staged until now is safe here and in the copies, or after a while; `false`: it is not. */
export function handOver(clock: Clock, positions: Positions, done: (whole: boolean) => void): void {
  const { position } = positions
  let over = false
  const end = (whole: boolean) => {
    if (over) return
    over = true
    timer.cancel()
    // What this turn has said goes out before whatever closes the links.
    clock.soon(() => done(whole))
  }
  const timer = clock.after(HAND_OVER_MS, 'cluster.hand-over', () => end(false))
  const look = () => positions.ours >= position && end(true)
  positions.watch(look)
  look()
}
