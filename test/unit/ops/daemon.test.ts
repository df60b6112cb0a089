// The daemon's life around a node that only says what it is told: start, commands, reload, stop and every way to fail.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { Accounts } from '../../../src/broker/accounts.ts'
import type { InviteWish } from '../../../src/cluster/enrolment/invites.ts'
import type { Operator } from '../../../src/cluster/operator.ts'
import type { JoinOutcome, JoinRequest, WaitingStatus } from '../../../src/cluster/status.ts'
import type { Certificates } from '../../../src/cluster/trust/certificates.ts'
import type { Node, NodeSettings, NodeStatus, Ports } from '../../../src/compose.ts'
import { join as joinByCommand } from '../../../src/ops/cli/queries.ts'
import { ask } from '../../../src/ops/control/client.ts'
import { runDaemon } from '../../../src/ops/daemon.ts'
import { places } from '../../../src/ops/places.ts'
import type { HostPorts, World } from '../../../src/ops/world.ts'
import { accountsInMemory } from '../broker/make.ts'

const status = {
  node: { id: '1', name: 'gw-1', version: '1', state: 'ready', uptimeMs: 1 },
  listeners: [{ name: 'mqtt', type: 'mqtt', bind: '0.0.0.0', port: 40_001, connections: 0 }],
  cluster: { enabled: true, port: 40_002, members: [{ id: 'a1', name: 'gw-1' }] },
} as unknown as NodeStatus

class FakeNode implements Node {
  settings: NodeSettings
  readonly ports: Ports
  stops = 0
  readonly configured: NodeSettings[] = []
  joined: JoinRequest | null = null
  readonly accounts: Accounts
  readonly certificates = {} as Certificates
  readonly retained = {} as Node['retained']
  constructor(settings: NodeSettings, ports: Ports) {
    this.settings = settings
    this.ports = ports
    this.accounts = accountsInMemory()
  }
  start(done: (error: HostError | null) => void): void {
    setImmediate(done, refusal)
  }
  stop(done: () => void): void {
    this.stops++
    if (!hangs) setImmediate(done)
  }
  status(): NodeStatus {
    return status
  }
  readonly operator = {
    join: (request: JoinRequest, done: (outcome: JoinOutcome) => void) => {
      this.joined = request
      setImmediate(done, joinOutcome)
    },
    invite: (wish: InviteWish) =>
      wish.uses > 2 ? new HostError('invalid', 'too many') : { id: '2AZZ', code: 'CODE', endMs: wish.ttlMs },
    invites: () => [{ id: '2AZZ', state: 'good', endMs: 9, uses: 2, used: ['a1'], issuer: false, by: 'a1' }],
    revokeInvite: (id: string) =>
      id === '2AZZ' ? { id, state: 'expired' } : new HostError('invalid', 'there is no invite'),
    approve: (wanted: string, done: (result: WaitingStatus | HostError) => void) =>
      setImmediate(
        done,
        wanted === 'abcd'
          ? { address: '10.0.0.7', id: 'abcd', name: 'gw-9', words: 'one two three four', replaces: null }
          : new HostError('invalid', 'no box is waiting to be let in'),
      ),
  } as unknown as Operator
  configure(settings: NodeSettings): readonly string[] {
    this.configured.push(settings)
    return settings.cluster.port === this.settings.cluster.port ? [] : ['cluster.port']
  }
}

let refusal: HostError | null
let joinOutcome: JoinOutcome = { linked: true, waiting: false, words: 'linked with gw-2' }
let hangs: boolean
let node: FakeNode | null
let directory: string
let lines: string[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-daemon-'))
  refusal = null
  hangs = false
  node = null
  lines = []
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true, force: true })
})

const world: World = {
  ports: () => Promise.resolve({} as HostPorts),
  trust: () => Promise.reject(new Error('there is no bundle to judge')),
  hardware: () => Promise.resolve({ machineId: 'm', boardSerial: '', firstMac: '' }),
  compose: () =>
    Promise.resolve((settings, ports) => {
      node = new FakeNode(settings, ports)
      return node
    }),
}

const sink = () =>
  Promise.resolve({
    write: (line: string) => {
      lines.push(line)
      said()
    },
    flushSync: () => {},
  })

let said: () => void = () => {}
const messages = () => lines.map((line) => (JSON.parse(line) as { msg: string }).msg)
/** Resolves when the log has said so. */
async function logged(message: string): Promise<void> {
  while (!messages().includes(message)) {
    await new Promise<void>((resolve) => {
      said = resolve
    })
  }
}

const start = (...set: readonly string[]) => runDaemon({ dataDir: directory, set, newCluster: false }, world, sink)
const where = () => places({ dataDir: directory }, {})
const asked = (command: string, args = {}) => ask(where(), { command, args }, { everybody: false, timeoutMs: 5_000 })

describe('a life', () => {
  test('from start to stop', async () => {
    const running = start('cluster.port=0')
    await logged('ready')
    const ready = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(ready.find(({ msg }) => msg === 'ready')).toMatchObject({ clusterPort: 40_002 })
    expect(node!.settings.hardware.machineId).toBe('m')
    expect(node!.settings.cluster.port).toBe(0)

    expect(await asked('status')).toEqual(JSON.parse(JSON.stringify(status)))
    expect(await asked('cluster join', { address: 'gw-2:99' })).toEqual({
      linked: true,
      waiting: false,
      outcome: 'linked with gw-2',
    })
    joinOutcome = { linked: false, waiting: false, words: 'gw-2:99 is not reached: refused' }
    await expect(joinByCommand('gw-2:99', {}, { dataDir: directory }, false)).rejects.toMatchObject({
      ...{ status: 69, message: 'gw-2:99 is not reached: refused' },
    })
    expect(node!.joined).toEqual({ to: { address: 'gw-2', port: 99 }, code: null, replaces: null })
    await expect(asked('cluster join', { address: 'a b' })).rejects.toThrow(
      'not an address: "a b"; right would be host',
    )
    await expect(asked('cluster join')).rejects.toThrow('an address or a code is needed')
    await asked('cluster join', { code: 'CODE', replace: 'gw-7' })
    expect(node!.joined).toEqual({ to: null, code: 'CODE', replaces: 'gw-7' })
    expect(await asked('cluster approve', { box: 'abcd' })).toMatchObject({ name: 'gw-9' })
    await expect(asked('cluster approve', { box: 'x' })).rejects.toThrow('no box is waiting')
    await expect(asked('cluster approve')).rejects.toThrow('the id of a waiting box is needed')
    expect(await asked('invite')).toEqual({ id: '2AZZ', code: 'CODE', endMs: 3_600_000 })
    expect(await asked('invite', { ttl: '2d', uses: 2 })).toMatchObject({ endMs: 172_800_000 })
    await expect(asked('invite', { uses: 3 })).rejects.toThrow('too many')
    await expect(asked('invite', { ttl: 'soon' })).rejects.toThrow('--ttl "soon": right would be a duration')
    expect(await asked('invite list')).toMatchObject([{ id: '2AZZ', state: 'good', by: 'gw-1', used: ['gw-1'] }])
    expect(await asked('invite revoke', { id: '2AZZ' })).toEqual({ id: '2AZZ', state: 'expired' })
    await expect(asked('invite revoke')).rejects.toThrow('there is no invite')

    process.emit('SIGTERM')
    expect(await running).toBe(0)
    expect(node!.stops).toBe(1)
    expect(messages().slice(-2)).toEqual(['edge-mqtt stops', 'edge-mqtt has stopped'])
    expect(existsSync(where().controlSocket)).toBe(false)
    expect(process.listenerCount('SIGTERM')).toBe(0)
  })

  test('who asks while it starts is answered as soon as there is a node', async () => {
    let compose: (made: Awaited<ReturnType<World['compose']>>) => void = () => {}
    const slow = {
      ...world,
      compose: () =>
        new Promise<Awaited<ReturnType<World['compose']>>>((resolve) => {
          compose = resolve
        }),
    }
    const running = runDaemon({ dataDir: directory, set: [], newCluster: false }, slow, sink)
    while (!existsSync(where().statusSocket)) await new Promise<void>((resolve) => setImmediate(resolve))
    const early = asked('status')
    compose(await world.compose())
    expect(await early).toHaveProperty('node.name', 'gw-1')
    process.emit('SIGTERM')
    expect(await running).toBe(0)
  })

  test('a second signal at once is the same wish, a later one goes without waiting', async () => {
    hangs = true
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never)
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000)
    const running = start()
    await logged('ready')
    process.emit('SIGINT')
    now.mockReturnValue(1_010)
    process.emit('SIGINT')
    expect(exit).not.toHaveBeenCalled()
    now.mockReturnValue(2_000)
    process.emit('SIGINT')
    expect(exit).toHaveBeenCalledWith(0)
    void running
  })

  test('a stop that hangs is over after two seconds', async () => {
    hangs = true
    const running = start()
    await logged('ready')
    vi.useFakeTimers()
    process.emit('SIGTERM')
    vi.advanceTimersByTime(2_000)
    vi.useRealTimers()
    expect(await running).toBe(0)
    expect(messages()).toContain('the stop took too long: going anyway')
  })

  test('the authenticator follows the policy of the configuration', async () => {
    const running = start('auth.anonymous=always')
    await logged('ready')
    const results: string[] = []
    const request = {
      clientId: '',
      username: null,
      password: null,
      remoteAddress: '10.0.0.1',
      localAddress: '10.0.0.2',
    }
    node!.ports.authenticator.authenticate({ ...request, listener: 'mqtt' }, (result) => results.push(result))
    expect(results).toEqual(['allowed'])
    process.emit('SIGTERM')
    await running
  })
})

describe('failures', () => {
  for (const [kind, exitStatus] of [
    ['unavailable', 69],
    ['denied', 77],
    ['invalid', 78],
    ['failed', 1],
  ] as const) {
    test(`what the world refuses as ${kind} ends with ${exitStatus}`, async () => {
      refusal = new HostError(kind, 'port 1883 is taken by mosquitto')
      await expect(start()).rejects.toMatchObject({ status: exitStatus, message: 'port 1883 is taken by mosquitto' })
      expect(node!.stops).toBe(1)
      expect(existsSync(where().controlSocket)).toBe(false)
    })
  }

  test('a second daemon on the same data ends with 69 before it touches anything', async () => {
    const running = start()
    await logged('ready')
    const first = node
    await expect(start()).rejects.toMatchObject({
      status: 69,
      message: expect.stringContaining('already running here'),
    })
    expect(node).toBe(first)
    expect(await asked('version')).toHaveProperty('version')
    process.emit('SIGTERM')
    expect(await running).toBe(0)
  })

  test('what nobody expected is logged and ends the process with 1', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never)
    const running = start()
    await logged('ready')
    const before = process.listeners('uncaughtException')
    // Only the daemon's own listener: the test runner has one too.
    before.at(-1)!(new Error('a bug'), 'uncaughtException')
    expect(exit).toHaveBeenCalledWith(1)
    expect(lines.at(-1)).toContain('Error: a bug')
    expect(existsSync(where().controlSocket)).toBe(false)
    void running
  })
})

describe('reload', () => {
  const write = (text: string) => writeFileSync(join(directory, 'edge-mqtt.yaml'), text)

  test('applies what can change and names what cannot', async () => {
    write('log: { level: info }\n')
    const running = start()
    await logged('ready')
    write(
      'log: { level: debug, format: json }\ncluster: { port: 5000, discovery: { peers: [gw-2] } }\nauth: { anonymous: never }\n',
    )
    process.emit('SIGHUP')
    await logged('these settings take a restart: systemctl restart edge-mqtt')
    expect(node!.configured[0]!.cluster.peers).toEqual([{ address: 'gw-2', port: 4883 }])
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ keys: ['cluster.port', 'log.format'] })
    node!.ports.log.debug({}, 'heard now')
    expect(messages().at(-1)).toBe('heard now')
    const request = {
      clientId: '',
      username: null,
      password: null,
      remoteAddress: '::1',
      localAddress: '::1',
      listener: '',
    }
    let result = ''
    node!.ports.authenticator.authenticate(request, (given) => {
      result = given
    })
    expect(result).toBe('notAuthorized')
    process.emit('SIGTERM')
    await running
  })

  test('a wrong file keeps the old settings and says why', async () => {
    const running = start()
    await logged('ready')
    write('cluster:\n  prot: 1\nlog:\n  level: loud\n')
    process.emit('SIGHUP')
    await logged('reload refused: the settings stay as they were')
    expect(node!.configured).toEqual([])
    expect(messages().filter((text) => text.startsWith('reload refused:')).length).toBe(4)
    expect(messages().join('\n')).toContain('edge-mqtt.yaml:2: cluster.prot: unknown key')
    process.emit('SIGTERM')
    await running
  })
})
