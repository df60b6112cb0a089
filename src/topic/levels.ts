// A tree of slash-separated texts in which a run of levels that has no branch is one node: the common ground of the
// trie (which keeps filters and is asked with a topic) and of the topic tree (the other way round).
//
//   a/b/c  a/b/d  x/y      root -+- "a/b" -+- "c"
//                                |         +- "d"
//                                +- "x/y"
//
// A million texts sit in here, so a node has room for one child and gets a map, keyed by the first level of each
// child's run, with the second. Only the root's run is meaningless; an empty run elsewhere is one empty level.

export class LevelNode<T> {
  run: string
  item: T | null
  /** The child, when there is just one. */
  only: LevelNode<T> | null = null
  /** The children by the first level of their runs, when there are two or more. */
  children: Map<string, LevelNode<T>> | null = null

  constructor(run: string, item: T | null) {
    this.run = run
    this.item = item
  }
}

export class LevelTree<T> {
  readonly root = new LevelNode<T>('', null)

  /** The node that stands for exactly this text, made if needed. */
  ensure(text: string): LevelNode<T> {
    let node = this.root
    let rest = text
    for (;;) {
      const child = childAt(node, firstLevel(rest))
      if (child === null) return add(node, new LevelNode<T>(rest, null))
      const common = commonLevels(child.run, rest)
      node = common === child.run.length ? child : split(node, child, common)
      if (common === rest.length) return node
      rest = rest.slice(common + 1)
    }
  }

  get(text: string): T | null {
    let node: LevelNode<T> | null = this.root
    let at = 0
    while (at <= text.length) {
      node = childAt(node, levelAt(text, at))
      if (node === null || !text.startsWith(node.run, at)) return null
      at += node.run.length
      if (at < text.length && text.charCodeAt(at) !== SLASH) return null
      at++
    }
    return node.item
  }

  /** Takes the item of `text` out, and with it the nodes that nothing else needs. */
  delete(text: string): T | null {
    return this.#delete(this.root, text)
  }

  *items(): IterableIterator<T> {
    const waiting: LevelNode<T>[] = [this.root]
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (node.item !== null) yield node.item
      if (node.only !== null) waiting.push(node.only)
      else if (node.children !== null) for (const child of node.children.values()) waiting.push(child)
    }
  }

  clear(): void {
    this.root.only = null
    this.root.children = null
  }

  #delete(parent: LevelNode<T>, rest: string): T | null {
    const child = childAt(parent, firstLevel(rest))
    if (child === null || commonLevels(child.run, rest) !== child.run.length) return null
    let item: T | null
    if (child.run.length === rest.length) {
      item = child.item
      child.item = null
    } else {
      item = this.#delete(child, rest.slice(child.run.length + 1))
    }
    if (item !== null && child.item === null) tidy(parent, child)
    return item
  }
}

const SLASH = 0x2f

export function levelAt(text: string, at: number): string {
  const slash = text.indexOf('/', at)
  return slash < 0 ? text.slice(at) : text.slice(at, slash)
}

const firstLevel = (run: string): string => levelAt(run, 0)

/** The child of `node` whose run begins with `level`. */
export function childAt<T>(node: LevelNode<T>, level: string): LevelNode<T> | null {
  const only = node.only
  if (only === null) return node.children === null ? null : (node.children.get(level) ?? null)
  const { run } = only
  return run.startsWith(level) && (run.length === level.length || run.charCodeAt(level.length) === SLASH) ? only : null
}

/** How far two runs that share their first level agree, in whole levels; up to a slash or to the end of one. */
function commonLevels(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  let agreed = 0
  let index = 0
  for (; index < length && a.charCodeAt(index) === b.charCodeAt(index); index++) {
    if (a.charCodeAt(index) === SLASH) agreed = index
  }
  const whole =
    index === length &&
    (a.length === length || a.charCodeAt(index) === SLASH) &&
    (b.length === length || b.charCodeAt(index) === SLASH)
  return whole ? length : agreed
}

function add<T>(node: LevelNode<T>, child: LevelNode<T>): LevelNode<T> {
  if (node.children !== null) {
    node.children.set(firstLevel(child.run), child)
  } else if (node.only === null) {
    node.only = child
  } else {
    node.children = new Map([
      [firstLevel(node.only.run), node.only],
      [firstLevel(child.run), child],
    ])
    node.only = null
  }
  return child
}

/** Puts a node for the first `at` characters of the child's run between the two. */
function split<T>(node: LevelNode<T>, child: LevelNode<T>, at: number): LevelNode<T> {
  const middle = new LevelNode<T>(child.run.slice(0, at), null)
  replace(node, child, middle)
  child.run = child.run.slice(at + 1)
  middle.only = child
  return middle
}

function replace<T>(node: LevelNode<T>, child: LevelNode<T>, by: LevelNode<T>): void {
  if (node.only === child) node.only = by
  else node.children!.set(firstLevel(by.run), by)
}

/** After `child` lost its item: drops it when it is a leaf, joins it with its child when it has just one. */
function tidy<T>(parent: LevelNode<T>, child: LevelNode<T>): void {
  if (child.children !== null) return
  if (child.only !== null) {
    const { only } = child
    only.run = `${child.run}/${only.run}`
    replace(parent, child, only)
  } else if (parent.only === child) {
    parent.only = null
  } else {
    parent.children!.delete(firstLevel(child.run))
    if (parent.children!.size === 1) {
      for (const last of parent.children!.values()) parent.only = last
      parent.children = null
    }
  }
}
