// One source of configuration - the file, the environment, the command line - as a tree of values that knows where each
// of them was written.

export type Path = readonly string[]
/** Objects without a prototype: a key called `__proto__` is a wrong key, nothing more. */
export interface Tree {
  [key: string]: unknown
}

/** What one value may be. */
export interface Kind {
  /** What would be right, to be read after "right would be". */
  readonly right: string
  /** Taken as written in `--set` and the environment, not as YAML: `node.name=007` keeps its zeros. */
  readonly verbatim: boolean
}

/** What may stand where: sections with the keys they have, maps with names that people give, values. */
export type Shape =
  | { readonly is: 'section'; readonly keys: ReadonlyMap<string, Shape> }
  | { readonly is: 'map'; readonly of: Shape }
  | { readonly is: 'leaf'; readonly kind: Kind }

export interface Layer {
  readonly tree: Tree
  /** Where the value at `path`, or the nearest thing around it, was written; null when this source has none of it. */
  origin(path: Path): string | null
}

export interface Problem {
  /** `edge-mqtt.yaml:3`, `--set cluster.port=x`, `EDGE_MQTT_CLUSTER_PORT`. */
  readonly where: string
  readonly key: string
  /** What was found and what would be right. */
  readonly what: string
}

export const problemText = (problem: Problem): string =>
  problem.key === '' ? `${problem.where}: ${problem.what}` : `${problem.where}: ${problem.key}: ${problem.what}`

export const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const emptyTree = (): Tree => Object.create(null) as Tree

/** Sets the value at a path, making the sections on the way. A section given as a plain value stays what it is. */
export function plant(tree: Tree, path: Path, value: unknown): void {
  let at = tree
  for (const key of path.slice(0, -1)) {
    if (!Object.hasOwn(at, key)) at[key] = emptyTree()
    const next = at[key]
    if (!isTree(next)) return
    at = next
  }
  at[path[path.length - 1]!] = value
}

export function valueAt(tree: Tree, path: readonly PropertyKey[]): unknown {
  let at: unknown = tree
  for (const key of path) {
    if (Array.isArray(at)) at = at[Number(key)]
    else at = isTree(at) && Object.hasOwn(at, key) ? at[String(key)] : undefined
  }
  return at
}

/** Sections and maps join key by key, the later layer wins; everything else is replaced whole. */
export function merge(under: Tree, over: Tree): Tree {
  const joined = emptyTree()
  for (const key of Object.keys(under)) joined[key] = under[key]
  for (const key of Object.keys(over)) {
    const [below, above] = [joined[key], over[key]]
    joined[key] = isTree(below) && isTree(above) ? merge(below, above) : above
  }
  return joined
}

/**
 * A section or map left empty (`cluster:` with all its keys commented out) reads as null in YAML and means: nothing
 * given here.
 */
export function withoutEmptySections(tree: Tree, shape: Shape): Tree {
  if (shape.is === 'leaf') return tree
  const kept = emptyTree()
  for (const key of Object.keys(tree)) {
    const value = tree[key]
    const child = shape.is === 'map' ? shape.of : shape.keys.get(key)
    if (child !== undefined && child.is !== 'leaf') {
      if (value === null) {
        if (shape.is === 'map') kept[key] = emptyTree()
      } else kept[key] = isTree(value) ? withoutEmptySections(value, child) : value
    } else kept[key] = value
  }
  return kept
}

/** A found value for a message: short, on one line. */
export function foundText(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value) && value.length > 3) return `a list of ${value.length}`
  if (isTree(value)) return 'a section'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
