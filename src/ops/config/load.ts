// The configuration of a node: defaults, then the file, then the environment, then `--set`, each later one winning. Every
// source is checked by itself, so that a wrong value does not hide behind a right one; all problems come at once.

import { type KnownNames, readEnvironment } from './environment.ts'
import { FILE_BYTES_MAX, readConfigurationFile, readValue } from './file.ts'
import { emptyTree, isTree, type Layer, merge, type Path, type Problem, plant, valueAt } from './layers.ts'
import { check } from './pieces.ts'
import { problemsOf } from './problems.ts'
import { alwaysThere, type Configuration, schema } from './schema.ts'
import { shapeAt } from './shape.ts'
import { contradictions, doubts, type Finding } from './sums.ts'

export interface Sources {
  /** The file's name for messages, and its text; null: there is none. */
  readonly file: { readonly name: string; readonly text: string } | null
  readonly environment: Readonly<Record<string, string | undefined>>
  /** `key.path=value`, as given to `--set`. */
  readonly settings: readonly string[]
}

export type Loaded =
  | { readonly ok: true; readonly configuration: Configuration; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly string[] }

export function loadConfiguration(sources: Sources): Loaded {
  const problems: Problem[] = []
  const base: Layer = { tree: merge(emptyTree(), alwaysThere), origin: () => null }
  const file = fileLayer(sources.file, problems)
  const flags = flagLayer(sources.settings, problems)
  // A variable may name a listener that another source makes; of those the spelling is known.
  const named = [base, file, flags].reduce((tree, layer) => merge(tree, layer.tree), emptyTree())
  const known: KnownNames = (path) => {
    const there = valueAt(named, path)
    return isTree(there) ? Object.keys(there) : []
  }
  const { variables, warnings } = readEnvironment(sources.environment, known)
  const environment = assignments(variables.map(({ name, path, text }) => ({ origin: name, path, text })))

  for (const layer of [file, environment, flags]) {
    problems.push(...problemsOf(layer, check(schema, layer.tree).issues))
  }
  if (problems.length > 0) return { ok: false, problems, warnings }

  const layers = [base, file, environment, flags]
  const merged: Layer = {
    tree: layers.reduce((tree, layer) => merge(tree, layer.tree), emptyTree()),
    origin: (path) =>
      layers.findLast((layer) => valueAt(layer.tree, path) !== undefined)?.origin(path) ??
      (path.length > 1 ? merged.origin(path.slice(0, -1)) : null),
  }
  const { value: configuration, issues } = check(schema, merged.tree)
  if (issues.length > 0) return { ok: false, problems: problemsOf(merged, issues), warnings }
  const located = ({ path, against = path, what }: Finding): Problem => {
    const nearer = valueAt(merged.tree, path) === undefined ? against : path
    return { where: merged.origin(nearer) ?? 'default', key: path.join('.'), what }
  }
  const clashes = contradictions(configuration).map(located)
  if (clashes.length > 0) return { ok: false, problems: clashes, warnings }
  const doubtful = doubts(configuration).map(located)
  return { ok: true, configuration, warnings: [...warnings, ...doubtful.map(({ key, what }) => `${key}: ${what}`)] }
}

const nothing: Layer = { tree: emptyTree(), origin: () => null }

function fileLayer(file: Sources['file'], problems: Problem[]): Layer {
  if (file === null) return nothing
  if (file.text.length > FILE_BYTES_MAX) {
    problems.push({ where: file.name, key: '', what: `longer than ${FILE_BYTES_MAX / 1024} KiB: not a configuration` })
    return nothing
  }
  const read = readConfigurationFile(file.name, file.text)
  problems.push(...read.problems)
  return read.layer
}

function flagLayer(settings: readonly string[], problems: Problem[]): Layer {
  return assignments(
    settings.flatMap((setting) => {
      const equals = setting.indexOf('=')
      const path = setting.slice(0, equals === -1 ? undefined : equals).split('.')
      if (equals > 0 && path.every((key) => key !== '')) {
        const shown = path.at(-1) === 'password' ? `${setting.slice(0, equals)}=...` : setting
        return [{ origin: `--set ${shown}`, path, text: setting.slice(equals + 1) }]
      }
      problems.push({
        where: `--set ${setting}`,
        key: '',
        what: 'found no key and value; right would be key.path=value, such as --set cluster.port=4884',
      })
      return []
    }),
  )
}

interface Assignment {
  readonly origin: string
  readonly path: Path
  readonly text: string
}

function assignments(given: readonly Assignment[]): Layer {
  const tree = emptyTree()
  for (const { path, text } of given) {
    const place = shapeAt(path)
    const value = place?.is === 'leaf' && place.kind.verbatim ? text : readValue(text)
    plant(tree, path, value)
  }
  const around = (path: Path, other: Path): boolean =>
    other.slice(0, path.length).every((key, index) => key === path[index])
  return {
    tree,
    origin: (path) => {
      const exact = given.findLast((each) => each.path.join('\0') === path.join('\0'))
      return (exact ?? given.findLast((each) => around(each.path, path) || around(path, each.path)))?.origin ?? null
    },
  }
}
