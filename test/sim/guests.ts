// Boxes that come to the cluster while the story goes on, each in one way of joining, and go again: some leave, some are
// removed. They have no clients of their own; members keep copies of sessions on them like on anybody.

import { HostError } from '../../src/base/errors.ts'
import type { NodeId } from '../../src/base/ids.ts'
import type { TrustLife } from '../../src/cluster/trust/trustlife.ts'
import type { SimNode, World } from './world.ts'

export type Way = 'bundle' | 'code' | 'approval' | 'password'

export const WAYS = { bundle: 20, code: 30, approval: 25, password: 25 } as const satisfies Record<Way, number>

export const PASSWORD = 'correct horse battery staple'

/** Where a guest stands, as people see it. */
export type Place = 'coming' | 'member' | 'going' | 'left' | 'removed'

const LOOK_MS = 500
/** People try again after a refusal. */
const AGAIN_MS = 3000
const TTL_MS = 3_600_000

/** What people may ask of trust at this box now; null: it does not run, or is no member. */
export function trustOf(node: SimNode): TrustLife | null {
  const trust = node.run?.ready === true ? node.run.node.operator.trust() : null
  return trust === null || trust instanceof HostError ? null : trust
}

export class Guest {
  readonly node: SimNode
  readonly way: Way
  readonly #world: World
  readonly #hosts: readonly SimNode[]
  readonly #ids = new Set<string>()
  place: Place = 'coming'
  /** The id under which it was removed. */
  removedId: NodeId | null = null
  /** The id that it had as a member, before it left. */
  leftId: NodeId | null = null
  #cluster: string | null = null
  #code: string | null = null
  #askedRun = -1
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(world: World, node: SimNode, way: Way, hosts: readonly SimNode[]) {
    this.#world = world
    this.node = node
    this.way = way
    this.#hosts = hosts
  }

  /** It is switched on, and people see to it that it gets in. */
  arrive(): void {
    this.node.start()
    this.#look()
  }

  /** Whether it has, or had, this id. */
  isCalled(id: string): boolean {
    if (this.node.id !== '') this.#ids.add(this.node.id)
    if (this.node.run?.ready === true) this.#ids.add(this.node.status().node.id)
    return this.#ids.has(id)
  }

  /** Whether this is the cluster that it came to. */
  cameTo(cluster: string | null): boolean {
    return cluster !== null && cluster === this.#cluster
  }

  /** Whether the cluster is to have it. */
  get stays(): boolean {
    return this.place === 'member'
  }

  #look(): void {
    this.#world.timeline.after(LOOK_MS, null, 'guest.look', () => this.#look())
    const { run } = this.node
    if (run?.ready !== true) return
    const { cluster } = run.node.status()
    if (this.place !== 'coming') return
    const host = this.#host()
    if (host !== null && cluster.id === host.status().cluster.id) {
      this.place = 'member'
      this.#cluster = cluster.id
      this.#world.trace(`guest: ${this.node.label} has come by ${this.way}`)
      return
    }
    if (host === null || this.way === 'bundle' || this.way === 'password') return
    if (this.way === 'approval' && this.#approve()) return
    if (this.#askedRun === run.number && this.#world.now - this.#askedAt < AGAIN_MS) return
    this.#askedRun = run.number
    this.#askedAt = this.#world.now
    this.#ask(host)
  }

  /** A member that can be told something. */
  #host(): SimNode | null {
    return this.#hosts.find((host) => (trustOf(host)?.custody.papers ?? null) !== null) ?? null
  }

  #ask(host: SimNode): void {
    if (this.way === 'code' && this.#code === null) {
      this.#world.timeline.after(0, host.run!.clock, 'guest.invite', () => {
        const made = host.run?.node.operator.invite({ ttlMs: TTL_MS, uses: 1, issuer: false })
        if (made !== undefined && !(made instanceof HostError)) this.#code = made.code
      })
      this.#askedAt = Number.NEGATIVE_INFINITY
      return
    }
    const to = { address: host.machine.address, port: host.status().cluster.port ?? 0 }
    const { run } = this.node
    this.#world.timeline.after(0, run!.clock, 'guest.join', () => {
      run!.node.operator.join({ to, code: this.#code, replaces: null }, ({ linked, words }) => {
        this.#world.trace(`guest: ${this.node.label} asked ${host.label}: ${words}`)
        // The invite may have died with the box that made it, or have run out by a clock that jumped: another is made.
        if (!linked) this.#code = null
      })
    })
  }

  /** People look at both boxes, and type where they see the same words; false: they see them nowhere. */
  #approve(): boolean {
    const words = this.node.status().cluster.asking?.words
    if (words === undefined) return false
    for (const host of this.#hosts) {
      if (host.run?.ready !== true) continue
      const row = host.status().cluster.waiting.find((each) => each.words === words && this.isCalled(each.id))
      if (row === undefined) continue
      const { run } = host
      this.#world.timeline.after(0, run.clock, 'guest.approve', () => {
        run.node.operator.approve(row.id, (result) => {
          this.#world.trace(`guest: approved at ${host.label}: ${result instanceof HostError ? result.message : 'in'}`)
        })
      })
      return true
    }
    return false
  }
}
