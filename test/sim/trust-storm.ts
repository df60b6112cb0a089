// What happens to trust while messages flow and boxes fail: the CA is replaced and its key sealed, guests come, leave and
// are removed. At the end all must agree (checkers/trust.ts).

import { HostError } from '../../src/base/errors.ts'
import type { NodeId } from '../../src/base/ids.ts'
import { memberNodes } from './checkers/trust.ts'
import { type Guest, trustOf } from './guests.ts'
import type { Dice } from './random.ts'
import type { Scenario } from './scenario.ts'
import type { SimNode, World } from './world.ts'

const EVENTS = { rotate: 30, seal: 8, remove: 24, leave: 20, clock: 10, kill: 12 } as const

type Event = keyof typeof EVENTS

const DAY_MS = 86_400_000
const CLOCKS_MS = [-1.79e12, -DAY_MS, -3_600_000, 3_600_000, DAY_MS + 60_000, 2.3e12] as const
/** People look whether what they asked for has been done, and ask again. */
const AGAIN_MS = 2000

export class TrustStorm {
  readonly #world: World
  readonly #scenario: Scenario
  readonly #dice: Dice
  readonly #guests: readonly Guest[]
  /** Events so far, by kind; `trust.` before each. */
  readonly counts: Record<string, number> = {}

  constructor(world: World, scenario: Scenario, dice: Dice) {
    this.#world = world
    this.#scenario = scenario
    this.#dice = dice
    this.#guests = scenario.guests
  }

  /** Guests come; some are there when the storm begins, some are on their way. */
  begin(): void {
    for (const guest of this.#guests) {
      if (this.#dice.chance(0.25)) this.#wrongClock(guest.node)
      this.#world.timeline.after(this.#dice.between(0, 5000), null, 'trust.guest', () => guest.arrive())
    }
  }

  /** Plans what happens over the next `lengthMs`. */
  brew(lengthMs: number): void {
    const some = this.#guests.length > 0 || this.#dice.chance(0.15)
    for (let left = some ? this.#dice.whole(1, 4) : 0; left > 0; left--) {
      const kind = this.#dice.weighted(EVENTS)
      this.#world.timeline.after(this.#dice.between(0, lengthMs), null, `trust.${kind}`, () => this.#happens(kind))
    }
  }

  #happens(kind: Event): void {
    const dice = this.#dice
    const node = dice.pick([...this.#scenario.members, ...this.#guests.map((guest) => guest.node)])
    const host = dice.pick(this.#scenario.members)
    const lastsMs = dice.between(200, 6000)
    const guest = this.#guests.find((each) => each.place === 'member') ?? null
    this.#world.trace(`trust storm: ${kind} ${node.label}`)
    switch (kind) {
      case 'rotate':
        this.#count(kind)
        return this.#ask(host, (trust) => trust.rotate(false, (result) => this.#said('rotate', result)))
      case 'seal':
        this.#count(kind)
        return this.#ask(host, (trust) => trust.seal((result) => this.#said('seal', result)))
      case 'remove':
        if (guest?.node.run?.ready !== true) return
        this.#count(kind)
        guest.place = 'removed'
        guest.removedId = guest.node.status().node.id as NodeId
        // Half of them are off when they are removed, and learn of it by being refused.
        if (dice.chance(0.5)) guest.node.kill()
        this.#world.timeline.after(lastsMs, null, 'trust.return', () => guest.node.start())
        return this.#remove(guest.removedId)
      case 'leave':
        if (guest === null || this.#wouldDraw(guest)) return
        this.#count(kind)
        guest.place = 'going'
        return this.#leave(guest)
      case 'clock':
        this.#count(kind)
        return this.#wrongClock(node)
      case 'kill':
        if (!this.#guests.some((each) => each.node === node)) return
        this.#count(kind)
        if (dice.chance(0.5)) node.kill()
        else node.powerCut()
        this.#world.timeline.after(lastsMs, null, 'trust.return', () => node.start())
    }
  }

  /**
   * People look at `ca show`. A box that left while those died who should have heard of it counts as one that is off and
   * has the key; only people know better, and remove it.
   */
  tidyUp(): void {
    for (const guest of this.#guests) {
      const { leftId } = guest
      if (guest.place !== 'left' || leftId === null || guest.removedId !== null) continue
      const counted = memberNodes(this.#scenario).some((node) =>
        trustOf(node)
          ?.holders(node.label)
          .some(({ id, linked }) => id === leftId && !linked),
      )
      if (!counted) continue
      this.#world.trace(`trust storm: ${guest.node.label}, which has left, counts as away with the key: removed`)
      this.counts['trust.tidied'] = (this.counts['trust.tidied'] ?? 0) + 1
      guest.removedId = leftId
      this.#remove(leftId)
    }
  }

  /** A box that leaves keeps its password, and a new one that has the same goes to whichever it hears first. */
  #wouldDraw({ way }: Guest): boolean {
    return way === 'password' && this.#guests.some((other) => other.way === way && other.place === 'coming')
  }

  #count(kind: Event): void {
    this.counts[`trust.${kind}`] = (this.counts[`trust.${kind}`] ?? 0) + 1
  }

  /** Until some member has said that it is done: one that died before it has done nothing. */
  #remove(id: NodeId): void {
    const members = this.#scenario.members
    if (members.some((member) => trustOf(member)?.removed(id) === true)) return
    const host = members.find((member) => trustOf(member) !== null)
    if (host !== undefined) this.#ask(host, (trust) => trust.remove(id, true, (result) => this.#said('remove', result)))
    this.#world.timeline.after(AGAIN_MS, null, 'trust.remove', () => this.#remove(id))
  }

  #leave(guest: Guest): void {
    if (guest.place !== 'going') return
    const { run } = guest.node
    this.#world.timeline.after(AGAIN_MS, null, 'trust.leave', () => this.#leave(guest))
    if (run?.ready !== true) return
    if (!guest.cameTo(guest.node.status().cluster.id)) {
      // It had left before it died, and nobody heard that.
      guest.place = 'left'
      return
    }
    guest.leftId = guest.node.status().node.id as NodeId
    this.#world.timeline.after(0, run.clock, 'trust.command', () => {
      run.node.operator.leave((result) => {
        this.#said('leave', result)
        if (!(result instanceof HostError)) guest.place = 'left'
      })
    })
  }

  #ask(node: SimNode, ask: (trust: NonNullable<ReturnType<typeof trustOf>>) => void): void {
    const { run } = node
    if (run?.ready !== true) return
    this.#world.timeline.after(0, run.clock, 'trust.command', () => {
      const trust = trustOf(node)
      if (trust !== null) ask(trust)
    })
  }

  #said(what: string, result: unknown): void {
    this.#world.trace(`trust storm: ${what}: ${result instanceof HostError ? result.message : 'done'}`)
  }

  #wrongClock(node: SimNode): void {
    const byMs = this.#dice.pick(CLOCKS_MS)
    this.#world.trace(`trust storm: the clock of ${node.label} jumps by ${byMs} ms`)
    node.wallOffsetMs += byMs
    this.#world.history.clockWas(node.wallOffsetMs)
    node.run?.clock.jumpWall(byMs)
  }
}
