// What a configuration is made of: sections with keys that are known, maps with names that people give, and leaves. Reading
// gives every value with its default, or all that is wrong at once.

import { isTree, type Kind, type Path, type Shape } from './layers.ts'

export type Issue =
  | { readonly wrong: 'value'; readonly path: Path; readonly right: string }
  | { readonly wrong: 'keys'; readonly path: Path; readonly keys: readonly string[] }
  /** The last of the path is a name that cannot be one. */
  | { readonly wrong: 'name'; readonly path: Path; readonly right: string }

interface Piece<T> {
  /** What stands at `path`; undefined: there is nothing. What is wrong goes to `issues`, and then the value is nobody's. */
  read(found: unknown, path: Path, issues: Issue[]): T
}

export type ValueOf<P> = P extends Piece<infer T> ? T : never

/** A value. `take` returns undefined for what it refuses; where nothing stands it takes the `fallback`. */
export class Leaf<T> implements Piece<T> {
  readonly is = 'leaf'
  readonly kind: Kind
  readonly take: (found: unknown) => T | undefined
  readonly #fallback: () => unknown

  constructor(kind: Kind, fallback: () => unknown, take: (found: unknown) => T | undefined) {
    this.kind = kind
    this.#fallback = fallback
    this.take = take
  }

  read(found: unknown, path: Path, issues: Issue[]): T {
    const value = this.take(found === undefined ? this.#fallback() : found)
    if (value === undefined) issues.push({ wrong: 'value', path, right: this.kind.right })
    return value as T
  }
}

type Pieces = Readonly<Record<string, Piece<unknown> & Shape>>

/** Keys that are known, each with its piece; all of them may be left out. */
export class Section<P extends Pieces> implements Piece<{ readonly [K in keyof P]: ValueOf<P[K]> }> {
  readonly is = 'section'
  readonly keys: ReadonlyMap<string, Piece<unknown> & Shape>

  constructor(pieces: P) {
    this.keys = new Map(Object.entries(pieces))
  }

  read(found: unknown, path: Path, issues: Issue[]): { readonly [K in keyof P]: ValueOf<P[K]> } {
    const tree = found === undefined ? {} : found
    const values: Record<string, unknown> = {}
    if (!isTree(tree)) {
      issues.push({ wrong: 'value', path, right: `a section with the keys ${[...this.keys.keys()].join(', ')}` })
      return values as ReturnType<this['read']>
    }
    for (const [key, piece] of this.keys) {
      values[key] = piece.read(Object.hasOwn(tree, key) ? tree[key] : undefined, [...path, key], issues)
    }
    const unknown = Object.keys(tree).filter((key) => !this.keys.has(key))
    if (unknown.length > 0) issues.push({ wrong: 'keys', path, keys: unknown })
    return values as ReturnType<this['read']>
  }
}

/** Names that people give, each with the same piece. */
export class Names<T> implements Piece<Readonly<Record<string, T>>> {
  readonly is = 'map'
  readonly of: Piece<T> & Shape
  readonly #right: string
  readonly #name: { readonly pattern: RegExp; readonly right: string }

  constructor(of: Piece<T> & Shape, right: string, name: { readonly pattern: RegExp; readonly right: string }) {
    this.of = of
    this.#right = right
    this.#name = name
  }

  read(found: unknown, path: Path, issues: Issue[]): Readonly<Record<string, T>> {
    const tree = found === undefined ? {} : found
    const values: Record<string, T> = {}
    if (!isTree(tree)) {
      issues.push({ wrong: 'value', path, right: this.#right })
      return values
    }
    for (const [key, value] of Object.entries(tree)) {
      if (this.#name.pattern.test(key)) values[key] = this.of.read(value, [...path, key], issues)
      else issues.push({ wrong: 'name', path: [...path, key], right: this.#name.right })
    }
    return values
  }
}

export const section = <P extends Pieces>(pieces: P) => new Section(pieces)

/** All that stands in `tree`, with defaults for the rest; or what is wrong with it. */
export function check<T>(piece: Piece<T>, tree: unknown): { readonly value: T; readonly issues: readonly Issue[] } {
  const issues: Issue[] = []
  return { value: piece.read(tree, [], issues), issues }
}
