// What stands where in the schema, for suggestions, the environment and `--set`: there is one list of keys.

import type { Shape } from './layers.ts'
import { schema } from './schema.ts'

export const shape: Shape = schema

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
