import { describe, expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { StampClock } from '../../../src/base/stamps.ts'
import type { Account, GrantedRule } from '../../../src/broker/accountfile.ts'
import { Accounts } from '../../../src/broker/accounts.ts'
import { Access } from '../../../src/broker/authorize.ts'
import { StampedMap } from '../../../src/broker/stampedmap.ts'
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
    after.setFirst(account('bob'))
    expect(after.account('bob')).toBeUndefined()
  })

  test('a box whose clock went back still writes later than before', () => {
    const files = new FilesInMemory()
    const node = '00000000000000aa' as NodeId
    new Accounts(files, silentLog, new StampClock(node, () => 5000)).setAccount(account('anna'), ignore)
    const after = new Accounts(files, silentLog, new StampClock(node, () => 1))
    after.removeAccount('anna', ignore)
    expect(accountsInMemory(files).account('anna')).toBeUndefined()
  })

  test('what a box makes by itself gives way to what was written on purpose', () => {
    const files = new FilesInMemory()
    const accounts = accountsInMemory(files)
    accounts.setFirst(account('devices'))
    accounts.setAccount(account('devices', { groups: ['mine'] }), ignore)
    accounts.setFirst(account('devices'))
    expect(accountsInMemory(files).account('devices')?.groups).toEqual(['mine'])
  })

  test('what a box made by itself in another cluster gives way to what it makes in this one', () => {
    const files = new FilesInMemory()
    accountsInMemory(files).setFirst(account('devices'))
    const accounts = accountsInMemory(files)
    const changed: string[] = []
    accounts.watch({ rulesChanged: () => {}, accountChanged: (name) => void changed.push(name) })
    accounts.setFirst(account('devices'))
    expect(changed).toEqual([])
    accounts.setFirst(account('devices', { verifier: { kind: 'sha256', hash: 'b3RoZXI=' } }))
    expect(changed).toEqual(['devices'])
    expect(accountsInMemory(files).account('devices')?.verifier.hash).toBe('b3RoZXI=')
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
})
