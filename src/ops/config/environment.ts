// `EDGE_MQTT_CLUSTER_PORT=4884`: the path in capitals joined by `_`. Keys have underscores of their own
// (`dead_after`), so the name is read along the schema; names of a map are first those already known, then new ones.

import type { Shape } from './layers.ts'
import { leafPaths, shape } from './shape.ts'
import { nearest } from './suggest.ts'

export const PREFIX = 'EDGE_MQTT_'

const spelled = (key: string): string => key.replace(/-/g, '_').toUpperCase()

export type KnownNames = (path: readonly string[]) => readonly string[]

/** The path that a variable's name (without prefix) means, or null. */
export function resolveName(
  name: string,
  known: KnownNames,
  from: Shape = shape,
  path: readonly string[] = [],
): readonly string[] | null {
  if (from.is === 'leaf') return name === '' ? path : null
  if (name === '') return null
  const deeper = (key: string, child: Shape): readonly string[] | null => {
    const word = spelled(key)
    if (name === word) return resolveName('', known, child, [...path, key])
    return name.startsWith(`${word}_`) ? resolveName(name.slice(word.length + 1), known, child, [...path, key]) : null
  }
  if (from.is === 'section') {
    for (const [key, child] of from.keys) {
      const found = deeper(key, child)
      if (found !== null) return found
    }
    return null
  }
  for (const key of known(path)) {
    const found = deeper(key, from.of)
    if (found !== null) return found
  }
  const words = name.split('_')
  for (let length = 1; length < words.length; length++) {
    const key = words.slice(0, length).join('_').toLowerCase()
    if (key === '') continue
    const found = resolveName(words.slice(length).join('_'), known, from.of, [...path, key])
    if (found !== null) return found
  }
  return null
}

export interface Variable {
  readonly name: string
  readonly path: readonly string[]
  readonly text: string
}

/** The variables that mean a key, and a warning for each that looks like one and means none. */
export function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  known: KnownNames,
): { variables: readonly Variable[]; warnings: readonly string[] } {
  const variables: Variable[] = []
  const warnings: string[] = []
  for (const name of Object.keys(environment).sort()) {
    const text = environment[name]
    // An empty variable is how shells and unit files say "not set".
    if (!name.startsWith(PREFIX) || text === undefined || text === '') continue
    const path = resolveName(name.slice(PREFIX.length), known)
    if (path !== null) variables.push({ name, path, text })
    else {
      const near = nearest(name.slice(PREFIX.length), leafPaths().map(spelledPath))
      const hint = near === null ? '' : `; did you mean ${PREFIX}${near}?`
      warnings.push(`${name}: no such key, so it has no effect${hint}`)
    }
  }
  return { variables, warnings }
}

const spelledPath = (path: string): string => path.split('.').map(spelled).join('_').replace('*', 'NAME')
