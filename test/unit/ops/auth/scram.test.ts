import { pbkdf2Sync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { ScramCredentials } from '../../../../src/broker/accountfile.ts'
import type { ExchangeStep } from '../../../../src/broker/ports.ts'
import { hmac, scramKeys, sha256 } from '../../../../src/ops/auth/passwords.ts'
import { ScramExchange } from '../../../../src/ops/auth/scram.ts'

// RFC 7677 chapter 3.
const SALT = 'W22ZaJ0SNY7soEsUEjb6gQ=='
const OURS = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
const NONCE = `rOprNGfwEbeRWgbNEkqO${OURS}`
const FIRST = 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO'
const CHALLENGE = `r=${NONCE},s=${SALT},i=4096`
const FINAL = `c=biws,r=${NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`
const SIGNATURE = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='

const pencil: ScramCredentials = {
  iterations: 4096,
  salt: SALT,
  ...scramKeys(pbkdf2Sync('pencil', Buffer.from(SALT, 'base64'), 4096, 32, 'sha256')),
}

/** What an exchange says to each message, as text; which names it was asked for. */
function talk(...messages: (string | null)[]) {
  const names: string[] = []
  const said: string[] = []
  const exchange = new ScramExchange({
    credentials: (name) => {
      names.push(name)
      return pencil
    },
    judge: (name, _credentials, right, done) => done(name === 'user' && right()),
    nonce: () => OURS,
  })
  const took = (step: ExchangeStep) => void said.push(step.at === 'refused' ? 'refused' : `${step.at} ${step.data}`)
  for (const message of messages) exchange.step(message === null ? null : Buffer.from(message), took)
  return { said, names }
}

test('the example of RFC 7677', () => {
  expect(talk(FIRST, FINAL).said).toEqual([`continue ${CHALLENGE}`, `done ${SIGNATURE}`])
})

describe('refused', () => {
  for (const [what, ...messages] of [
    ['nothing at all', null],
    ['an empty message', ''],
    ['channel binding', 'p=tls-unique,,n=user,r=abc'],
    ['a mandatory extension', 'n,,m=x,n=user,r=abc'],
    ['no nonce', 'n,,n=user'],
    ['an empty name', 'n,,n=,r=abc'],
    ['a nonce with what is not printable', 'n,,n=user,r=a b'],
    ['a name with a bare equals sign', 'n,,n=us=er,r=abc'],
    ['acting for another', 'n,a=other,n=user,r=abc'],
    ['a long message', `n,,n=user,r=${'a'.repeat(3000)}`],
  ] as const) {
    test(what, () => expect(talk(...messages).said).toEqual(['refused']))
  }

  for (const [what, final] of [
    ['a wrong proof', FINAL.replace('p=dH', 'p=dI')],
    ['a short proof', FINAL.replace(/p=.*/, 'p=AAAA')],
    ['no proof', FINAL.replace(/,p=.*/, '')],
    ['another nonce', FINAL.replace('Lrd', 'xxx').replace('rOpr', 'xxxx')],
    ['only its own nonce', FINAL.replace(OURS, '')],
    ['another header than at first', FINAL.replace('biws', 'eSws')],
  ] as const) {
    test(what, () => expect(talk(FIRST, final).said).toEqual([`continue ${CHALLENGE}`, 'refused']))
  }

  test('a second try with the same challenge', () => {
    const { said } = talk(FIRST, FINAL.replace('p=dH', 'p=dI'), FINAL)
    expect(said.slice(1)).toEqual(['refused', 'refused'])
  })
})

test('names are unescaped', () => {
  expect(talk('n,,n=a=2Cb=3Dc,r=abc').names).toEqual(['a,b=c'])
  expect(talk('y,a=user,n=user,r=abc,x=y').names).toEqual(['user'])
})

test('what is kept does not let anybody in: it is not the proof', () => {
  const message = Buffer.from(`${FIRST.slice(3)},${CHALLENGE},c=biws,r=${NONCE}`)
  const stored = Buffer.from(pencil.storedKey, 'base64')
  const signature = hmac(stored, message)
  const forged = Buffer.from(stored.map((byte, index) => byte ^ signature[index]!)).toString('base64')
  expect(talk(FIRST, `c=biws,r=${NONCE},p=${forged}`).said[1]).toBe('refused')
  expect(sha256(stored).equals(stored)).toBe(false)
})
