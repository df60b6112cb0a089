// What a client may do, beside the rule that explains it in three lines, while rules come and go.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ClientId } from '../../src/base/ids.ts'
import type { GrantedRule, Who } from '../../src/broker/accountfile.ts'
import { Access } from '../../src/broker/authorize.ts'
import { matches } from '../../src/topic/match.ts'
import { accountsInMemory } from '../unit/broker/make.ts'

const rule: fc.Arbitrary<GrantedRule> = fc.record({
  is: fc.constant('rule' as const),
  who: fc.constantFrom<Who>('all', 'anonymous', 'user:u', 'user:v', 'group:g'),
  effect: fc.constantFrom('allow', 'deny'),
  action: fc.constantFrom('publish', 'subscribe', 'both'),
  filter: fc.constantFrom('#', 'a/#', 'a/+', '+/b', '%u/#', 'c/%c', 'a/b', '$SYS/#', '%c-x/#'),
})
const topics = ['a', 'a/b', 'a/b/c', 'u/x', 'v/x', 'c/c1', 'c/c2', 'c1-x/y', '$SYS/x', 'z', '$edge/x']

/** The model: everything that applies, and then deny before allow. */
function may(rules: readonly GrantedRule[], who: readonly Who[], account: string | null, doing: string, topic: string) {
  const mine = rules.filter((each) => who.includes(each.who))
  const fits = ({ action, filter, effect }: GrantedRule) => {
    if (action !== doing && action !== 'both') return false
    if (account === null && filter.includes('%u')) return effect === 'deny' && matches(filter.replace('%u', '+'), topic)
    return matches(filter.replace('%u', account ?? '').replace('%c', 'c1'), topic)
  }
  if (doing === 'publish' && (topic.startsWith('$SYS/') || topic.startsWith('$edge/'))) return false
  if (mine.some((each) => each.effect === 'deny' && fits(each))) return false
  if (mine.some(({ effect }) => effect === 'allow')) return mine.some((each) => each.effect === 'allow' && fits(each))
  return !topic.startsWith('$edge/')
}

test('rules say what the model says, after every change', () => {
  const change = fc.record({ rule, remove: fc.boolean() })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const accounts = accountsInMemory()
      const verifier = { kind: 'sha256', hash: '' } as const
      accounts.setAccount({ is: 'account', name: 'u', verifier, scram: null, groups: ['g'] }, () => {})
      const clients = [
        { who: ['all', 'anonymous'] as Who[], account: null },
        { who: ['all', 'user:u', 'group:g'] as Who[], account: 'u' },
        { who: ['all', 'user:v'] as Who[], account: 'v' },
      ].map((client) => ({ ...client, access: new Access(client.account, 'c1' as ClientId, accounts) }))
      let rules: GrantedRule[] = []
      for (const { rule, remove } of changes) {
        const { who, action, filter } = rule
        rules = rules.filter((each) => each.who !== who || each.action !== action || each.filter !== filter)
        if (remove) accounts.removeRule(rule, () => {})
        else {
          accounts.setRule(rule, () => {})
          rules.push(rule)
        }
        for (const client of clients) {
          for (const topic of topics) {
            expect(client.access.mayPublish(topic)).toBe(may(rules, client.who, client.account, 'publish', topic))
            const receives = may(rules, client.who, client.account, 'subscribe', topic)
            expect(client.access.mayReceive(topic)).toBe(receives)
            // A subscription to what may be received is never refused.
            if (receives) expect(client.access.maySubscribe(topic)).toBe(true)
          }
        }
      }
    }),
    { numRuns: 300 },
  )
})
