// The configuration file: YAML in, a layer out that knows the line of every key.

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml'
import { emptyTree, type Layer, type Path, type Problem, type Tree, withoutEmptySections } from './layers.ts'
import { shape } from './shape.ts'

/** Bytes: a hundred times what a long configuration needs. */
export const FILE_BYTES_MAX = 1024 * 1024
/** Sections within sections; an alias that holds itself ends here too. */
const DEPTH_MAX = 16
/** Values in all, aliases followed: ten of them in each of nine levels would be a thousand million. */
const VALUES_MAX = 20_000

const pathKey = (path: readonly PropertyKey[]): string => JSON.stringify(path.map(String))

export function readConfigurationFile(file: string, text: string): { layer: Layer; problems: readonly Problem[] } {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const problems: Problem[] = [...document.errors, ...document.warnings].map((error) => ({
    where: `${file}:${lines.linePos(error.pos[0]).line}`,
    key: '',
    what: yamlWords(error.code, error.message),
  }))
  const places = new Map<string, number>()
  const line = (node: Node): number => lines.linePos(node.range?.[0] ?? 0).line
  const layer: Layer = {
    tree: emptyTree(),
    origin(path) {
      for (let length = path.length; length > 0; length--) {
        const place = places.get(pathKey(path.slice(0, length)))
        if (place !== undefined) return `${file}:${place}`
      }
      return null
    },
  }
  if (problems.length > 0 || document.contents === null) return { layer, problems }
  if (isScalar(document.contents) && document.contents.value === null) return { layer, problems }

  const refuse = (node: Node, path: Path, what: string): undefined => {
    problems.push({ where: `${file}:${line(node)}`, key: path.join('.'), what })
    return undefined
  }
  let values = 0
  const walk = (node: Node | null, path: Path): unknown => {
    if (node === null) return null
    if (path.length > DEPTH_MAX) return refuse(node, path, `nested deeper than ${DEPTH_MAX} levels`)
    if (++values > VALUES_MAX) {
      return values === VALUES_MAX + 1
        ? refuse(node, path, `more than ${VALUES_MAX} values: not a configuration`)
        : null
    }
    if (isAlias(node)) {
      const meant = node.resolve(document) as Node | undefined
      return meant === undefined
        ? refuse(node, path, `*${node.source} has no &${node.source} before it`)
        : walk(meant, path)
    }
    if (isSeq(node)) return node.items.map((item, index) => walk(item as Node | null, [...path, String(index)]))
    if (!isMap(node)) return isScalar(node) ? node.value : null
    const tree: Tree = emptyTree()
    for (const pair of node.items) {
      const at = pair.key as Node
      if (!isScalar(at)) refuse(at, path, 'a key that is not a plain word')
      else {
        const key = String(at.value)
        places.set(pathKey([...path, key]), line(at))
        tree[key] = walk(pair.value as Node | null, [...path, key])
      }
    }
    return tree
  }
  if (!isMap(document.contents)) {
    refuse(document.contents, [], 'found a plain value; right would be keys and values, such as "node: { name: gw-1 }"')
    return { layer, problems }
  }
  const tree = walk(document.contents, []) as Tree
  return { layer: { ...layer, tree: withoutEmptySections(tree, shape) }, problems }
}

/** The parser's own words, with what to do where they leave people alone. */
function yamlWords(code: string, message: string): string {
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'not YAML: a tab at the start of the line; right would be spaces'
    case 'DUPLICATE_KEY':
      return 'not YAML: this key stands here for the second time; right would be once'
    case 'MULTIPLE_DOCS':
      return 'not YAML: a second document begins here; right would be one'
    default:
      return `not YAML: ${message.replace(/\s+/g, ' ').trim()}`
  }
}

/**
 * One value as YAML reads it, for `--set` and the environment; what is not YAML is taken as written, and so is what has
 * aliases: there is nothing here they could stand for but themselves.
 */
export function readValue(text: string): unknown {
  const document = parseDocument(text, { prettyErrors: false })
  let aliases = 0
  visit(document, { Alias: () => void aliases++ })
  return document.errors.length > 0 || aliases > 0 ? text : document.toJS()
}
