// The command line as scripts see it: what it prints where, and the exit status.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { run } from '../../../src/ops/cli/program.ts'
import { setupText } from '../../../src/ops/setup.ts'
import { version } from '../../../src/ops/version.ts'
import type { World } from '../../../src/ops/world.ts'

const unasked = () => Promise.reject(new Error('this command must not touch the world'))
const world: World = { ports: unasked, trust: unasked, hardware: unasked, compose: unasked }

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-cli-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true, force: true })
})

async function command(...args: readonly string[]) {
  const written = { out: '', err: '' }
  const into = (name: 'out' | 'err') => (text: string | Uint8Array) => {
    written[name] += String(text)
    return true
  }
  vi.spyOn(process.stdout, 'write').mockImplementation(into('out'))
  vi.spyOn(process.stderr, 'write').mockImplementation(into('err'))
  const status = await run(args, world)
  vi.restoreAllMocks()
  return { status, ...written }
}

describe('version', () => {
  for (const args of [['version'], ['--version']]) {
    test(args.join(' '), async () => {
      expect(await command(...args)).toEqual({ status: 0, out: `edge-mqtt ${version}\n`, err: '' })
    })
  }
  test('as JSON', async () => {
    expect(JSON.parse((await command('version', '--json')).out)).toEqual({ version })
  })
})

describe('help', () => {
  for (const args of [
    ['start'],
    ['setup'],
    ['status'],
    ['cluster', 'status'],
    ['cluster', 'join'],
    ['cluster', 'remove'],
    ['cluster', 'leave'],
    ['ca', 'show'],
    ['ca', 'rotate'],
    ['ca', 'seal'],
    ['cert', 'issue'],
    ['version'],
    [],
  ]) {
    test(`of "${args.join(' ')}" has an example`, async () => {
      const { status, out } = await command(...args, '--help')
      expect(status).toBe(0)
      expect(out).toMatch(new RegExp(`Usage: edge-mqtt ${args.join(' ')}`))
      expect(out).toContain(`Example:\n  edge-mqtt ${args.join(' ')}`)
    })
  }
  test('edge-mqtt help start is the same', async () => {
    expect((await command('help', 'start')).out).toBe((await command('start', '--help')).out)
  })
})

describe('wrong usage', () => {
  // [arguments, what the answer says]
  for (const [args, words] of [
    [['stat'], /unknown command 'stat'\n\(Did you mean .*start.*\?\)/],
    [['cluster', 'jion', 'a'], /unknown command 'jion'\n\(Did you mean join\?\)/],
    [['start', '--data-dri', 'x'], /unknown option '--data-dri'\n\(Did you mean --data-dir\?\)/],
    [['start', '--set'], /option '--set <key.path=value>' argument missing/],
    [['cluster', 'join'], /an address or a code is needed/],
    [['cluster', 'approve'], /missing required argument 'box'/],
    [['invite', '--uses', 'many'], /--uses many: right would be a number/],
    [['status', 'extra'], /too many arguments/],
    [[], /Usage: edge-mqtt/],
  ] as const) {
    test(`"${args.join(' ')}" ends with 64 and says what would be right`, async () => {
      const { status, out, err } = await command(...args)
      expect([status, out]).toEqual([64, ''])
      expect(err).toMatch(words)
    })
  }
})

describe('start --check', () => {
  test('says that the configuration is good', async () => {
    writeFileSync(join(directory, 'edge-mqtt.yaml'), 'node: { name: gw-9 }\n')
    expect(await command('start', '--check', '--data-dir', directory)).toEqual({
      status: 0,
      out: `configuration is good: ${directory}/edge-mqtt.yaml\n`,
      err: '',
    })
  })

  test('says when there is no file, and passes warnings on', async () => {
    const { status, out } = await command(
      ...['start', '--check', '--data-dir', directory, '--set', 'sessions.queue.max_bytes=1MiB'],
    )
    expect(status).toBe(0)
    expect(out).toMatch(/^warning: sessions\.queue\.max_bytes: /)
    expect(out).toContain(`configuration is good: no file at ${directory}/edge-mqtt.yaml, so all defaults`)
  })

  test('says everything that is wrong, and ends with 78', async () => {
    writeFileSync(join(directory, 'edge-mqtt.yaml'), 'node:\n  nam: x\n')
    const { status, err } = await command(
      ...['start', '--check', '--data-dir', directory, '--set', 'cluster.port=x', '--set', 'log.level=loud'],
    )
    expect(status).toBe(78)
    expect(err.split('\n')).toEqual([
      'edge-mqtt: the configuration is wrong:',
      expect.stringMatching(new RegExp(`^ {2}${directory}/edge-mqtt\\.yaml:2: node\\.nam: unknown key; did you mean`)),
      expect.stringMatching(/^ {2}--set cluster\.port=x: cluster\.port: found "x"; right would be/),
      expect.stringMatching(/^ {2}--set log\.level=loud: log\.level: found "loud"; right would be/),
      '',
    ])
  })

  test('a file named by --config must be there', async () => {
    const { status, err } = await command('start', '--check', '--config', join(directory, 'no.yaml'))
    expect([status, err]).toEqual([78, `edge-mqtt: ${directory}/no.yaml: no such file\n`])
  })
})

describe('a wrong configuration', () => {
  for (const name of ['start', 'setup']) {
    test(`starts nothing: ${name}`, async () => {
      const { status, err } = await command(name, '--data-dir', directory, '--set', 'nonsense=1')
      expect(status).toBe(78)
      expect(err).toContain('--set nonsense=1: nonsense: unknown key')
    })
  }
})

describe('without a daemon', () => {
  for (const args of [['status'], ['cluster', 'status'], ['cluster', 'join', 'gw-2'], ['status', '--json']]) {
    test(`"${args.join(' ')}" ends with 69 and says what to type`, async () => {
      const { status, out, err } = await command(...args, '--data-dir', directory)
      expect([status, out]).toEqual([69, ''])
      expect(err).toContain(
        `edge-mqtt: the daemon is not running here: nobody answers at ${directory}/run/control.sock`,
      )
      expect(err).toContain(`edge-mqtt start --data-dir ${directory}`)
    })
  }
})

describe('setup', () => {
  test('without a cluster there is nothing to set up', async () => {
    const { status, out } = await command('setup', '--data-dir', directory, '--set', 'cluster.enabled=false')
    expect([status, out]).toEqual([0, 'nothing to set up: cluster.enabled is false\n'])
  })

  test('says what it came to', () => {
    const member = {
      state: 'member',
      papers: null as never,
      clusterId: 'c0ffee' as never,
      ca: null,
      founded: false,
    } as const
    expect(setupText(member, '/s', '/c')).toBe('set up: this node is a member of cluster c0ffee')
    expect(setupText({ ...member, founded: true }, '/s', '/c')).toMatch(
      /made the CA of a new cluster, c0ffee\n.*\/s\/ca\.crt/,
    )
    expect(setupText({ state: 'waiting', why: 'heard cluster 1', cluster: null }, '/s', '/c')).toBe(
      'waiting: heard cluster 1',
    )
  })
})
