import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/ids.ts'
import { keepers, nextHolder, type Prospect, succession } from '../../../../src/cluster/trust/holders.ts'

const SELF = 'm' as NodeId

/** `k` it has the key, `f` it had that of the CA before, `o` it stands on another CA, `-` it is off. */
const prospects = (words: string): Prospect[] =>
  words
    .split(' ')
    .filter(Boolean)
    .map((word) => {
      const [id, marks = ''] = word.split(':') as [string, string?]
      const has = (mark: string) => marks.includes(mark)
      return { id: id as NodeId, linked: !has('-'), sameAuthority: !has('o'), hasKey: has('k'), hadKey: has('f') }
    })

describe('who gets the key next', () => {
  test.each([
    ['nobody is there', '', null],
    ['one is there', 'a', 'a'],
    ['several are: the lowest', 'c b', 'b'],
    ['who had the key of the CA before goes first', 'a b:f', 'b'],
    ['and is waited for while it stands on that', 'a b:fo', null],
    ['another has it', 'a b:k', null],
    ['another that is off has it', 'a b:k-', null],
    ['another has that of another CA', 'a b:ko', 'a'],
    ['nobody stands on the same CA', 'a:o', null],
  ])('%s', (_name, words, heir) => {
    expect(nextHolder(SELF, prospects(words))).toBe(heir)
  })
})

describe('what becomes of the key when this box leaves', () => {
  test.each([
    ['it was alone', '', { at: 'settled' }],
    ['somebody who is there has it', 'a b:k', { at: 'settled' }],
    ['who has it is off, another is there', 'a b:k-', { at: 'open', heir: 'a' }],
    ['who has it is off, and nobody is there', 'a:- b:k-', { at: 'settled' }],
    ['nobody else has it', 'b a', { at: 'open', heir: 'a' }],
    ['nobody has it and nobody is there', 'a:- b:-', { at: 'nobody' }],
    ['who is there has the key of another CA', 'a:ko', { at: 'nobody' }],
    ['who is there stands on another CA, and who has it is off', 'a:o b:k-', { at: 'nobody' }],
  ] as const)('%s', (_name, words, then) => {
    expect(succession(prospects(words))).toEqual(then)
  })
})

describe('who keeps the key when it is sealed', () => {
  test.each([
    ['the two lowest that are there', true, 'c:k a:k z:k', 'a c'],
    ['this box among them', true, 'z:k a:k', 'a m'],
    ['only those that have it', false, 'a b:k c:k', 'b c'],
    ['nobody who is off, or stands on another CA', true, 'a:k- b:ko', 'm'],
  ])('%s', (_name, own, words, kept) => {
    expect(keepers(SELF, own, prospects(words)).join(' ')).toBe(kept)
  })
})
