import { describe, expect, test } from 'vitest'
import { ProtocolError } from '../../../src/base/errors.ts'
import type { ClientId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import { Turn } from '../../../src/base/outbox.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { ampleMemory } from '../../../src/base/ports/memory.ts'
import { bounds } from '../../../src/broker/bounds.ts'
import { Interest } from '../../../src/broker/interest.ts'
import { Keeping } from '../../../src/broker/keeping.ts'
import { MemoryGuard } from '../../../src/broker/memory-guard.ts'
import { NoKeeper, NoPeers } from '../../../src/broker/ports.ts'
import { ReceiversCache } from '../../../src/broker/receivers.ts'
import { Safety } from '../../../src/broker/safety.ts'
import { Session } from '../../../src/broker/session.ts'
import { defaultBrokerSettings } from '../../../src/broker/settings.ts'
import { ShareGroup } from '../../../src/broker/shared.ts'
import { Subscription, Subscriptions } from '../../../src/broker/subscriptions.ts'
import { Tally } from '../../../src/broker/tally.ts'
import { parseTopicFilter, type TopicFilter } from '../../../src/topic/filter.ts'
import { matches } from '../../../src/topic/match.ts'
import { plainRandom, VirtualClock } from '../../conformance/lab.ts'

const clock = new VirtualClock()
const tally = new Tally(new Meter(), new Turn(clock))
const keeper = new NoKeeper()
const home = {
  clock,
  tally,
  memory: new MemoryGuard(clock, ampleMemory, silentLog, tally),
  keeping: new Keeping(keeper),
  safety: new Safety(keeper),
  queueSettings: defaultBrokerSettings.sessions.queue,
}
const session = (id: string) => new Session(id as ClientId, home)
const subscription = (of: Session, text: string, changes: object = {}) =>
  new Subscription(of, parseTopicFilter(text, 200) as TopicFilter, {
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    identifier: null,
    ...changes,
  })

function setUp() {
  const peers = new NoPeers()
  const cache = new ReceiversCache(peers)
  const subscriptions = new Subscriptions(new Interest(peers), cache, home.keeping)
  cache.attach(subscriptions)
  const who = (topic: string) =>
    cache
      .of(topic)
      .entries.map((entry) => entry.session.clientId as string)
      .sort()
  return { cache, subscriptions, who }
}

describe('ReceiversCache', () => {
  test('an exact filter changes one topic, a wildcard all; entries stay the same object', () => {
    const { cache, subscriptions, who } = setUp()
    const [a, b] = [session('a'), session('b')]
    const [x, y] = [cache.of('x'), cache.of('y')]
    subscriptions.add(subscription(a, 'x'))
    expect([cache.isCurrent(x), cache.isCurrent(y)]).toEqual([false, true])
    expect(who('x')).toEqual(['a'])
    expect(cache.of('x')).toBe(x)
    subscriptions.add(subscription(b, '+'))
    expect([cache.isCurrent(x), cache.isCurrent(y)]).toEqual([false, false])
    expect([who('x'), who('y')]).toEqual([['a', 'b'], ['b']])
    subscriptions.remove(a, 'x')
    subscriptions.removeAll(b)
    expect([who('x'), who('y'), cache.of('x').nobody]).toEqual([[], [], true])
  })

  test('one that fell out of the cache is not taken for current, so a change to its topic cannot be missed', () => {
    const { cache, subscriptions, who } = setUp()
    const held = cache.of('held')
    for (let index = 0; index < bounds.receiversCached * 2; index++) cache.of(`t/${index}`)
    subscriptions.add(subscription(session('a'), 'held'))
    expect(cache.isCurrent(held)).toBe(false)
    expect(who('held')).toEqual(['a'])
    const kept = cache.of('t/5')
    for (let index = 0; index < bounds.receiversCached; index++) cache.of(`u/${index}`)
    expect(cache.of('t/5')).toBe(kept)
  })

  test('what a client sends as topic is checked, once', () => {
    const { cache } = setUp()
    expect(cache.ofText('a/b/c', 2)).toBeInstanceOf(ProtocolError)
    const known = cache.ofText('a/b', 2)
    expect(cache.ofText('a/b', 2)).toBe(known)
  })

  test('agrees with a search through all subscriptions, for any sequence of changes', () => {
    const random = plainRandom()
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random.fraction() * from.length)]!
    const { cache, subscriptions } = setUp()
    const sessions = ['a', 'b', 'c', 'd'].map(session)
    const filters = ['x', 'y/z', '+', '#', 'y/+', '+/z', 'y/#', '$x/#', '$share/g/x', '$share/g/+', '$share/h/x']
    const topics = ['x', 'y', 'y/z', 'y/z/q', '$x/y']
    for (let step = 0; step < 3000; step++) {
      const who = pick(sessions)
      const options = { qos: pick([0, 1, 2]), noLocal: random.fraction() < 0.3, identifier: pick([null, 1, 2, 3]) }
      const text = pick(filters)
      if (random.fraction() < 0.6) {
        subscriptions.add(subscription(who, text, text.startsWith('$share') ? { ...options, noLocal: false } : options))
      } else {
        subscriptions.remove(who, text)
      }
      const topic = pick(topics)
      const found = cache.of(topic)
      const all = sessions.flatMap((each) => [...each.subscriptions.values()])
      const matching = all.filter(({ filter }) => matches(filter.filter, topic))
      const own = matching.filter(({ filter }) => filter.share === null)
      for (const each of sessions) {
        const mine = own.filter((subscription) => subscription.session === each)
        const entry = found.entries.filter((receiver) => receiver.session === each)
        expect(entry.length).toBe(mine.length === 0 ? 0 : 1)
        if (mine.length === 0) continue
        expect(entry[0]!.qos).toBe(Math.max(...mine.map(({ qos }) => qos)))
        expect([...entry[0]!.ids].sort()).toEqual(mine.flatMap(({ ids }) => ids).sort())
        const echo = mine.filter(({ noLocal }) => !noLocal)
        expect(entry[0]!.echo === null).toBe(echo.length === 0)
        expect([...(entry[0]!.echo?.ids ?? [])].sort()).toEqual(echo.flatMap(({ ids }) => ids).sort())
      }
      const groups = new Set(matching.filter(({ filter }) => filter.share !== null).map(({ filter }) => filter.text))
      expect(found.groups.map((group) => `$share/${group.share}/${group.filter}`).sort()).toEqual([...groups].sort())
      expect(subscriptions.count).toBe(all.length)
    }
  })
})

describe('ShareGroup', () => {
  test('takes turns, whoever comes and goes', () => {
    const group = new ShareGroup('g', 'x')
    const [a, b, c] = ['a', 'b', 'c'].map((id) => subscription(session(id), '$share/g/x'))
    for (const each of [a!, b!, c!]) group.put(each)
    const turn = () => group.pick('x')?.session.clientId
    expect([turn(), turn(), turn(), turn()]).toEqual(['a', 'b', 'c', 'a'])
    group.remove(a!)
    expect([turn(), turn(), turn()]).toEqual(['b', 'c', 'b'])
    group.put(subscription(b!.session, '$share/g/x', { qos: 1 }))
    expect(group.size).toBe(2)
    group.remove(c!)
    group.remove(b!)
    expect([turn(), turn()]).toEqual(['b', 'b'])
  })
})
