// What systemd is told of this node, and when: ready, one line of status, signs of life, reloading and stopping. The
// signs of life come from the event loop, so that a hung one is found out and started afresh.

import { type Clock, every, type Timer } from '../base/ports/clock.ts'
import type { NodeStatus } from '../compose.ts'
import type { Voice } from './notify.ts'
import { standing, statusLine } from './statustext.ts'

/** The line with its counts and rates is renewed this often... */
const STATUS_MS = 15_000
/** ...and at once when what it says of members and problems is another: looked at this often. */
const LOOK_MS = 1_000

export class Supervision {
  readonly #voice: Voice
  readonly #watchdogMs: number | null
  #timers: readonly Timer[] = []
  #saidMs = 0
  #standing = ''

  constructor(voice: Voice, watchdogMs: number | null) {
    this.#voice = voice
    this.#watchdogMs = watchdogMs
  }

  ready(clock: Clock, status: () => NodeStatus): void {
    if (this.#voice.silent) return
    this.#tell(clock, status(), 'READY=1')
    const timers = [every(clock, LOOK_MS, 'ops.standing', () => this.#look(clock, status()))]
    if (this.#watchdogMs !== null) {
      timers.push(every(clock, this.#watchdogMs / 2, 'ops.watchdog', () => this.#voice.say('WATCHDOG=1')))
    }
    this.#timers = timers
  }

  /** `monotonicUs`: CLOCK_MONOTONIC, by which systemd knows this reload from an earlier one. */
  reloading(monotonicUs: bigint): void {
    this.#voice.say('RELOADING=1', `MONOTONIC_USEC=${monotonicUs}`)
  }

  reloaded(): void {
    this.#voice.say('READY=1')
  }

  stopping(): void {
    this.#rest()
    this.#voice.say('STOPPING=1', 'STATUS=stopping')
  }

  /** Why the daemon ends by itself: stays in `systemctl status`. */
  failed(why: string): void {
    this.#rest()
    this.#voice.say(`STATUS=${why.split('\n')[0]}`)
  }

  #rest(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#timers = []
  }

  #look(clock: Clock, status: NodeStatus): void {
    if (clock.now() - this.#saidMs >= STATUS_MS || standingOf(status) !== this.#standing) this.#tell(clock, status)
  }

  #tell(clock: Clock, status: NodeStatus, ...first: readonly string[]): void {
    this.#saidMs = clock.now()
    this.#standing = standingOf(status)
    this.#voice.say(...first, `STATUS=${statusLine(status)}`)
  }
}

const standingOf = (status: NodeStatus): string => `${standing(status)}, ${status.problems.length}`

/** The pause after which systemd takes us for hung, or null when it does not watch this process (sd_watchdog_enabled(3)). */
export function watchdogMs(environment: Readonly<Record<string, string | undefined>>, pid: number): number | null {
  const [us, of] = [Number(environment['WATCHDOG_USEC']), environment['WATCHDOG_PID']]
  if (!Number.isSafeInteger(us) || us <= 0) return null
  return of === undefined || Number(of) === pid ? us / 1000 : null
}
