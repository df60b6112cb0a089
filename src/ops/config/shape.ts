// The schema as a tree of names, for suggestions, the environment and `--set`: read off the schema once, so that there is
// one list of keys.

import type * as z from 'zod'
import { type Kind, kindOf } from './kinds.ts'
import { schema } from './schema.ts'

export type Shape =
  | { readonly is: 'section'; readonly keys: ReadonlyMap<string, Shape> }
  | { readonly is: 'map'; readonly of: Shape }
  | { readonly is: 'leaf'; readonly kind: Kind }

function read(node: z.core.$ZodType): Shape {
  const kind = kindOf(node)
  if (kind !== undefined) return { is: 'leaf', kind }
  const def = node._zod.def as z.core.$ZodTypes['_zod']['def']
  switch (def.type) {
    case 'object':
      return { is: 'section', keys: new Map(Object.entries(def.shape).map(([key, child]) => [key, read(child)])) }
    case 'record':
      return { is: 'map', of: read(def.valueType) }
    case 'prefault':
      return read(def.innerType)
    default:
      throw new TypeError(`the schema has a ${def.type} where a section, a map or a kind belongs`)
  }
}

export const shape: Shape = read(schema)

/** What stands at a path, or null when nothing does. */
export function shapeAt(path: readonly string[]): Shape | null {
  let at: Shape | null = shape
  for (const key of path) {
    at = at === null ? null : at.is === 'section' ? (at.keys.get(key) ?? null) : at.is === 'map' ? at.of : null
  }
  return at
}

/** Every leaf as a path in words, `*` for the names of a map: for documents and suggestions. */
export function leafPaths(from: Shape = shape, prefix: readonly string[] = []): readonly string[] {
  if (from.is === 'leaf') return [prefix.join('.')]
  if (from.is === 'map') return leafPaths(from.of, [...prefix, '*'])
  return [...from.keys].flatMap(([key, child]) => leafPaths(child, [...prefix, key]))
}
