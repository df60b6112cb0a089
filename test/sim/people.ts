// People who change accounts, at whichever box they happen to sit, while storms come and go: as the commands
// `edge-mqtt user ...` do, each change acknowledged when it is on the disk of its box.

import type { Account } from '../../src/broker/accountfile.ts'
import type { Dice } from './random.ts'
import type { SimNode, World } from './world.ts'

const NAMES = ['ada', 'bob', 'eve'] as const

export interface AccountWrite {
  readonly name: string
  /** A group of its own, by which it is known again; null: the account was removed. */
  readonly group: string | null
  readonly node: number
  readonly run: number
  readonly at: number
  /** When it was said to be done; null: never. */
  ackedAt: number | null
}

export class People {
  readonly #world: World
  readonly #nodes: readonly SimNode[]
  readonly #dice: Dice
  readonly writes: AccountWrite[] = []

  constructor(world: World, nodes: readonly SimNode[], dice: Dice) {
    this.#world = world
    this.#nodes = nodes
    this.#dice = dice
  }

  /** Plans `count` changes over the next `lengthMs`. */
  busy(count: number, lengthMs: number): void {
    for (let index = 0; index < count; index++) {
      this.#world.timeline.after(this.#dice.between(0, lengthMs), null, 'people.sit', () => this.#sitDown())
    }
  }

  #sitDown(): void {
    const node = this.#dice.pick(this.#nodes)
    const { run } = node
    if (run?.ready !== true) return
    const name = this.#dice.pick(NAMES)
    const removes = this.#dice.chance(0.3)
    this.#world.timeline.after(0, run.clock, 'people.write', () => {
      const { accounts } = run.node
      if (removes && accounts.account(name) === undefined) return
      const group = removes ? null : `w${this.writes.length}`
      const at = this.#world.now
      const write: AccountWrite = { name, group, node: node.index, run: run.number, at, ackedAt: null }
      this.writes.push(write)
      this.#world.trace(`people ${group === null ? 'remove' : `put into ${group}`} ${name} at ${node.label}`)
      const done = (error: Error | null): void => {
        if (error === null) write.ackedAt = this.#world.now
      }
      if (group === null) accounts.removeAccount(name, done)
      else accounts.setAccount(accountOf(name, group), done)
    })
  }
}

const accountOf = (name: string, group: string): Account => ({
  is: 'account',
  name,
  verifier: { kind: 'sha256', hash: '' },
  scram: null,
  groups: [group],
})

/** What a node has at rest: the group of each account. */
export const accountsOf = ({ run }: SimNode): ReadonlyMap<string, string> =>
  new Map(run!.node.accounts.accounts().map(({ name, groups }) => [name, groups[0] ?? '']))
