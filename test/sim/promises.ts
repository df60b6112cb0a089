// What the simulator demands of the nodes, promise by promise (DESIGN 4). A checker is written before its feature; the
// feature switches it on here, in the commit that lands it, and `--promise NAME` tries it before.

export const PROMISES = {
  disk: 'what a node with a disk has acknowledged outlives it, for its own sessions and retained messages',
  once: 'a message comes once, also where links broke, boxes died and others stood in for them',
  wills: 'a client that has said goodbye leaves no will behind, also where its box or a link dies just then',
  lastwords:
    'the will of a client whose box is gone comes in its time, once, not while that is there, and does not stay',
  connack: 'CONNACK comes within 3 s, whatever is broken',
  prompt: 'an acknowledgement waits for nobody longer than two heartbeats',
  delivery: 'what any node has acknowledged reaches the persistent sessions of all others, however often links break',
  sessions: 'a session is where its client connects, and lives on while its node is dead',
  single: 'a client id has one connection in the cluster',
  order: 'QoS 1 and 2 keep their order from one connection of a publisher to its next, and when a subscriber moves',
  trust: 'who comes is in, who left or was removed is out, and all stand on one CA with its key on two boxes',
  clocks: 'a box whose clock is wrong takes the time of the cluster',
  retained:
    'retained messages are the same everywhere, the latest write of each topic, and deletions do not rise again',
  groups: 'a message for a share group comes to one of its clients, and to another where that goes away first',
  accounts: 'accounts and rules are the same everywhere, the latest write of each',
} as const

export type PromiseName = keyof typeof PROMISES

/** Those that hold. */
export const KEPT: readonly PromiseName[] = [
  'disk',
  'connack',
  'prompt',
  'once',
  'wills',
  'trust',
  'clocks',
  'retained',
  'accounts',
]

export class Promises {
  readonly #kept: ReadonlySet<PromiseName>

  constructor(more: readonly PromiseName[] = []) {
    this.#kept = new Set([...KEPT, ...more])
  }

  has(name: PromiseName): boolean {
    return this.#kept.has(name)
  }
}

export const isPromise = (name: string): name is PromiseName => Object.hasOwn(PROMISES, name)
