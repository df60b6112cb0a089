// Topics -> a value each, asked with filters: the retained messages.

import { childAt, type LevelNode, LevelTree, levelAt } from './levels.ts'

export type TopicVisitor<V> = (value: V, topic: string) => void

interface Entry<V> {
  readonly topic: string
  value: V
}

export class TopicTree<V> {
  readonly #tree = new LevelTree<Entry<V>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get(topic: string): V | undefined {
    return this.#tree.get(topic)?.value
  }

  /** Returns the value it replaces, if any. */
  set(topic: string, value: V): V | undefined {
    const entry = this.#tree.get(topic)
    if (entry !== null) {
      const previous = entry.value
      entry.value = value
      return previous
    }
    this.#tree.ensure(topic).item = { topic, value }
    this.#size++
    return undefined
  }

  delete(topic: string): V | undefined {
    const entry = this.#tree.delete(topic)
    if (entry === null) return undefined
    this.#size--
    return entry.value
  }

  /** Calls `visit` for every topic that `filter` matches. The tree must not be changed meanwhile. */
  match(filter: string, visit: TopicVisitor<V>): void {
    walk(this.#tree.root, filter, 0, visit)
  }

  forEach(visit: TopicVisitor<V>): void {
    everything(this.#tree.root, visit)
  }

  *[Symbol.iterator](): IterableIterator<[topic: string, value: V]> {
    for (const entry of this.#tree.items()) yield [entry.topic, entry.value]
  }

  clear(): void {
    this.#tree.clear()
    this.#size = 0
  }
}

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23
const DOLLAR = 0x24

/** The children of `node` that the levels of `filter` from `at` on match; `at` is past the end when it is used up. */
function walk<V>(node: LevelNode<Entry<V>>, filter: string, at: number, visit: TopicVisitor<V>): void {
  if (at > filter.length) return
  const first = filter.charCodeAt(at)
  if (first !== PLUS && first !== HASH) {
    const child = childAt(node, levelAt(filter, at))
    if (child !== null) enter(child, filter, at, visit)
    return
  }
  if (node.only !== null) {
    if (at > 0 || node.only.run.charCodeAt(0) !== DOLLAR) enter(node.only, filter, at, visit)
  } else if (node.children !== null) {
    for (const child of node.children.values()) {
      // [MQTT-4.7.2-1] A filter that begins with a wildcard does not match topics that begin with `$`.
      if (at > 0 || child.run.charCodeAt(0) !== DOLLAR) enter(child, filter, at, visit)
    }
  }
}

/** Matches the run of `node`, then the node itself or what lies below it. */
function enter<V>(node: LevelNode<Entry<V>>, filter: string, at: number, visit: TopicVisitor<V>): void {
  const { run } = node
  let index = 0
  let next = at
  for (;;) {
    if (next > filter.length) return
    const first = filter.charCodeAt(next)
    if (first === HASH) return everything(node, visit)
    if (first === PLUS) {
      const slash = run.indexOf('/', index)
      index = slash < 0 ? run.length : slash
      next++
    } else {
      while (index < run.length) {
        const code = run.charCodeAt(index)
        if (code === SLASH) break
        if (filter.charCodeAt(next) !== code) return
        index++
        next++
      }
      if (next < filter.length && filter.charCodeAt(next) !== SLASH) return
    }
    next++
    if (index === run.length) break
    index++
  }
  // `#` also stands for no level at all: `a/#` matches `a`.
  if (filter.charCodeAt(next) === HASH) return everything(node, visit)
  if (next > filter.length && node.item !== null) visit(node.item.value, node.item.topic)
  walk(node, filter, next, visit)
}

function everything<V>(node: LevelNode<Entry<V>>, visit: TopicVisitor<V>): void {
  if (node.item !== null) visit(node.item.value, node.item.topic)
  if (node.only !== null) everything(node.only, visit)
  else if (node.children !== null) for (const child of node.children.values()) everything(child, visit)
}
