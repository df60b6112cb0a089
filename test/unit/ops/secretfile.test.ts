// A password in the configuration file is one that not everybody may read.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readPlan } from '../../../src/ops/start.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-secret-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

test.each([
  ['cluster: { password: four words make one }', 0o644, 1],
  ['cluster: { password: four words make one }', 0o640, 0],
  ['cluster: { name: home }', 0o644, 0],
])('%s with mode %o', async (yaml, mode, warned) => {
  const file = join(directory, 'edge-mqtt.yaml')
  writeFileSync(file, yaml)
  chmodSync(file, mode)
  const trust = () => Promise.reject(new Error('there is no bundle to judge'))
  const { warnings } = await readPlan({ dataDir: directory, set: [], newCluster: false }, { trust })
  const found = warnings.filter((warning) => warning.includes('everybody on this box can read cluster.password'))
  expect(found).toHaveLength(warned)
  expect(found.join()).not.toContain('four words')
})
