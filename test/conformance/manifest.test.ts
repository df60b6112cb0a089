// Which statements of the standards are shown by a test. A test names what it shows at the start of its title:
// [MQTT-3.1.0-1] is a statement of MQTT 5.0, [MQTT3-3.1.0-1] one of 3.1.1, and a title may name several.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { statements311 } from './manifest-3.1.1.ts'
import { statements5 } from './manifest-5.ts'
import { untested } from './untested.ts'

/** It only shrinks. */
const UNTESTED_MAX = 1

const listed = [
  ...Object.keys(statements311).map((id) => `MQTT3-${id}`),
  ...Object.keys(statements5).map((id) => `MQTT-${id}`),
]
const named = namedByTitles()

/** Ids at the start of a string in a test file, and the files that have them. Comments do not count. */
function namedByTitles(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  const test = join(import.meta.dirname, '..')
  for (const folder of ['conformance', 'e2e', 'unit/host']) {
    for (const file of readdirSync(join(test, folder)).filter((name) => name.endsWith('.test.ts'))) {
      const source = readFileSync(join(test, folder, file), 'utf8').replace(/^\s*\/\/.*$/gm, '')
      for (const [, ids] of source.matchAll(/['"`]((?:\[MQTT3?-[^\]]*\]\s*)+)/g)) {
        for (const [, id] of ids!.matchAll(/\[([^\]]+)\]/g)) {
          if (!found.has(id!)) found.set(id!, new Set())
          found.get(id!)!.add(`${folder}/${file}`)
        }
      }
    }
  }
  return found
}

test('the manifest has as many statements as the standards have for a server', () => {
  expect([Object.keys(statements311).length, Object.keys(statements5).length]).toEqual([128, 227])
})

test('every statement is named by the title of a test, or listed with the reason why not', () => {
  const without = listed.filter((id) => !named.has(id))
  expect(without.sort()).toEqual(Object.keys(untested).sort())
  expect(without.length).toBeLessThanOrEqual(UNTESTED_MAX)
  for (const reason of Object.values(untested)) expect(reason.length).toBeGreaterThan(20)
  for (const version of ['MQTT3-', 'MQTT-']) {
    const ids = listed.filter((id) => id.startsWith(version))
    const covered = ids.filter((id) => named.has(id)).length
    console.log(`MQTT ${version === 'MQTT-' ? '5.0' : '3.1.1'}: ${covered} statements covered of ${ids.length}`)
  }
})

test('no title names a statement that is not in the manifest', () => {
  const known = new Set(listed)
  const invented = [...named].filter(([id]) => !known.has(id)).map(([id, files]) => `${id} in ${[...files].join(', ')}`)
  expect(invented).toEqual([])
})
