// Filters -> who wants them. Filters without a wildcard, which are most, are found by the whole topic; the others sit
// in a tree in which `+` and `#` are levels like any other, until it is walked with a topic.
//
// Each filter holds values by key (a client's subscription, a member's route). The first value of a filter lives in
// the holder itself; a map is made for the second.

import { childAt, type LevelNode, LevelTree, levelAt } from './levels.ts'

export type FilterVisitor<V> = (value: V, key: string, filter: string) => void

class Holder<V> {
  readonly filter: string
  key: string
  value: V
  /** All values by key, once there was more than one. */
  many: Map<string, V> | null = null

  constructor(filter: string, key: string, value: V) {
    this.filter = filter
    this.key = key
    this.value = value
  }

  get(key: string): V | undefined {
    if (this.many !== null) return this.many.get(key)
    return this.key === key ? this.value : undefined
  }

  set(key: string, value: V): V | undefined {
    const previous = this.get(key)
    if (this.many !== null) {
      this.many.set(key, value)
    } else if (this.key === key) {
      this.value = value
    } else {
      this.many = new Map([
        [this.key, this.value],
        [key, value],
      ])
    }
    return previous
  }

  each(visit: FilterVisitor<V>): void {
    if (this.many === null) visit(this.value, this.key, this.filter)
    else for (const [key, value] of this.many) visit(value, key, this.filter)
  }
}

/** What the walk tells of a filter that matches; true ends the walk. */
type Found<V> = (holder: Holder<V>) => boolean

export class FilterTrie<V> {
  readonly #exact = new Map<string, Holder<V>>()
  readonly #wild = new LevelTree<Holder<V>>()
  #size = 0
  #wildFilters = 0
  #visit: FilterVisitor<V> = nobody
  readonly #report: Found<V> = (holder) => {
    holder.each(this.#visit)
    return false
  }

  /** Pairs of a filter and a key. */
  get size(): number {
    return this.#size
  }

  /** Different filters. */
  get filterCount(): number {
    return this.#exact.size + this.#wildFilters
  }

  /** Sets the value of a key of a valid filter (without `$share/group/`); returns the value it replaces, if any. */
  insert(filter: string, key: string, value: V): V | undefined {
    const holder = this.#holder(filter)
    if (holder === null) {
      this.#add(new Holder(filter, key, value))
      this.#size++
      return undefined
    }
    const keys = holder.many?.size ?? 1
    const previous = holder.set(key, value)
    this.#size += (holder.many?.size ?? 1) - keys
    return previous
  }

  remove(filter: string, key: string): V | undefined {
    const holder = this.#holder(filter)
    if (holder === null) return undefined
    const { many } = holder
    if (many === null) {
      if (holder.key !== key) return undefined
      this.#drop(filter)
      this.#size--
      return holder.value
    }
    const previous = many.get(key)
    if (!many.delete(key)) return undefined
    this.#size--
    if (many.size === 1) {
      for (const [lastKey, lastValue] of many) {
        holder.key = lastKey
        holder.value = lastValue
      }
      holder.many = null
    }
    return previous
  }

  get(filter: string, key: string): V | undefined {
    return this.#holder(filter)?.get(key)
  }

  /** Whether any key has exactly this filter. */
  has(filter: string): boolean {
    return this.#holder(filter) !== null
  }

  /** Calls `visit` for every value whose filter matches `topic`. The trie must not be changed meanwhile. */
  match(topic: string, visit: FilterVisitor<V>): void {
    const outer = this.#visit
    this.#visit = visit
    this.#exact.get(topic)?.each(visit)
    if (this.#wildFilters > 0) walkRoot(this.#wild.root, topic, this.#report)
    this.#visit = outer
  }

  matchesAny(topic: string): boolean {
    return this.#exact.has(topic) || (this.#wildFilters > 0 && walkRoot(this.#wild.root, topic, stop))
  }

  /** Calls `visit` for every value of exactly this filter. */
  forFilter(filter: string, visit: FilterVisitor<V>): void {
    this.#holder(filter)?.each(visit)
  }

  forEach(visit: FilterVisitor<V>): void {
    for (const holder of this.#holders()) holder.each(visit)
  }

  *filters(): IterableIterator<string> {
    for (const holder of this.#holders()) yield holder.filter
  }

  *[Symbol.iterator](): IterableIterator<[filter: string, key: string, value: V]> {
    for (const holder of this.#holders()) {
      if (holder.many === null) yield [holder.filter, holder.key, holder.value]
      else for (const [key, value] of holder.many) yield [holder.filter, key, value]
    }
  }

  clear(): void {
    this.#exact.clear()
    this.#wild.clear()
    this.#size = 0
    this.#wildFilters = 0
  }

  *#holders(): IterableIterator<Holder<V>> {
    yield* this.#exact.values()
    yield* this.#wild.items()
  }

  #holder(filter: string): Holder<V> | null {
    return this.#exact.get(filter) ?? (isWild(filter) ? this.#wild.get(filter) : null)
  }

  #add(holder: Holder<V>): void {
    if (isWild(holder.filter)) {
      this.#wild.ensure(holder.filter).item = holder
      this.#wildFilters++
    } else {
      this.#exact.set(holder.filter, holder)
    }
  }

  #drop(filter: string): void {
    if (this.#exact.delete(filter)) return
    this.#wild.delete(filter)
    this.#wildFilters--
  }
}

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23
const DOLLAR = 0x24

const nobody = () => {}
const stop = () => true

/** A valid filter has `+` only as a whole level, so looking for the character is enough. */
const isWild = (filter: string): boolean => filter.charCodeAt(filter.length - 1) === HASH || filter.includes('+')

function walkRoot<V>(root: LevelNode<Holder<V>>, topic: string, found: Found<V>): boolean {
  if (topic.charCodeAt(0) !== DOLLAR) return walk(root, topic, 0, found)
  // [MQTT-4.7.2-1] Only filters that spell the first level out match a topic that begins with `$`.
  const child = childAt(root, levelAt(topic, 0))
  return child !== null && enter(child, topic, 0, found)
}

/** The children of `node`; the level at `at` is the next to be matched, past the end when the topic is used up. */
function walk<V>(node: LevelNode<Holder<V>>, topic: string, at: number, found: Found<V>): boolean {
  if (node.only !== null) return enter(node.only, topic, at, found)
  const { children } = node
  if (children === null) return false
  let child: LevelNode<Holder<V>> | undefined
  if (at <= topic.length) {
    child = children.get(levelAt(topic, at))
    if (child !== undefined && enter(child, topic, at, found)) return true
    child = children.get('+')
    if (child !== undefined && enter(child, topic, at, found)) return true
  }
  child = children.get('#')
  return child !== undefined && enter(child, topic, at, found)
}

/** Matches the run of `node`, then the node itself or what lies below it. */
function enter<V>(node: LevelNode<Holder<V>>, topic: string, at: number, found: Found<V>): boolean {
  const { run } = node
  let index = 0
  let next = at
  for (;;) {
    const first = run.charCodeAt(index)
    // `#` also stands for no level at all: `a/#` matches `a`.
    if (first === HASH) return found(node.item!)
    if (next > topic.length) return false
    if (first === PLUS) {
      const slash = topic.indexOf('/', next)
      next = slash < 0 ? topic.length : slash
      index++
    } else {
      while (index < run.length) {
        const code = run.charCodeAt(index)
        if (code === SLASH) break
        if (topic.charCodeAt(next) !== code) return false
        index++
        next++
      }
      if (next < topic.length && topic.charCodeAt(next) !== SLASH) return false
    }
    next++
    if (index === run.length) break
    index++
  }
  if (next > topic.length && node.item !== null && found(node.item)) return true
  return walk(node, topic, next, found)
}
