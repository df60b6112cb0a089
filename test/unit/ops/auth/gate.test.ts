import { createHash, pbkdf2Sync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import type { Account } from '../../../../src/broker/accountfile.ts'
import type { AuthenticationResult, ExchangeStep } from '../../../../src/broker/ports.ts'
import type { AnonymousPolicy } from '../../../../src/ops/auth/anonymous.ts'
import type { Derivation, Deriver } from '../../../../src/ops/auth/deriver.ts'
import { Gate } from '../../../../src/ops/auth/gate.ts'
import type { FileVerifier } from '../../../../src/ops/auth/mosquitto.ts'
import { hmac, makeScram, makeVerifier, randomVerifier, scramKeys, sha256 } from '../../../../src/ops/auth/passwords.ts'
import { Lab, VirtualClock } from '../../../conformance/lab.ts'
import { accountsInMemory } from '../../broker/make.ts'

/** A "slow hash" that is a word, ended by hand. */
class WordDeriver implements Deriver {
  readonly asked: Derivation[] = []
  readonly #done: ((bytes: Buffer | HostError) => void)[] = []
  derive(derivation: Derivation, done: (bytes: Buffer | HostError) => void): void {
    this.asked.push(derivation)
    this.#done.push(done)
  }
  /** Ends what waits, and what that asks for in turn. */
  end(): void {
    for (let at = this.asked.length - this.#done.length; this.#done.length > 0; at++) {
      const { kind, password, salt } = this.asked[at]!
      this.#done.shift()!(Buffer.from(`${kind} ${password} ${salt.toString('base64')}`))
    }
  }
  fail(): void {
    for (const done of this.#done.splice(0)) done(new HostError('failed', 'no thread'))
  }
}

const sha512 = (salt: Buffer, password: string) => createHash('sha512').update(password).update(salt).digest('base64')

function make(anonymous: AnonymousPolicy = 'never') {
  const deriver = new WordDeriver()
  const clock = new VirtualClock()
  const passwords = new Map<string, FileVerifier>()
  const passwordsAt = new Map<string, Map<string, FileVerifier>>()
  const accounts = accountsInMemory()
  const gate = new Gate({ clock, log: silentLog, deriver, settings: () => ({ anonymous, passwords, passwordsAt }) })
  gate.attach(accounts)
  const set = (name: string, password: string) =>
    makeVerifier(deriver, Buffer.from(password), (verifier) => {
      if (verifier instanceof HostError) throw verifier
      const account: Account = { is: 'account', name, verifier, scram: null, groups: [] }
      accounts.setAccount(account, () => {})
    })
  set('anna', 'right')
  deriver.end()
  deriver.asked.length = 0
  const results: (readonly [AuthenticationResult, string | null | undefined])[] = []
  const ask = (username: string | null, password: string | null, remoteAddress = '10.0.0.9', listener = 'mqtt') => {
    const from = { clientId: 'c', remoteAddress, localAddress: '10.0.0.1', listener }
    const request = { ...from, username, password: password === null ? null : Buffer.from(password) }
    gate.authenticate(request, (result, account) => results.push([result, account]))
  }
  /** Lets pauses pass and hashes end. */
  const settle = () => {
    for (let round = 0; round < 20; round++) {
      deriver.end()
      clock.advance(2000)
    }
  }
  return { gate, deriver, clock, passwords, passwordsAt, accounts, results, ask, set, settle }
}

describe('accounts', () => {
  test('the slow hash runs once per account and process, and again after a new password', () => {
    const { ask, settle, results, deriver, set } = make()
    ask('anna', 'right')
    settle()
    for (let index = 0; index < 100; index++) ask('anna', 'right', `10.0.1.${index}`)
    expect(results).toEqual(Array.from({ length: 101 }, () => ['allowed', 'anna']))
    expect(deriver.asked.length).toBe(1)
    set('anna', 'new')
    deriver.end()
    ask('anna', 'right')
    ask('anna', 'new')
    settle()
    expect(results.slice(101)).toEqual([
      ['badUserNameOrPassword', null],
      ['allowed', 'anna'],
    ])
  })

  test('five thousand that come at once with one account wait for one hash', () => {
    const { ask, settle, results, deriver } = make()
    for (let index = 0; index < 5000; index++) ask('anna', 'right')
    settle()
    expect(deriver.asked.length).toBe(1)
    expect(results.filter(([result]) => result === 'allowed').length).toBe(5000)
  })

  test('they are answered a few in a turn, and no more as soon as the account has another password', () => {
    const { ask, results, deriver, clock, set } = make()
    for (let index = 0; index < 100; index++) ask('anna', 'right')
    deriver.end()
    expect(results).toEqual(Array.from({ length: 8 }, () => ['allowed', 'anna']))
    set('anna', 'new')
    deriver.end()
    clock.settle()
    expect(results.slice(8)).toEqual(Array.from({ length: 92 }, () => ['badUserNameOrPassword', null]))
  })

  test('a password that we made needs no slow hash', () => {
    const { ask, results, deriver, accounts } = make()
    const verifier = randomVerifier('abcdefghijkmnpqrstuvwxyz')
    accounts.setAccount({ is: 'account', name: 'box', verifier, scram: null, groups: [] }, () => {})
    ask('box', 'abcdefghijkmnpqrstuvwxyz')
    expect([results, deriver.asked]).toEqual([[['allowed', 'box']], []])
  })

  test('every no has waited for one scrypt, whatever there was to compare with', () => {
    const { ask, settle, results, deriver, accounts, passwords } = make()
    const verifier = randomVerifier('x')
    accounts.setAccount({ is: 'account', name: 'random', verifier, scram: null, groups: [] }, () => {})
    const salt = Buffer.alloc(12).toString('base64')
    const hash = Buffer.alloc(64).toString('base64')
    passwords.set('old', { kind: 'sha512', salt, hash })
    passwords.set('newer', { kind: 'pbkdf2', iterations: 101, salt, hash })
    ask('anna', 'right')
    settle()
    deriver.asked.length = 0
    for (const name of ['anna', 'nobody', 'random', 'old', 'newer', 'anna']) {
      ask(name, 'wrong')
      settle()
    }
    ask('anna', null)
    settle()
    expect(results.slice(1)).toEqual(Array.from({ length: 7 }, () => ['badUserNameOrPassword', null]))
    const scrypts = deriver.asked.filter(({ kind }) => kind === 'scrypt')
    expect(scrypts.length).toBe(7)
    expect(new Set(scrypts.map((each) => each.kind === 'scrypt' && each.cost)).size).toBe(1)
  })

  test('those of a listener with a password_file of its own count there, instead of the ones for all', () => {
    const { ask, passwords, passwordsAt, settle, results, deriver } = make()
    const [salt, hash] = [Buffer.alloc(12, 1).toString('base64'), sha512(Buffer.alloc(12, 1), 'for all')]
    passwords.set('otto', { kind: 'sha512', salt, hash })
    passwordsAt.set('guests', new Map([['otto', { kind: 'sha512', salt, hash: sha512(Buffer.alloc(12, 1), 'guest') }]]))
    const tries = [
      ['for all', 'mqtt'],
      ['guest', 'guests'],
      ['guest', 'mqtt'],
      ['for all', 'guests'],
    ] as const
    for (const [password, listener] of tries) {
      ask('otto', password, '10.0.0.9', listener)
      settle()
    }
    // An account of the cluster's own is one everywhere.
    ask('anna', 'right', '10.0.0.9', 'guests')
    settle()
    expect(results.map(([result]) => result)).toEqual([
      ...['allowed', 'allowed', 'badUserNameOrPassword', 'badUserNameOrPassword', 'allowed'],
    ])
    // Both are known by now, each at its place.
    deriver.asked.length = 0
    for (const [password, listener] of tries.slice(0, 2)) ask('otto', password, '10.0.0.9', listener)
    expect(results.slice(-2).map(([result]) => result)).toEqual(['allowed', 'allowed'])
    expect(deriver.asked).toEqual([])
  })

  test('an account that changes while its password is checked lets nobody in with the old one', () => {
    const { ask, settle, results, accounts } = make()
    ask('anna', 'right')
    accounts.removeAccount('anna', () => {})
    settle()
    expect(results).toEqual([['badUserNameOrPassword', null]])
  })

  test('a check that cannot be made refuses for now, and the next one is made', () => {
    const { ask, settle, results, deriver } = make()
    ask('anna', 'right')
    deriver.fail()
    ask('anna', 'right')
    settle()
    expect(results).toEqual([
      ['serverBusy', null],
      ['allowed', 'anna'],
    ])
  })

  test('when too many checks of one address wait, the rest is told to come again', () => {
    const { ask, results } = make()
    for (let index = 0; index < 100; index++) ask(`guess ${index}`, 'x')
    expect(results.length).toBe(35)
    expect(new Set(results.map(([result]) => result))).toEqual(new Set(['serverBusy']))
  })
})

describe('without an account', () => {
  for (const [policy, username, remote, result] of [
    ['always', null, '10.0.0.9', 'allowed'],
    ['always', 'unknown', '10.0.0.9', 'allowed'],
    ['loopback', null, '10.0.0.9', 'notAuthorized'],
    ['never', null, '127.0.0.1', 'notAuthorized'],
    ['loopback', 'unknown', '10.0.0.9', 'badUserNameOrPassword'],
    ['always', 'anna', '10.0.0.9', 'badUserNameOrPassword'],
  ] as const) {
    test(`${policy}: ${username ?? 'nobody'} from ${remote}: ${result}, and is nobody`, () => {
      const { ask, settle, results } = make(policy)
      ask(username, username === null ? null : 'wrong', remote)
      settle()
      expect(results.map(([result, account]) => [result, account ?? null])).toEqual([[result, null]])
    })
  }
})

describe('SCRAM-SHA-256', () => {
  const scram = (deriver: WordDeriver) =>
    new Promise<Account['scram']>((resolve) => {
      makeScram(deriver, Buffer.from('pencil'), (made) => resolve(made instanceof HostError ? null : made))
      deriver.end()
    })

  /** The whole exchange as `name`, whose salted password is `salted`. */
  const prove = (gate: Gate, name: string, salted: Buffer, settle: () => void): string => {
    const from = { clientId: 'c', remoteAddress: '10.0.0.9', localAddress: '10.0.0.1', listener: 'mqtt' }
    const exchange = gate.exchange('SCRAM-SHA-256', { ...from, username: null, password: null })!
    let step: ExchangeStep = { at: 'refused' }
    const took = (taken: ExchangeStep) => {
      step = taken
    }
    exchange.step(Buffer.from(`n,,n=${name},r=abc`), took)
    if ((step as ExchangeStep).at !== 'continue') return 'no challenge'
    const challenge = String((step as unknown as { data: Buffer }).data)
    const withoutProof = `c=biws,${challenge.split(',')[0]}`
    const clientKey = hmac(salted, Buffer.from('Client Key'))
    const signature = hmac(sha256(clientKey), Buffer.from(`n=${name},r=abc,${challenge},${withoutProof}`))
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!))
    exchange.step(Buffer.from(`${withoutProof},p=${proof.toString('base64')}`), took)
    settle()
    return (step as ExchangeStep).at
  }

  test('accounts with credentials get in; others, and those that are not there, get a challenge and no more', async () => {
    const { gate, accounts, deriver, settle } = make()
    const credentials = await scram(deriver)
    const { verifier } = accounts.account('anna')!
    accounts.setAccount({ is: 'account', name: 'anna', verifier, scram: credentials, groups: [] }, () => {})
    accounts.setAccount({ is: 'account', name: 'bob', verifier, scram: null, groups: [] }, () => {})
    const salted = Buffer.from(`pbkdf2 pencil ${credentials!.salt}`)
    expect(prove(gate, 'anna', salted, settle)).toBe('done')
    for (const name of ['anna', 'bob', 'nobody'])
      expect(prove(gate, name, Buffer.from('guess'), settle)).toBe('refused')
    accounts.removeAccount('anna', () => {})
    expect(prove(gate, 'anna', salted, settle)).toBe('refused')
  })

  test('who is not there has the same salt each time', () => {
    const { gate } = make()
    const salt = (name: string) => {
      let said = ''
      const from = { clientId: 'c', remoteAddress: 'a', localAddress: 'b', listener: 'mqtt' }
      gate
        .exchange('SCRAM-SHA-256', { ...from, username: null, password: null })!
        .step(Buffer.from(`n,,n=${name},r=abc`), (step) => {
          said = step.at === 'continue' ? String(step.data).replace(/^r=[^,]*/, '') : ''
        })
      return said
    }
    expect(salt('x')).toMatch(/^,s=[A-Za-z0-9+/]{22}==,i=16384$/)
    expect(salt('x')).toBe(salt('x'))
    expect(salt('x')).not.toBe(salt('y'))
  })

  test('there is no other method', () => {
    const request = { clientId: '', username: null, password: null, remoteAddress: '', localAddress: '', listener: '' }
    expect(make().gate.exchange('SCRAM-SHA-1', request)).toBeNull()
  })
})

test('SCRAM over MQTT: CONNECT, AUTH, CONNACK with our proof, and a PUBLISH under the rules of the account', () => {
  const { gate, accounts } = make()
  const salt = Buffer.alloc(16, 7)
  const salted = pbkdf2Sync('pencil', salt, 4096, 32, 'sha256')
  const scram = { iterations: 4096, salt: salt.toString('base64'), ...scramKeys(salted) }
  const { verifier } = accounts.account('anna')!
  accounts.setAccount({ is: 'account', name: 'anna', verifier, scram, groups: [] }, () => {})
  accounts.setRule({ is: 'rule', who: 'user:anna', effect: 'allow', action: 'both', filter: 'of/%u' }, () => {})
  const client = new Lab({ authenticator: gate, rules: accounts }).client()
  const method = { authenticationMethod: 'SCRAM-SHA-256' }
  client.connect({ properties: { ...method, authenticationData: Buffer.from('n,,n=anna,r=abc') } })
  const challenge = String(client.one('auth').properties.authenticationData)
  const withoutProof = `c=biws,${challenge.split(',')[0]}`
  const message = Buffer.from(`n=anna,r=abc,${challenge},${withoutProof}`)
  const clientKey = hmac(salted, Buffer.from('Client Key'))
  const signature = hmac(sha256(clientKey), message)
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!)).toString('base64')
  const authenticationData = Buffer.from(`${withoutProof},p=${proof}`)
  client.send({ cmd: 'auth', reasonCode: 0x18, properties: { ...method, authenticationData } })
  const { reasonCode, properties } = client.one('connack')
  const ours = hmac(Buffer.from(scram.serverKey, 'base64'), message).toString('base64')
  expect([reasonCode, String(properties.authenticationData)]).toEqual([0, `v=${ours}`])
  client.publish('of/anna', 'x', { qos: 1, messageId: 1 }).publish('of/bob', 'x', { qos: 1, messageId: 2 })
  expect(client.take().map(({ reasonCode }) => reasonCode)).toEqual([0x10, 0x87])
})
