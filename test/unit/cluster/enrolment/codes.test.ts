import { describe, expect, test } from 'vitest'
import type { ClusterId } from '../../../../src/base/ids.ts'
import { clusterMark, codeText, inviteId, isInviteId, parseCode } from '../../../../src/cluster/enrolment/codes.ts'
import { allWords, wordsOf } from '../../../../src/cluster/enrolment/words.ts'

const CLUSTER = '0123456789abcdef' as ClusterId
const SECRET = Buffer.from('00112233445566778899', 'hex')
const invite = inviteId(Buffer.from([0, 8, 31, 255]))
const code = codeText(CLUSTER, invite, SECRET)

describe('a code', () => {
  test('looks like this, for as long as codes are handed out', () => {
    expect(invite).toBe('2AZZ')
    expect(clusterMark(CLUSTER)).toBe('26K')
    expect(code).toMatch(/^26K2-AZZ2-([2-9A-HJ-NP-Z]{4}-){3}[2-9A-HJ-NP-Z]{4}$/)
    expect(code).toBe('26K2-AZZ2-2AL6-EU6C-PM9H-46TA')
  })

  test('is read as it is typed: small letters, blanks, no hyphens', () => {
    const read = { cluster: '26K', invite, secret: SECRET }
    for (const typed of [code, code.toLowerCase(), code.replaceAll('-', ''), ` ${code.replaceAll('-', ' - ')}\n`]) {
      expect(parseCode(typed)).toEqual(read)
    }
  })

  test('typed wrong says what is wrong', () => {
    expect(parseCode(code.slice(0, -1))).toMatch(/24 characters in 6 groups of 4; this one has 23/)
    expect(parseCode('')).toMatch(/this one has 0/)
    expect(parseCode(`${code}2`)).toMatch(/this one has 25/)
    expect(parseCode(code.replace('AZZ2', 'AZZ0'))).toMatch(/'0' in group 2 is never part of a code/)
    expect(parseCode(code.replace('AZZ2', 'AZ\u001b2'))).toMatch(/'\?' in group 2/)
    expect(parseCode(code.replace('AZZ2', 'AZY2'))).toMatch(/last character, which checks the others/)
  })

  test('the id of an invite is four of its characters', () => {
    expect([isInviteId(invite), isInviteId('2AZ'), isInviteId('2AZ0'), isInviteId('2AZZZ')]).toEqual([
      true,
      false,
      false,
      false,
    ])
  })
})

describe('words', () => {
  test('there is one for each byte, no two are alike, and none is long', () => {
    expect(allWords).toHaveLength(256)
    expect(new Set(allWords).size).toBe(256)
    for (const word of allWords) expect(word).toMatch(/^[a-z]{3,7}$/)
    const close = allWords.flatMap((one, at) =>
      allWords.slice(at + 1).flatMap((other) => (distance(one, other) < 2 ? [`${one} ${other}`] : [])),
    )
    expect(close).toEqual([])
  })

  test('the first four bytes count', () => {
    expect(wordsOf(Buffer.from([0, 1, 254, 255, 9]))).toBe([0, 1, 254, 255].map((at) => allWords[at]).join(' '))
  })
})

/** Letters to change, add or leave out to make one of the other. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (const [at, letter] of [...one].entries()) {
    const next = [at + 1]
    for (const [column, its] of [...other].entries()) {
      next.push(Math.min(row[column]! + (letter === its ? 0 : 1), row[column + 1]! + 1, next[column]! + 1))
    }
    row = next
  }
  return row.at(-1)!
}
