// Faults drawn from the seed. Each begins by itself and ends by itself, at the end of the storm at the latest.

import type { Machine, Quality } from './network.ts'
import type { Dice } from './random.ts'
import type { Scenario } from './scenario.ts'
import { strangerKnocks } from './stranger.ts'
import type { SimNode, World } from './world.ts'

const DAY_MS = 86_400_000

const FAULTS = {
  cut: 14,
  oneWay: 8,
  isolate: 8,
  degrade: 14,
  reset: 8,
  kill: 14,
  power: 8,
  stop: 6,
  move: 5,
  clock: 5,
  full: 6,
  ambush: 12,
  blackout: 4,
  oldDisk: 3,
  stranger: 10,
} as const

type Fault = keyof typeof FAULTS

export class Storm {
  readonly #world: World
  readonly #scenario: Scenario
  readonly #dice: Dice
  /** What ends the faults that go on. */
  readonly #ending = new Set<() => void>()
  #over = false
  /** Faults so far, by kind. */
  readonly counts: Record<string, number> = {}

  constructor(world: World, scenario: Scenario, dice: Dice) {
    this.#world = world
    this.#scenario = scenario
    this.#dice = dice
  }

  /** Plans `count` faults over the next `lengthMs`. */
  brew(count: number, lengthMs: number): void {
    for (let index = 0; index < count; index++) {
      const delayMs = this.#dice.between(0, lengthMs)
      const kind = this.#dice.weighted(FAULTS)
      this.#world.timeline.after(delayMs, null, `storm.${kind}`, () => this.#strike(kind))
    }
  }

  /** Everything is mended and every node runs. */
  calm(): void {
    this.#over = true
    for (const end of [...this.#ending]) end()
    for (const node of this.#world.nodes) node.start()
  }

  #strike(kind: Fault): void {
    const dice = this.#dice
    const { members } = this.#scenario
    const lastsMs = dice.chance(0.5) ? dice.between(200, 2500) : dice.between(2500, 9000)
    const node = dice.pick(members)
    const other = dice.pick(members)
    this.counts[kind] = (this.counts[kind] ?? 0) + 1
    this.#world.trace(`storm: ${kind} ${node.label} ${other.label} ${lastsMs.toFixed(0)} ms`)
    switch (kind) {
      case 'cut':
        return this.#cut([[node, other]], true, lastsMs)
      case 'oneWay':
        return this.#cut([[node, other]], false, lastsMs)
      case 'isolate':
        return this.#cut(
          members.map((one) => [node, one]),
          true,
          lastsMs,
        )
      case 'degrade':
        return this.#degrade(node.machine, other.machine, lastsMs)
      case 'reset':
        return this.#reset(node)
      case 'kill':
        node.kill()
        return this.#returns(node, lastsMs)
      case 'power':
        node.powerCut()
        for (const one of members) if (one.machine === node.machine) this.#returns(one, lastsMs)
        return
      case 'stop':
        node.stop()
        return this.#returns(node, lastsMs + 2100)
      case 'move':
        return this.#move(node)
      case 'clock':
        return this.#jump(node)
      case 'blackout':
        return this.#blackout()
      case 'oldDisk':
        return this.#oldDisk(node, lastsMs)
      case 'ambush':
        return this.#ambush(node, lastsMs)
      case 'full':
        return this.#full(node, lastsMs)
      case 'stranger':
        return strangerKnocks(this.#world, node, dice)
    }
  }

  #cut(pairs: readonly (readonly [SimNode, SimNode])[], bothWays: boolean, lastsMs: number): void {
    for (const [a, b] of pairs) {
      if (a.machine === b.machine) continue
      const { network, history } = this.#world
      const end = history.fault(a.machine.index, b.machine.index, this.#world.now)
      network.cut(a.machine, b.machine)
      if (bothWays) network.cut(b.machine, a.machine)
      this.#lasts(lastsMs, () => {
        network.mend(a.machine, b.machine)
        if (bothWays) network.mend(b.machine, a.machine)
        // What was held back comes late: nothing is promised of these two until it has come.
        end(this.#world.now + 6000)
      })
    }
  }

  #degrade(a: Machine, b: Machine, lastsMs: number): void {
    if (a === b) return
    const { network, history } = this.#world
    const bad: Quality = {
      delayMs: this.#dice.between(1, 300),
      jitterMs: this.#dice.between(0, 500),
      loss: this.#dice.pick([0, 0.05, 0.3]),
      duplicate: this.#dice.pick([0, 0.2]),
    }
    const end = history.fault(a.index, b.index, this.#world.now)
    const paths = [network.path(a, b), network.path(b, a)]
    for (const path of paths) path.quality = bad
    this.#lasts(lastsMs, () => {
      for (const path of paths) path.quality = this.#scenario.quality
      end(this.#world.now + 6000)
    })
  }

  #reset(node: SimNode): void {
    const streams = node.run?.streams.streams() ?? []
    if (streams.length === 0) return
    const stream = this.#dice.pick(streams)
    const { peer } = stream
    stream.reset('reset by a middlebox')
    peer.reset('reset by a middlebox')
  }

  #move(node: SimNode): void {
    const { history, network } = this.#world
    node.move()
    for (const machine of network.machines) {
      if (machine === node.machine) continue
      history.fault(node.machine.index, machine.index, this.#world.now)(this.#world.now + 3000)
    }
  }

  #jump(node: SimNode): void {
    const byMs = this.#dice.pick([-1.79e12, -DAY_MS, -3_600_000, -2000, 2000, 3_600_000, DAY_MS + 60_000, 1e11, 2.3e12])
    this.#world.trace(`storm: the clock of ${node.label} jumps by ${byMs} ms`)
    node.wallOffsetMs += byMs
    this.#world.history.clockWas(node.wallOffsetMs)
    node.run?.clock.jumpWall(byMs)
  }

  /** The whole building has no power; the boxes come back in whatever order. */
  #blackout(): void {
    const dice = this.#dice
    for (const node of this.#scenario.members) node.powerCut()
    for (const node of dice.shuffle(this.#scenario.members)) this.#returns(node, dice.between(500, 6000))
  }

  /** Somebody puts back a copy of the disk that was made a while ago. */
  #oldDisk(node: SimNode, afterMs: number): void {
    const { history } = this.#world
    const putBack = node.disk.copied()
    const copiedAt = this.#world.now
    // With the end of the storm at the latest: a box that dies after it is no failure of those that must be at rest.
    this.#lasts(afterMs, () => {
      if (!node.up) return
      history.putBack(node.index, copiedAt, this.#world.now)
      node.powerCut()
      putBack()
      this.#world.trace(`storm: the disk of ${node.label} is as it was at ${copiedAt.toFixed(0)} ms`)
      for (const one of this.#scenario.members) if (one.machine === node.machine) this.#returns(one, 1000)
    })
  }

  /** It dies just when something was promised to somebody, or is about to be. */
  #ambush(node: SimNode, lastsMs: number): void {
    const dice = this.#dice
    const { ambushes } = this.#world.ledger
    const waitsFor = dice.pick(['back', 'acknowledged'] as const)
    const afterMs = dice.pick([0, dice.between(0, 5), dice.between(0, 60)])
    const ambush = (what: 'back' | 'acknowledged', where: number): void => {
      if (what !== waitsFor || where !== node.index || !ambushes.delete(ambush)) return
      const { run } = node
      this.#world.timeline.after(afterMs, null, 'storm.ambushed', () => {
        // What was to die after the storm lives.
        if (node.run !== run || this.#over) return
        if (dice.chance(0.5)) node.kill()
        else node.powerCut()
        for (const one of this.#scenario.members) if (one.machine === node.machine) this.#returns(one, lastsMs)
      })
    }
    ambushes.add(ambush)
    this.#ending.add(() => ambushes.delete(ambush))
  }

  #full(node: SimNode, lastsMs: number): void {
    const { history } = this.#world
    const end = history.diskFull(node.index, this.#world.now)
    node.disk.store.full = true
    this.#lasts(lastsMs, () => {
      node.disk.store.full = false
      end(this.#world.now)
    })
  }

  #returns(node: SimNode, afterMs: number): void {
    this.#world.timeline.after(afterMs, null, 'storm.return', () => node.start())
  }

  #lasts(lastsMs: number, end: () => void): void {
    const once = (): void => {
      if (this.#ending.delete(once)) end()
    }
    this.#ending.add(once)
    this.#world.timeline.after(lastsMs, null, 'storm.end', once)
  }
}
