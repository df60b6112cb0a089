// A story of trust for each seed: boxes of one cluster die and return, are cut off, have clocks that jump to 1970 and
// back, while the CA is replaced, its key sealed and a box removed. Then it calms down, and all must agree: one CA, its
// key on two boxes, every pair linked, and the removed one with nobody, ever.

import { HostError } from '../../src/base/errors.ts'
import { compose } from '../../src/compose.ts'
import { LockedOut } from './lockedout.ts'
import type { Dice } from './random.ts'
import { type Build, type SimNode, World } from './world.ts'

const DEADLINE_MS = 90_000
/** With people who help, one box after the other. */
const HELPED_MS = 300_000
const AWAY_MS = 75_000
const STEP_MS = 250

const EVENTS = { rotate: 20, seal: 8, remove: 14, kill: 20, power: 10, cut: 16, clock: 20 } as const

export interface TrustFacts {
  readonly problems: readonly string[]
  readonly rotations: number
  readonly removals: number
  /** Boxes that came back by a code, because nothing else led to the CA in use. */
  readonly helped: number
  readonly events: Readonly<Record<string, number>>
}

/** `compromised`: half of the rotations are of a CA whose key is in wrong hands. */
export function tellTrust(seed: number, build: Build = compose, compromised = false): TrustFacts {
  return new TrustStory(seed, build, compromised).tell()
}

class TrustStory {
  readonly #world: World
  readonly #dice: Dice
  readonly #compromised: boolean
  readonly #nodes: SimNode[] = []
  #removed: { readonly node: SimNode; readonly id: string } | null = null
  #rotations = 0
  readonly #counts: Record<string, number> = {}
  readonly #cuts = new Set<() => void>()
  /** Whether whoever asked for the removal was told that it is done. */
  #confirmed = false
  readonly #said = new Set<string>()
  /** When every member knew of the removal: the run of the removed box then, and the links that it had had. */
  #known: { readonly run: number; readonly ups: number } | null = null

  constructor(seed: number, build: Build, compromised: boolean) {
    this.#compromised = compromised
    this.#world = new World(`trust ${seed}`, build)
    this.#dice = this.#world.dice.fork('story')
  }

  tell(): TrustFacts {
    const world = this.#world
    const dice = this.#dice
    const count = dice.whole(3, 4)
    const { bundle } = world.authority('main')
    for (let index = 0; index < count; index++) {
      const cluster = { port: 4883 + index, heartbeatMs: 1000, deadAfterMs: 5000 }
      this.#nodes.push(world.addNode({ machine: world.network.addMachine(0), mqttPort: 1883 + index, cluster, bundle }))
    }
    for (const node of this.#nodes) world.timeline.after(dice.between(0, 3000), null, 'start', () => node.start())
    world.run(15_000)
    const stormMs = dice.between(20_000, 60_000)
    for (let left = dice.whole(4, 14); left > 0; left--) {
      const kind = dice.weighted(EVENTS)
      world.timeline.after(dice.between(0, stormMs), null, `trust.${kind}`, () => this.#happens(kind))
    }
    this.#run(stormMs + (this.#compromised ? AWAY_MS : 10_000))
    for (const mend of [...this.#cuts]) mend()
    for (const node of this.#nodes) node.start()
    const help = new LockedOut(world)
    const deadline = world.now + (this.#compromised ? HELPED_MS : DEADLINE_MS)
    let wrong = this.#wrong()
    while (wrong.length > 0 && world.now < deadline) {
      this.#run(STEP_MS)
      if (this.#compromised) help.look(this.#members())
      wrong = this.#wrong()
    }
    for (const what of wrong) world.problem(what)
    return {
      problems: world.problems,
      rotations: this.#rotations,
      removals: this.#removed === null ? 0 : 1,
      helped: help.count,
      events: this.#counts,
    }
  }

  #run(ms: number): void {
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.#world.run(Math.min(STEP_MS, left))
      this.#watch()
    }
  }

  #happens(kind: keyof typeof EVENTS): void {
    const world = this.#world
    const dice = this.#dice
    const node = dice.pick(this.#nodes)
    const other = dice.pick(this.#nodes)
    const lastsMs = dice.between(500, 15_000)
    this.#counts[kind] = (this.#counts[kind] ?? 0) + 1
    world.trace(`trust story: ${kind} ${node.label} ${other.label}`)
    switch (kind) {
      case 'rotate':
        if (!this.#compromised || dice.chance(0.5)) return this.#rotate(node, false)
        // Somebody may be away for longer than the CA before is believed.
        if (node !== other && dice.chance(0.6)) {
          other.kill()
          world.timeline.after(AWAY_MS + lastsMs, null, 'trust.return', () => other.start())
        }
        return this.#rotate(node, true)
      case 'seal':
        return this.#ask(node, (trust) => trust.seal(() => {}))
      case 'remove':
        if (this.#removed !== null || node === other || !node.up || other.id === '') return
        // Half of them are off when they are removed, and learn of it by being refused.
        if (dice.chance(0.5)) other.kill()
        world.timeline.after(lastsMs, null, 'trust.return', () => other.start())
        this.#removed = { node: other, id: other.id }
        return this.#ask(node, (trust) =>
          trust.remove(other.id, true, (result) => {
            if (!(result instanceof HostError)) this.#confirmed = true
          }),
        )
      case 'kill':
      case 'power':
        if (kind === 'kill') node.kill()
        else node.powerCut()
        world.timeline.after(lastsMs, null, 'trust.return', () => node.start())
        return
      case 'cut':
        return this.#cut(node, other, lastsMs)
      case 'clock': {
        const byMs = dice.pick([-1.79e12, -86_400_000, -3_600_000, 3_600_000, 86_400_000])
        node.wallOffsetMs += byMs
        node.run?.clock.jumpWall(byMs)
      }
    }
  }

  #rotate(node: SimNode, compromised: boolean): void {
    this.#ask(node, (trust) =>
      trust.rotate(compromised, (result) => {
        if (!(result instanceof HostError)) this.#rotations++
      }),
    )
  }

  #ask(node: SimNode, ask: (trust: Exclude<ReturnType<TrustNode['operator']['trust']>, HostError>) => void): void {
    if (node.run?.ready !== true) return
    this.#world.timeline.after(0, node.run.clock, 'trust.command', () => {
      const trust = node.run?.node.operator.trust()
      if (trust !== undefined && !(trust instanceof HostError)) ask(trust)
    })
  }

  #cut(a: SimNode, b: SimNode, lastsMs: number): void {
    if (a === b) return
    const { network } = this.#world
    network.cut(a.machine, b.machine)
    network.cut(b.machine, a.machine)
    const mend = (): void => {
      if (!this.#cuts.delete(mend)) return
      network.mend(a.machine, b.machine)
      network.mend(b.machine, a.machine)
    }
    this.#cuts.add(mend)
    this.#world.timeline.after(lastsMs, null, 'trust.mend', mend)
  }

  /** Once every member knows that a box was removed it is linked with nobody, not even for a moment. */
  #watch(): void {
    const removed = this.#removed
    if (removed === null) return
    const { run } = removed.node
    const ups = run?.ready === true ? (run.node.status().counters['link.up'] ?? 0) : 0
    if (this.#known === null) {
      const members = this.#nodes.filter((node) => node !== removed.node)
      const all = members.every((node) => {
        const trust = node.run?.ready === true ? node.run.node.operator.trust() : null
        return trust !== null && !(trust instanceof HostError) && trust.removed(removed.id as never)
      })
      if (all) this.#known = { run: run?.number ?? -1, ups }
      return
    }
    if (run === null) return
    const before = run.number === this.#known.run ? this.#known.ups : 0
    if (ups > before) this.#once(`${removed.node.label} was removed, and had a link again`)
  }

  #once(problem: string): void {
    if (this.#said.has(problem)) return
    this.#said.add(problem)
    this.#world.problem(problem)
  }

  #members(): readonly SimNode[] {
    const gone = this.#isRemoved() ? this.#removed!.node : null
    return this.#nodes.filter((node) => node !== gone)
  }

  /** What is still missing for "all agree". */
  #wrong(): string[] {
    const wrong: string[] = []
    const gone = this.#isRemoved() ? this.#removed!.node : null
    const members = this.#members()
    const papers = members.map((node) => {
      const trust = node.run?.ready === true ? node.run.node.operator.trust() : null
      return trust === null || trust instanceof HostError ? null : trust.custody.papers
    })
    for (const [index, node] of members.entries()) {
      if (papers[index] === null) wrong.push(`${node.label} is no member`)
      else if (papers[index]!.authority.fingerprint !== papers[0]?.authority.fingerprint) {
        wrong.push(
          `${node.label} stands on another CA (replaced ${papers[index]!.generation} times) than ${members[0]!.label}`,
        )
      }
      const rows = node.run?.ready === true ? node.status().cluster.members : []
      for (const other of members) {
        if (other === node || rows.find(({ id }) => id === idOf(other))?.linked === true) continue
        wrong.push(`${node.label} is not linked with ${other.label}`)
      }
    }
    const holders = papers.filter((each) => (each?.authority.privateKey ?? null) !== null).length
    if (holders < 2) wrong.push(`the key of the CA is on ${holders} boxes`)
    if (gone?.run?.ready === true && gone.status().cluster.members.some(({ self, linked }) => !self && linked)) {
      wrong.push(`${gone.label} was removed and has links`)
    }
    return wrong
  }

  /** A box that died before it had written or told that another is removed has removed nobody; one that has said so has. */
  #isRemoved(): boolean {
    const removed = this.#removed
    if (removed === null || this.#confirmed) return removed !== null
    return this.#nodes.some((node) => {
      const trust = node.run?.ready === true ? node.run.node.operator.trust() : null
      return trust !== null && !(trust instanceof HostError) && trust.removed(removed.id as never)
    })
  }
}

/** Who has left and come back has another one. */
const idOf = (node: SimNode): string => (node.run?.ready === true ? node.status().node.id : node.id)

type TrustNode = NonNullable<SimNode['run']>['node']
