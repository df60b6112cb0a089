import { describe, expect, test } from 'vitest'
import type { ClientId, ClusterId, NodeId } from '../../../src/base/ids.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import type { Account, GrantedRule } from '../../../src/broker/accountfile.ts'
import { Accounts } from '../../../src/broker/accounts.ts'
import { Access } from '../../../src/broker/authorize.ts'
import { StampedMap } from '../../../src/broker/stampedmap.ts'
import { LwwReplica } from '../../../src/cluster/maps/lwwreplica.ts'
import { encodeLww } from '../../../src/wire/link/lww.ts'
import { Mesh, nodeIdOf } from '../../mesh.ts'
import { accountsInMemory, FilesInMemory } from './make.ts'

const account = (name: string, changes: Partial<Account> = {}): Account => ({
  is: 'account',
  name,
  verifier: { kind: 'sha256', hash: 'aGFzaA==' },
  scram: null,
  groups: [],
  ...changes,
})
const rule = (text: string): GrantedRule => {
  const [who, effect, action, filter] = text.split(' ')
  return { is: 'rule', who, effect, action, filter } as GrantedRule
}
const ignore = () => {}
const SLOW = { kind: 'scrypt', cost: 2 ** 24, blockSize: 8, parallel: 1, salt: 'c2FsdA==', hash: 'aGFzaA==' } as const
const HOME = '0123456789abcdef' as ClusterId
const AWAY = 'fedcba9876543210' as ClusterId

describe('kept', () => {
  test('accounts, rules and what was removed are there again after a restart', () => {
    const files = new FilesInMemory()
    const before = accountsInMemory(files)
    before.setAccount(account('anna', { groups: ['family'] }), ignore)
    before.setAccount(account('bob'), ignore)
    before.setRule(rule('user:anna allow both a/#'), ignore)
    before.setRule(rule('all deny publish b/#'), ignore)
    expect(before.removeAccount('bob', ignore)).toBe(true)
    expect(before.removeRule(rule('all allow publish b/#'), ignore)).toBe(true)
    const after = accountsInMemory(files)
    expect(after.accounts()).toEqual([account('anna', { groups: ['family'] })])
    expect(after.rules()).toEqual([rule('user:anna allow both a/#')])
    // The tombstone is kept too: an account made by itself does not rise again.
    after.joined(HOME, [account('bob')])
    expect(after.account('bob')).toBeUndefined()
  })

  test('a box whose clock went back still writes later than before', () => {
    const files = new FilesInMemory()
    accountsInMemory(files, () => 5000).setAccount(account('anna'), ignore)
    accountsInMemory(files, () => 1).removeAccount('anna', ignore)
    expect(accountsInMemory(files).account('anna')).toBeUndefined()
  })

  test('what a box makes by itself gives way to what was written on purpose', () => {
    const files = new FilesInMemory()
    const accounts = accountsInMemory(files)
    accounts.joined(HOME, [account('devices')])
    accounts.setAccount(account('devices', { groups: ['mine'] }), ignore)
    accounts.joined(HOME, [account('devices')])
    expect(accountsInMemory(files).account('devices')?.groups).toEqual(['mine'])
  })

  test('what a box made by itself in another cluster gives way to what it makes in this one', () => {
    const files = new FilesInMemory()
    const before = accountsInMemory(files)
    before.joined(HOME, [account('devices')])
    before.setAccount(account('anna'), ignore)
    const accounts = accountsInMemory(files)
    const changed: string[] = []
    accounts.watch({ rulesChanged: () => {}, accountChanged: (name) => void changed.push(name) })
    accounts.joined(HOME, [account('devices')])
    expect(changed).toEqual([])
    accounts.joined(AWAY, [account('devices', { verifier: { kind: 'sha256', hash: 'b3RoZXI=' } })])
    expect(changed).toEqual(['devices', 'devices'])
    const after = accountsInMemory(files)
    expect(after.account('devices')?.verifier.hash).toBe('b3RoZXI=')
    expect(after.account('anna')).toBeDefined()
    // And to nothing on a box that lacks the CA's key: it hears from the others.
    after.joined(HOME, [])
    expect(accountsInMemory(files).accounts()).toEqual([account('anna')])
  })

  test('an account of the time before the CA got another key keeps the password that clients know', () => {
    const files = new FilesInMemory()
    accountsInMemory(files).joined(HOME, [account('devices')])
    const accounts = accountsInMemory(files)
    accounts.joined(HOME, [account('devices', { verifier: { kind: 'sha256', hash: 'b3RoZXI=' } })])
    expect(accounts.account('devices')).toEqual(account('devices'))
    expect(accounts.get('account:devices')!.stamp.wallMs).toBeGreaterThan(0)
  })

  for (const text of ['', '{', '[]', '{"version":2,"entries":[]}', '{"version":1,"entries":[{"key":"account:x"}]}']) {
    test(`a damaged file (${text}) is set aside and starts empty`, () => {
      const files = new FilesInMemory()
      files.files.set('accounts.json', Buffer.from(text))
      expect(accountsInMemory(files).accounts()).toEqual([])
      expect(files.files.get('accounts.damaged.json')?.toString()).toBe(text)
    })
  }

  test('what cannot be written is said', () => {
    const files = new FilesInMemory()
    const accounts = accountsInMemory(files)
    files.full = true
    let said = ''
    accounts.setRule(rule('all allow both #'), (error) => {
      said = error?.message ?? ''
    })
    expect(said).toContain('no space left')
  })
})

describe('the latest write wins', () => {
  const stamp = (wallMs: number, node: string) => ({ wallMs, counter: 0, node: node.repeat(16) as NodeId })
  const writes = [
    { key: 'k', stamp: stamp(1, 'a'), value: 'one' },
    { key: 'k', stamp: stamp(2, 'a'), value: null },
    { key: 'k', stamp: stamp(2, 'b'), value: 'two' },
  ]
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
    [2, 0, 1, 2],
  ]) {
    test(`in the order ${order}`, () => {
      const map = new StampedMap<string>()
      for (const index of order) map.put(writes[index]!)
      expect([map.get('k'), map.size, map.entryCount]).toEqual(['two', 1, 1])
    })
  }
})

describe('on several boxes', () => {
  const box = (mesh: Mesh, id: NodeId, files = new FilesInMemory()) => {
    const node = mesh.start(id)
    let replica!: LwwReplica
    const accounts = new Accounts(files, silentLog, (bounds, table) => {
      return (replica = new LwwReplica(bounds, node.world, node.stamps, table))
    })
    replica.attach(node)
    const changed: string[] = []
    accounts.watch({
      rulesChanged: () => changed.push('rules'),
      accountChanged: (name) => void changed.push(name),
    })
    return { accounts, changed, files, node, replica }
  }
  const [A, B] = [nodeIdOf(0xa), nodeIdOf(0xb)]

  test('what is written on one counts on the other at once, and is on its disk', () => {
    const mesh = new Mesh()
    const [a, b] = [box(mesh, A), box(mesh, B)]
    mesh.link(A, B)
    const before = b.accounts.generation
    a.accounts.setAccount(account('anna', { groups: ['family'] }), ignore)
    a.accounts.setRule(rule('group:family allow both home/#'), ignore)
    mesh.clock.advance(10)
    expect(b.accounts.account('anna')).toEqual(account('anna', { groups: ['family'] }))
    expect(b.accounts.of('anna').rules).toHaveLength(1)
    expect(b.accounts.generation).toBeGreaterThan(before)
    expect(b.changed).toEqual(['rules', 'anna', 'rules'])
    expect(accountsInMemory(b.files).accounts()).toHaveLength(1)
    b.accounts.removeAccount('anna', ignore)
    mesh.clock.advance(10)
    expect(a.accounts.accounts()).toEqual([])
    expect(a.changed.at(-1)).toBe('anna')
    expect(mesh.errors).toEqual([])
  })

  test('after a cut the later write counts, and what was removed stays so', () => {
    const mesh = new Mesh()
    const [a, b] = [box(mesh, A), box(mesh, B)]
    mesh.link(A, B)
    for (const name of ['anna', 'bob']) a.accounts.setAccount(account(name), ignore)
    mesh.clock.advance(10)
    mesh.cut(A, B)
    a.accounts.setAccount(account('anna', { groups: ['older'] }), ignore)
    b.accounts.removeAccount('bob', ignore)
    mesh.clock.advance(10)
    b.accounts.setAccount(account('anna', { groups: ['later'] }), ignore)
    mesh.link(A, B)
    mesh.clock.advance(5000)
    for (const { accounts } of [a, b]) expect(accounts.accounts()).toEqual([account('anna', { groups: ['later'] })])
  })

  test('boxes that make the same account by themselves agree, and one that makes another one gives way', () => {
    const mesh = new Mesh()
    const [a, b] = [box(mesh, A), box(mesh, B)]
    a.accounts.joined(HOME, [account('devices')])
    b.accounts.joined(HOME, [account('devices', { verifier: { kind: 'sha256', hash: 'b3RoZXI=' } })])
    mesh.link(A, B)
    mesh.clock.advance(5000)
    expect(a.accounts.accounts()).toHaveLength(1)
    expect(a.accounts.accounts()).toEqual(b.accounts.accounts())
  })

  test('a box that goes over to another cluster brings its accounts as the oldest, and removes none there', () => {
    const mesh = new Mesh()
    const [a, b] = [box(mesh, A), box(mesh, B)]
    for (const { accounts } of [a, b]) accounts.joined(HOME, [account('devices')])
    a.accounts.setAccount(account('both', { groups: ['theirs'] }), ignore)
    a.accounts.setAccount(account('bob'), ignore)
    mesh.clock.advance(10)
    b.accounts.setAccount(account('both', { groups: ['brought'] }), ignore)
    b.accounts.setAccount(account('anna'), ignore)
    b.accounts.removeAccount('devices', ignore)
    b.accounts.removeAccount('bob', ignore)
    mesh.clock.advance(31 * 24 * 3600 * 1000)
    b.accounts.setAccount(account('gone'), ignore)
    b.accounts.removeAccount('gone', ignore)
    expect(b.replica.horizon).not.toBeNull()
    b.replica.renounce(B)
    expect(b.replica.horizon).toBeNull()
    mesh.link(A, B)
    mesh.clock.advance(5000)
    const all = [account('anna'), account('bob'), account('both', { groups: ['theirs'] }), account('devices')]
    for (const { accounts } of [a, b]) expect(accounts.accounts()).toEqual(all)
    expect(mesh.errors).toEqual([])
  })

  test('what nobody remembers was removed is not made again', () => {
    const mesh = new Mesh()
    const files = new FilesInMemory()
    const a = box(mesh, A, files)
    a.accounts.joined(HOME, [account('devices')])
    a.accounts.removeAccount('devices', ignore)
    mesh.clock.advance(31 * 24 * 3600 * 1000)
    expect(a.accounts.get('account:devices')).toBeUndefined()
    const again = box(mesh, A, files)
    again.accounts.joined(HOME, [account('devices')])
    expect(again.accounts.accounts()).toEqual([])
  })

  test.each([
    ['no JSON', 'account:x', '{'],
    ['of another key', 'account:x', JSON.stringify(account('y'))],
    ['a rule for nobody', 'rule:["x","both","#"]', JSON.stringify(rule('x allow both #'))],
    ['a verifier that would take a day', 'account:x', JSON.stringify(account('x', { verifier: SLOW }))],
  ])('what makes no sense (%s) closes the link', (_what, key, text) => {
    const mesh = new Mesh()
    const b = box(mesh, B)
    box(mesh, A)
    mesh.link(A, B)
    mesh.clock.advance(10)
    const item = { key, stamp: b.node.stamps.next(), value: Buffer.from(text) }
    mesh.inject(A, B, 'lww.accounts', encodeLww({ kind: 'change', items: [item] }))
    expect(mesh.errors).toEqual(['an account or rule that makes no sense'])
    expect([...b.accounts.accounts(), ...b.accounts.rules()]).toEqual([])
  })
})

describe('access', () => {
  const of = (name: string | null, clientId: string, ...rules: string[]) => {
    const accounts = accountsInMemory()
    accounts.setAccount(account('anna', { groups: ['family'] }), ignore)
    for (const text of rules) accounts.setRule(rule(text), ignore)
    return new Access(name, clientId as ClientId, accounts)
  }

  test('without rules everything but the own topics of the broker', () => {
    const access = of(null, 'c')
    expect(['a', '$SYS/a', '$edge/a'].map((topic) => access.mayPublish(topic))).toEqual([true, false, false])
    expect(['a', '$SYS/a', '$edge/a'].map((topic) => access.mayReceive(topic))).toEqual([true, true, false])
    expect(['#', '$SYS/#', '$edge/#'].map((filter) => access.maySubscribe(filter))).toEqual([true, true, false])
  })

  test('one rule that allows limits to what rules allow, in both directions', () => {
    const access = of('anna', 'c', 'group:family allow publish home/#')
    expect(['home/a', 'x'].map((topic) => access.mayPublish(topic))).toEqual([true, false])
    expect(access.maySubscribe('home/#')).toBe(false)
    expect(of('other', 'c', 'group:family allow publish home/#').mayPublish('x')).toBe(true)
  })

  test('$SYS needs a rule that names it once there are rules', () => {
    expect(of(null, 'c', 'all allow subscribe #').maySubscribe('$SYS/#')).toBe(false)
    expect(of(null, 'c', 'all allow subscribe $SYS/#').mayReceive('$SYS/broker/uptime')).toBe(true)
  })

  test('a subscription is refused when nothing can come of it', () => {
    const access = of('anna', 'c', 'user:anna allow subscribe a/+/c', 'all deny subscribe a/secret/#')
    const filters = ['#', 'a/+/c', 'a/b/#', 'a/b', 'a/secret/c', 'a/secret/+', 'b/#', '+/x/+']
    expect(filters.filter((filter) => access.maySubscribe(filter))).toEqual(['#', 'a/+/c', 'a/b/#', '+/x/+'])
  })

  for (const clientId of ['+', '#', 'x/y', 'a+', '$SYS', '']) {
    test(`a client that calls itself ${JSON.stringify(clientId)} gets nothing by %c`, () => {
      const access = of(null, clientId, 'all allow both %c/#', 'all allow both d/%c', 'all deny both d/%c/x')
      const topics = ['a', 'x/y/z', '+/a', '$SYS/a', 'd/a', 'd/+', `${clientId}/a`]
      expect(topics.filter((topic) => access.mayPublish(topic) || access.mayReceive(topic))).toEqual([])
    })
  }

  test('a client that calls itself strangely is denied what anybody is', () => {
    const access = of(null, 'x/y', 'all deny publish d/%c/#')
    expect(access.mayPublish('d/x/y')).toBe(false)
    expect(access.mayPublish('e/x')).toBe(true)
  })

  test('a mosquitto acl_file denies what it does not name, and %c is just text in its topics', () => {
    const accounts = accountsInMemory()
    const access = new Access('anna', 'c' as ClientId, accounts)
    expect(access.mayPublish('x')).toBe(true)
    accounts.setFileRules([{ ...rule('user:anna allow publish %c'), plain: true }])
    expect(['%c', 'c', 'x'].filter((topic) => access.mayPublish(topic))).toEqual(['%c'])
    accounts.setFileRules(null)
    expect(access.mayPublish('x')).toBe(true)
  })

  test("a listener's own acl_file counts there and nowhere else, instead of the one for all", () => {
    const accounts = accountsInMemory()
    const own = { ...rule('user:anna allow publish guests/#'), plain: true }
    accounts.setFileRules([{ ...rule('user:anna allow publish #'), plain: true }], new Map([['guests', [own]]]))
    const at = (listener: string | null) => new Access('anna', 'c' as ClientId, accounts, listener)
    const may = (access: Access) => ['guests/x', 'x'].filter((topic) => access.mayPublish(topic))
    const there = at('guests')
    expect([at('mqtt'), at(null), there].map(may)).toEqual([['guests/x', 'x'], ['guests/x', 'x'], ['guests/x']])
    accounts.setRule(rule('user:anna deny publish guests/x'), () => {})
    expect(may(there)).toEqual([])
    accounts.setFileRules(null, new Map())
    expect(may(there)).toEqual(['x'])
    accounts.setFileRules(null, new Map([['guests', [own]]]))
    expect([may(there), may(at('mqtt'))]).toEqual([[], ['x']])
  })
})
