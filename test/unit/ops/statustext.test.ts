import { describe, expect, test } from 'vitest'
import type { MemberStatus } from '../../../src/cluster/status.ts'
import type { NodeStatus } from '../../../src/compose.ts'
import { clusterText, spanText, standing, statusLine, statusText, table } from '../../../src/ops/statustext.ts'

const NOW = 1_700_000_000_000

const member = (name: string, more: Partial<MemberStatus> = {}): MemberStatus => ({
  id: `${name}-id`,
  name,
  self: false,
  state: 'alive',
  linked: true,
  address: `${name}:4883`,
  version: '0.1.0',
  rttMs: 0.42,
  sinceMs: NOW - 125_000,
  ...more,
})

const self = member('gw-1', { self: true, rttMs: null })

const base: NodeStatus = {
  node: { id: '00112233', name: 'gw-1', version: '0.1.0', state: 'ready', uptimeMs: 90_061_000 },
  listeners: [{ name: 'mqtt', type: 'mqtt', bind: '0.0.0.0', port: 1883, connections: 42 }],
  cluster: {
    enabled: true,
    name: 'default',
    id: 'c0ffee',
    state: 'member',
    port: 4883,
    role: 'core',
    address: null,
    members: [self, member('gw-2'), member('gw-3')],
    refused: [],
    waiting: [],
    asking: null,
  },
  clients: 42,
  sessions: 43,
  subscriptions: 100,
  retained: 7,
  routes: 1,
  rates: { inPerSecond: 118.2, outPerSecond: 240 },
  dropped: 3,
  problems: [],
  counters: {},
}

const withCluster = (more: Partial<NodeStatus['cluster']>): NodeStatus => ({
  ...base,
  cluster: { ...base.cluster, ...more },
})

describe('the Status line', () => {
  test('as systemd shows it', () => {
    expect(statusLine(base)).toBe('gw-1: 3 of 3 members linked, 42 clients, 118 msg/s in, 240 out')
  })
  test('one client, small and large rates, problems', () => {
    const busy = { ...base, clients: 1, rates: { inPerSecond: 0.25, outPerSecond: 1_234_567 }, problems: ['a'] }
    expect(statusLine(busy)).toBe('gw-1: 3 of 3 members linked, 1 client, 0.3 msg/s in, 1 234 567 out (1 problem)')
  })
  for (const [words, more] of [
    ['2 of 3 members linked', { members: [self, member('a'), member('b', { linked: false, state: 'dead' })] }],
    ['1 of 1 members linked', { members: [self, member('b', { state: 'left' }), member('c', { state: 'left' })] }],
    ['alone', { members: [self], state: 'alone' }],
    ['looking for others', { members: [self], state: 'alone', id: null }],
    ['waiting to be let in', { members: [self], state: 'waiting', id: null }],
    [
      'waiting to be let in: edge-mqtt cluster approve 00112233 (acid acorn actor album)',
      { members: [self], state: 'waiting', id: null, asking: { address: 'a', words: 'acid acorn actor album' } },
    ],
    ['single node', { enabled: false, members: [] }],
  ] as const) {
    test(words, () => {
      const expected = words.startsWith('1 of 1') ? 'alone' : words
      expect(standing(withCluster(more))).toBe(expected)
    })
  }
})

describe('the screen', () => {
  test('has everything on it', () => {
    expect(statusText(base, NOW)).toBe(`gw-1: 3 of 3 members linked, 42 clients, 118 msg/s in, 240 out

Node       00112233 ready, up 1d 1h, version 0.1.0
Traffic    118 msg/s in, 240 out, 3 dropped
Holds      42 clients, 43 sessions, 100 subscriptions, 7 retained, 1 route
Listeners  mqtt (mqtt) on 0.0.0.0:1883: 42 connections
Cluster    default (c0ffee), port 4883: 3 of 3 members linked

Members
  gw-1  this box                           gw-1:4883  0.1.0  gw-1-id
  gw-2  alive, linked (0.4 ms)  for 2m 5s  gw-2:4883  0.1.0  gw-2-id
  gw-3  alive, linked (0.4 ms)  for 2m 5s  gw-3:4883  0.1.0  gw-3-id
`)
  })

  test('names the refused, the waiting and the problems', () => {
    const text = statusText(
      {
        ...withCluster({
          refused: [{ address: '10.0.0.9:4883', reason: 'foreign CA', count: 12, lastMs: NOW - 4000 }],
          waiting: [{ address: '10.0.0.7:4883', id: 'abc', name: 'gw-9', words: 'one two three four', replaces: null }],
        }),
        problems: ['beacons: port 4883 is taken'],
      },
      NOW,
    )
    expect(text).toContain('Refused\n  10.0.0.9:4883  foreign CA  12 times, last 4s ago\n')
    expect(text).toMatch(
      /^Waiting to be let in \(.*cluster approve ID\)\n {2}gw-9 {2}abc {2}10.0.0.7:4883 {2}one two three four\n/m,
    )
    expect(text).toContain('Problems\n  ! beacons: port 4883 is taken\n')
  })

  test('tells what waits for a member', () => {
    const queue = { queued: 7, dropped: 3, parked: 5 }
    const away = member('gw-2', { state: 'dead', linked: false, rttMs: null, queue })
    const idle = member('gw-3', { queue: { queued: 0, dropped: 0, parked: 0 } })
    const text = clusterText(withCluster({ members: [self, away, idle] }), NOW)
    expect(text).toMatch(/gw-2-id {2}7 waiting, 5 parked, 3 dropped \(QoS 0\)$/m)
    expect(text).toMatch(/gw-3-id$/m)
  })

  test("a stranger's name cannot move the cursor", () => {
    const text = clusterText(withCluster({ members: [self, member('\u001b[2J\nroot#')] }), NOW)
    expect(text).toContain('?[2J?root#')
  })

  test('a cluster that is off is one line', () => {
    expect(clusterText(withCluster({ enabled: false }), NOW)).toBe('Cluster    off (cluster.enabled is false)\n')
  })
})

test('spans are their two largest units', () => {
  const spans = [-5, 0, 999, 1000, 65_000, 3_600_000, 3_601_000, 90_061_000, 864_000_000]
  expect(spans.map(spanText)).toEqual(['0s', '0s', '0s', '1s', '1m 5s', '1h', '1h', '1d 1h', '10d'])
})

test('columns line up', () => {
  expect(
    table([
      ['a', 'bbb'],
      ['cc', 'd'],
    ]),
  ).toEqual(['  a   bbb', '  cc  d'])
})
