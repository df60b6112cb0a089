// From the schema's issues to what people can act on: where it stands, which key, what was found, what would be right.

import { unreachable } from '../../base/errors.ts'
import { foundText, type Layer, type Path, type Problem, valueAt } from './layers.ts'
import type { Issue } from './pieces.ts'
import { leafPaths, shapeAt } from './shape.ts'
import { nearest } from './suggest.ts'

export function problemsOf(layer: Layer, issues: readonly Issue[]): readonly Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const { path } = issue
    const there = valueAt(layer.tree, path)
    switch (issue.wrong) {
      case 'keys':
        return issue.keys.map((key) => problem(layer, [...path, key], unknownKey(path, key, there)))
      case 'name':
        return [problem(layer, path, `found the name ${JSON.stringify(path.at(-1))}; right would be ${issue.right}`)]
      case 'value':
        return [problem(layer, path, `found ${shown(path, there)}; right would be ${issue.right}`)]
      default:
        return unreachable(issue)
    }
  })
}

/** A password is not for terminals and logs, not even a wrong one. */
const shown = (path: Path, value: unknown): string =>
  path.at(-1) === 'password' && typeof value === 'string'
    ? `a text of ${[...value].length} characters`
    : foundText(value)

const problem = (layer: Layer, path: Path, what: string): Problem => ({
  where: layer.origin(path) ?? 'default',
  key: path.join('.'),
  what,
})

/** The known keys of the place, and the nearest of them, or the place where a key of this name does belong. */
function unknownKey(path: Path, key: string, parent: unknown): string {
  const place = shapeAt(path)
  const known = place?.is === 'section' ? [...place.keys.keys()] : []
  const taken = typeof parent === 'object' && parent !== null ? Object.keys(parent) : []
  const dotted = shapeAt([...path, ...key.split('.')]) === null ? null : [...path, ...key.split('.')].join('.')
  const here =
    nearest(
      key,
      known.filter((each) => !taken.includes(each)),
    ) ?? nearest(key, known)
  const suggestion = here === null ? elsewhere(key) : [...path, here].join('.')
  const hint =
    key.includes('.') && dotted !== null
      ? `; a file nests its keys: write ${key.split('.').join(': { ')}: ...${' }'.repeat(key.split('.').length - 1)}`
      : suggestion === null
        ? ''
        : `; did you mean ${suggestion}?`
  return `unknown key${hint}; known here: ${known.join(', ')}`
}

function elsewhere(key: string): string | null {
  const paths = leafPaths()
  const last = (path: string): string => path.slice(path.lastIndexOf('.') + 1)
  const same = paths.filter((path) => last(path) === key)
  if (same.length === 1) return same[0]!
  const near = same.length > 1 ? null : nearest(key, paths.map(last))
  const there = near === null ? [] : paths.filter((path) => last(path) === near)
  return there.length === 1 ? there[0]! : null
}
