// Watches what the nodes say of each other while the world goes on: who is linked, who is dead in time, and nobody who
// does not belong.

import type { MemberStatus } from '../../../src/cluster/status.ts'
import { LATE_MS } from '../network.ts'
import type { Scenario } from '../scenario.ts'
import type { SimNode, World } from '../world.ts'

type Rows = readonly MemberStatus[]

/** Members that have links with both of a pair, since when, in which runs of the two, and what one then said of the other. */
interface Between {
  readonly by: readonly SimNode[]
  readonly runs: string
  readonly sinceMs: number
  readonly state: MemberStatus['state'] | undefined
}

const EVERY_MS = 250
/** The state is looked at every so often, and heartbeats fall where they fall. */
const SLACK_MS = 1000

export class MemberWatch {
  readonly #world: World
  readonly #scenario: Scenario
  readonly #said = new Set<string>()
  readonly #known = new Map<string, number>()
  readonly #bridged = new Map<string, number>()
  readonly #between = new Map<string, Between>()
  /** Times that a silence was long enough to be judged. */
  judged = 0

  constructor(world: World, scenario: Scenario) {
    this.#world = world
    this.#scenario = scenario
  }

  start(): void {
    this.#world.timeline.after(EVERY_MS, null, 'watch', () => {
      this.look()
      this.start()
    })
  }

  look(): void {
    const { members, guests, foreign, waiting } = this.#scenario
    const statuses = new Map<SimNode, Rows>()
    for (const node of this.#world.nodes) if (node.run?.ready === true) statuses.set(node, node.members())
    for (const [index, a] of members.entries()) {
      for (const b of members.slice(index + 1)) {
        const linked = says(statuses.get(a), b)?.linked === true && says(statuses.get(b), a)?.linked === true
        const alive = says(statuses.get(a), b)?.state === 'alive' && says(statuses.get(b), a)?.state === 'alive'
        this.#world.history.sample(a.index, b.index, linked && alive, this.#world.now)
        this.#dead(a, b, statuses.get(a))
        this.#dead(b, a, statuses.get(b))
        this.#alive(a, b, statuses)
        this.#alive(b, a, statuses)
      }
    }
    for (const [node, rows] of statuses) {
      const ours = members.includes(node) || guests.some((guest) => guest.node === node)
      const expected = ours ? members : [node]
      for (const member of rows) {
        const dead = member.state === 'dead' ? members.find((one) => one.id === member.id) : undefined
        if (dead !== undefined && node.routesOf(dead).length > 0) {
          this.#once(`${node.label} calls ${dead.label} dead, and keeps its routes`)
        }
        const there = members.find((one) => one.id === member.id)
        if (there !== undefined && there.machine !== node.machine && member.address.startsWith('127.')) {
          this.#once(`${node.label} believes that ${there.label} of another machine is at ${member.address}`)
        }
        const isOne = expected.some((one) => one.id === member.id || one.id === '')
        if (!isOne && !(ours && guests.some((guest) => guest.isCalled(member.id)))) {
          this.#once(`${node.label} has a member that does not belong to its cluster: ${member.id} ${member.name}`)
        }
      }
      if (node === waiting && rows.some((member) => !member.self)) {
        this.#once(`${node.label} has no certificate, and members`)
      }
      if (node === foreign && rows.some((member) => member.linked && !member.self)) {
        this.#once(`${node.label} of another cluster is linked`)
      }
    }
  }

  /**
   * When nothing of b has reached a for long enough, neither straight nor through somebody else, a says that b is dead,
   * and is not linked to it.
   */
  #dead(a: SimNode, b: SimNode, rows: Rows | undefined): void {
    if (rows === undefined) return
    const { network, now } = this.#world
    const path = network.path(b.machine, a.machine)
    const causes = [b.up ? now : b.sinceMs, path.cut && a.machine !== b.machine ? path.cutAt : now]
    const since = Math.max(this.#knownSince(a, b, rows), Math.min(...causes), this.#bridgedUntil(a, b))
    const { deadAfterMs, heartbeatMs } = this.#scenario
    if (now - since < deadAfterMs + heartbeatMs + SLACK_MS) return
    this.judged++
    const member = says(rows, b)
    if (member === undefined) return
    if (member.linked || (member.state !== 'dead' && member.state !== 'left')) {
      const silence = ((now - since) / 1000).toFixed(1)
      this.#once(`${a.label} has heard nothing of ${b.label} for ${silence} s and calls it ${member.state}`)
    }
  }

  /** While a third box has had a link with both for long, neither begins to call the other dead. */
  #alive(a: SimNode, b: SimNode, statuses: ReadonlyMap<SimNode, Rows>): void {
    const key = `${a.index} ${b.index}`
    const linked = (one: SimNode, other: SimNode) => {
      const row = says(statuses.get(one), other)
      return row?.linked === true && row.state === 'alive' && row.via === undefined
    }
    const between = (by: SimNode) =>
      by !== a && by !== b && linked(by, a) && linked(a, by) && linked(by, b) && linked(b, by)
    const { now } = this.#world
    const by = statuses.has(a) && statuses.has(b) ? this.#scenario.members.filter(between) : []
    const runs = `${a.runs} ${b.runs}`
    const before = this.#between.get(key)
    const stays = before !== undefined && before.runs === runs && before.by.some((one) => by.includes(one))
    const sinceMs = stays ? before.sinceMs : now
    const state = says(statuses.get(a), b)?.state
    const longMs = this.#scenario.deadAfterMs + LATE_MS + SLACK_MS
    if (stays && state === 'dead' && before.state !== 'dead' && now - sinceMs > longMs) {
      this.#once(`${a.label} calls ${b.label} dead, which others are linked with`)
    }
    this.#between.set(key, { by: stays ? before.by.filter((one) => by.includes(one)) : by, runs, sinceMs, state })
  }

  /** When there was last another member with open ways to both: it may carry their link, or know that b lives. */
  #bridgedUntil(a: SimNode, b: SimNode): number {
    const { network, now } = this.#world
    const open = (one: SimNode, other: SimNode) =>
      !network.path(one.machine, other.machine).cut && !network.path(other.machine, one.machine).cut
    const { members, guests } = this.#scenario
    const others = [...members, ...guests.map((guest) => guest.node)]
    const bridge = others.some((by) => by !== a && by !== b && by.up && open(by, a) && open(by, b))
    const key = `${a.index} ${b.index}`
    if (bridge && b.up) this.#bridged.set(key, now)
    return this.#bridged.get(key) ?? 0
  }

  /** When this run of a was first seen to know b: it cannot miss who it has never heard of. */
  #knownSince(a: SimNode, b: SimNode, rows: Rows): number {
    const key = `${a.index}.${a.runs} ${b.index}`
    let since = this.#known.get(key)
    if (since === undefined) {
      if (says(rows, b) === undefined) return this.#world.now
      since = this.#world.now
      this.#known.set(key, since)
    }
    return since
  }

  #once(problem: string): void {
    const name = problem.replace(/[0-9.]+ s/, '')
    if (this.#said.has(name)) return
    this.#said.add(name)
    this.#world.problem(problem)
  }
}

/** What one node says of another. */
export function says(rows: Rows | undefined, of: SimNode): MemberStatus | undefined {
  return of.id === '' ? undefined : rows?.find((member) => member.id === of.id)
}
