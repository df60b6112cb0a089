import { beforeEach, describe, expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/ids.ts'
import { limits } from '../../../../src/base/limits.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import { pulse } from '../../../../src/cluster/links/heartbeat.ts'
import type { Link, LinkEnd } from '../../../../src/cluster/links/link.ts'
import { Members } from '../../../../src/cluster/members/members.ts'
import { type Evidence, type MemberState, transition } from '../../../../src/cluster/members/memberstate.ts'
import type { MemberEntry } from '../../../../src/wire/link/members.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { at, instance, node } from '../fakes.ts'

const settings = { heartbeatMs: 1000, deadAfterMs: 5000 }

describe('the state of a member', () => {
  const table: [Evidence, MemberState, MemberState, MemberState, MemberState][] = [
    // evidence    alive      suspect    dead     left
    ['linked', 'alive', 'alive', 'alive', 'alive'],
    ['heard', 'alive', 'alive', 'dead', 'left'],
    ['silent', 'suspect', 'suspect', 'dead', 'left'],
    ['lost', 'suspect', 'suspect', 'dead', 'left'],
    ['overdue', 'dead', 'dead', 'dead', 'left'],
    ['stopped', 'dead', 'dead', 'dead', 'left'],
    ['left', 'left', 'left', 'left', 'left'],
  ]
  test.each(table)('%s', (evidence, ...after) => {
    const states: MemberState[] = ['alive', 'suspect', 'dead', 'left']
    expect(states.map((state) => transition(state, evidence))).toEqual(after)
  })

  test.each([
    [0, 'alive'],
    [2000, 'alive'],
    [2001, 'suspect'],
    [4999, 'suspect'],
    [5000, 'dead'],
  ])('%i ms of silence: %s', (silentMs, verdict) => {
    expect(pulse(silentMs, settings)).toBe(verdict)
  })
})

describe('members', () => {
  let clock: VirtualClock
  let members: Members
  let changes: string[]
  beforeEach(() => {
    clock = new VirtualClock()
    members = new Members(node('1'), { clock, log: silentLog })
    changes = []
    members.onChange(({ id, state, linked }) => changes.push(`${id[0]} ${state}${linked ? ' linked' : ''}`))
  })
  const link = (id: string, more: Partial<Link> = {}): Link =>
    ({
      via: null,
      peer: node(id),
      peerInstance: instance(id),
      dialled: null,
      remote: at(`10.0.0.${id}`, 40_000),
      heardMs: clock.now(),
      rttMs: 3,
      told: { clusterPort: 4883, endpoints: [at(`10.0.0.${id}`)], name: `gw-${id}`, version: '1' },
      ...more,
    }) as unknown as Link
  const entry = (id: string, more: Partial<MemberEntry> = {}): MemberEntry => ({
    id: node(id),
    instance: instance(id),
    endpoints: [at(`10.0.0.${id}`)],
    name: `gw-${id}`,
    version: '1',
    linked: true,
    left: false,
    ...more,
  })
  const gone = (more: Partial<LinkEnd> = {}): LinkEnd => ({ reason: 'reset', by: 'stream', goodbye: null, ...more })
  const look = () => members.look(clock.now(), settings, 250)

  test('linked, cut off, overdue, back', () => {
    const first = link('2')
    members.linkUp(first)
    members.linkDown(first, gone())
    clock.advance(4700)
    look()
    expect(changes).toEqual(['2 alive linked', '2 suspect'])
    clock.advance(100)
    look()
    members.linkUp(link('2'))
    expect(changes).toEqual(['2 alive linked', '2 suspect', '2 dead', '2 alive linked'])
  })

  test('silent on a link that stands, and heard again', () => {
    const standing = { ...link('2') } as { heardMs: number } & Link
    members.linkUp(standing)
    clock.advance(2001)
    look()
    expect(members.member(node('2'))).toMatchObject({ state: 'suspect', linked: true })
    ;(standing as { heardMs: number }).heardMs = clock.now()
    look()
    expect(changes).toEqual(['2 alive linked', '2 suspect linked', '2 alive linked'])
  })

  test.each([
    [{ reason: 'silent', by: 'us' } as const, 'dead'],
    [{ goodbye: 'stopping', by: 'peer' } as const, 'dead'],
    [{ goodbye: 'leaving', by: 'peer' } as const, 'left'],
    [{ goodbye: 'duplicate', by: 'peer' } as const, 'suspect'],
  ])('its link ended so: %o', (end, state) => {
    const standing = link('2')
    members.linkUp(standing)
    members.linkDown(standing, gone(end))
    expect(changes.at(-1)).toBe(`2 ${state}`)
  })

  test('the end of a link that was replaced changes nothing', () => {
    const old = link('2')
    members.linkUp(old)
    members.linkUp(link('2', { peerInstance: instance('9') }))
    expect(members.linkDown(old, gone())).toBeNull()
    expect(members.member(node('2'))).toMatchObject({ state: 'alive', linked: true })
  })

  test('it is dead only when nobody who can be heard says that it has a link with it', () => {
    members.linkUp(link('2'))
    members.linkUp(link('3'))
    const third = members.get(node('3'))!
    members.told(entry('3', { linked: true }), node('2'))
    members.linkDown(third.link!, { reason: 'silent', by: 'us', goodbye: null })
    const look = () => members.look(clock.now(), { heartbeatMs: 1000, deadAfterMs: 5000 }, 0)
    look()
    expect([third.state, members.vouchers(node('3'))]).toEqual(['suspect', [node('2')]])
    clock.advance(60_000)
    members.get(node('2'))!.link = link('2')
    look()
    expect(third.state).toBe('suspect')
    members.told(entry('3', { linked: false }), node('2'))
    look()
    expect([third.state, members.vouchers(node('3'))]).toEqual(['dead', []])
  })

  test('the word of who falls silent himself counts no more', () => {
    members.linkUp(link('2'))
    members.told(entry('3', { linked: true }), node('2'))
    clock.advance(5000)
    members.look(clock.now(), { heartbeatMs: 1000, deadAfterMs: 5000 }, 0)
    expect(members.get(node('3'))!.state).toBe('dead')
  })

  test('told of: suspect, then dead when no link comes', () => {
    expect(members.told(entry('3'), node('2'))).not.toBeNull()
    expect(changes).toEqual(['3 suspect'])
    clock.advance(5000)
    look()
    expect(changes.at(-1)).toBe('3 dead')
  })

  test('news comes to rest: only what is new is told on', () => {
    expect(members.told(entry('3'), node('2'))).not.toBeNull()
    expect(members.told(entry('3'), node('4'))).toBeNull()
    const restarted = entry('3', { instance: instance('8') })
    expect(members.told(restarted, node('2'))).not.toBeNull()
    expect(members.told(restarted, node('4'))).toBeNull()
    expect(members.told(entry('3', { instance: instance('8'), left: true }), node('4'))).not.toBeNull()
    expect(members.told(entry('3', { instance: instance('8'), left: true }), node('2'))).toBeNull()
    expect(members.member(node('3'))?.state).toBe('left')
  })

  test('nobody tells us of ourselves, nor that a member has left whom we are linked with', () => {
    expect(members.told(entry('1', { left: true }), node('2'))).toBeNull()
    members.linkUp(link('3'))
    expect(members.told(entry('3', { left: true, instance: instance('f') }), node('2'))).toBeNull()
    expect(changes).toEqual(['3 alive linked'])
  })

  test('a member tells its own new addresses', () => {
    members.linkUp(link('3'))
    members.told(entry('3', { endpoints: [at('10.9.9.9')] }), node('3'))
    expect(members.get(node('3'))!.endpoints).toContainEqual(at('10.9.9.9'))
  })

  test('an address on this machine alone is not told on, unless there is no other', () => {
    const local = at('127.0.0.1', 40_000)
    members.linkUp(link('2', { remote: local }))
    expect(members.get(node('2'))?.endpoints).toContainEqual(at('127.0.0.1'))
    expect(members.get(node('2'))?.entry().endpoints).toEqual([at('10.0.0.2')])
    members.linkUp(
      link('3', { remote: local, told: { clusterPort: 4883, endpoints: [], name: 'gw-3', version: '1' } as never }),
    )
    expect(members.get(node('3'))?.entry().endpoints).toEqual([at('127.0.0.1')])
  })

  test('what strangers to us are told of never pushes out whom we know', () => {
    for (const id of ['2', '3']) members.linkUp(link(id))
    for (let count = 0; count < 1000; count++) {
      const id = (0x1000_0000 + count).toString(16).padStart(16, '0') as NodeId
      members.told(entry('9', { id }), node('2'))
      if (count === 500) clock.advance(6000)
      look()
    }
    expect(members.size).toBe(limits.members)
    expect(members.member(node('2'))?.linked && members.member(node('3'))?.linked).toBe(true)
  })

  test('rows of status', () => {
    members.linkUp(link('2'))
    expect(members.rows()).toEqual([
      {
        id: node('2'),
        name: 'gw-2',
        self: false,
        state: 'alive',
        linked: true,
        address: '10.0.0.2:4883',
        version: '1',
        rttMs: 3,
        sinceMs: clock.wall(),
      },
    ])
  })
})
