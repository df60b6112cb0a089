import { generateKeyPairSync } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import type { ClusterId } from '../../../../src/base/ids.ts'
import type { Account } from '../../../../src/broker/accountfile.ts'
import type { NodeStatus } from '../../../../src/compose.ts'
import { accountCommands } from '../../../../src/ops/auth/commands.ts'
import { ThreadDeriver } from '../../../../src/ops/auth/deriver.ts'
import { devicesAccount, devicesPassword } from '../../../../src/ops/auth/devices.ts'
import { randomPassword, verify } from '../../../../src/ops/auth/passwords.ts'
import { accountsInMemory, FilesInMemory } from '../../broker/make.ts'

const deriver = new ThreadDeriver()
afterAll(() => deriver.close())

// Made for this test: prime256v1, in both forms that openssl writes.
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/V63sHEvo0NzOZ0S
NKM9p9fzJxW79YjU1lGoTymMCpmhRANCAASewyf4LfMQ6qEKQk/xZ306DTmqvWog
rFJGAtkRr5Iso367IQMQ2vsrWjqzIeE8KR56oGyX5csJzoEkOuSGdRPY
-----END PRIVATE KEY-----
`
const SAME_KEY = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIP1et7BxL6NDczmdEjSjPafX8ycVu/WI1NZRqE8pjAqZoAoGCCqGSM49
AwEHoUQDQgAEnsMn+C3zEOqhCkJP8Wd9Og05qr1qIKxSRgLZEa+SLKN+uyEDENr7
K1o6syHhPCkeeqBsl+XLCc6BJDrkhnUT2A==
-----END EC PRIVATE KEY-----
`
const cluster = '0123456789abcdef' as ClusterId
const ca = { certificate: '', privateKey: KEY }

function make(made: string | null = null) {
  const files = new FilesInMemory()
  const accounts = accountsInMemory(files)
  const listeners = [{ name: 'mqtt', type: 'mqtt', bind: '0.0.0.0', port: 1883, connections: 0 }]
  const status = () => ({ listeners }) as unknown as NodeStatus
  const commands = accountCommands(
    () => Promise.resolve({ accounts, status }),
    deriver,
    () => made,
  )
  const run = async (command: string, args: Record<string, unknown> = {}) => commands[command]!.run(args, false)
  const right = (name: string, password: string) =>
    new Promise((resolve) => verify(deriver, accounts.account(name)!.verifier, Buffer.from(password), resolve))
  return { files, accounts, commands, run, right }
}

const user = { password: 'correct horse', groups: [], scram: false }

describe('user', () => {
  test('add, passwd, list and remove', async () => {
    const { run, right, accounts } = make()
    await run('user add', { ...user, name: 'anna', groups: ['family', 'family'] })
    expect(await right('anna', 'correct horse')).toBe(true)
    expect(await right('anna', 'correct horse ')).toBe(false)
    await run('user passwd', { name: 'anna', password: 'another', scram: false })
    expect([await right('anna', 'another'), await right('anna', 'correct horse')]).toEqual([true, false])
    expect(await run('user list')).toEqual([{ name: 'anna', groups: ['family'], scram: false }])
    await run('user remove', { name: 'anna' })
    expect(accounts.accounts()).toEqual([])
  })

  test('a random password is told once, and only what it hashes to is kept', async () => {
    const { run, right, files } = make()
    const { password } = (await run('user add', { ...user, name: 'box', password: null })) as { password: string }
    expect(password).toMatch(/^[a-z2-9]{24}$/)
    expect(await right('box', password)).toBe(true)
    expect(files.files.get('accounts.json')!.toString()).not.toContain(password)
    expect(randomPassword()).not.toBe(randomPassword())
  })

  test('what had SCRAM credentials has them after a new password, and others', async () => {
    const { run, accounts } = make()
    await run('user add', { ...user, name: 'anna', scram: true })
    const before = accounts.account('anna')!.scram
    await run('user passwd', { name: 'anna', password: 'another', scram: false })
    expect(before).not.toBeNull()
    expect(accounts.account('anna')!.scram!.storedKey).not.toBe(before!.storedKey)
  })

  for (const [command, args, words] of [
    ['user add', { ...user, name: '' }, /not a name/],
    ['user add', { ...user, name: ' x' }, /not a name/],
    ['user add', { ...user, name: 'a\nb' }, /not a name/],
    ['user add', { ...user, name: 7 }, /not a name/],
    ['user add', { ...user, name: 'there' }, /user passwd there/],
    ['user add', { ...user, name: 'x', password: '' }, /empty/],
    ['user add', { ...user, name: 'x', password: 'geheim'.repeat(1000) }, /1024 bytes at most/],
    ['user add', { ...user, name: 'x', groups: 'g' }, /groups/],
    ['user passwd', { name: 'nobody', password: 'geheim' }, /no such account/],
    ['user remove', { name: 'nobody' }, /no such account/],
    ['acl add', { who: 'anna', effect: 'allow', action: 'both', filter: '#' }, /user:NAME/],
    ['acl add', { who: 'user:', effect: 'allow', action: 'both', filter: '#' }, /user:NAME/],
    ['acl add', { who: 'all', effect: 'permit', action: 'both', filter: '#' }, /allow or deny/],
    ['acl add', { who: 'all', effect: 'deny', action: 'read', filter: '#' }, /publish, subscribe or both/],
    ['acl add', { who: 'all', effect: 'deny', action: 'both', filter: 'a/#/b' }, /not a topic filter/],
    ['acl add', { who: 'all', effect: 'deny', action: 'both', filter: '$share/g/a' }, /not a topic filter/],
    ['acl remove', { who: 'all', action: 'both', filter: 'a' }, /no such rule/],
  ] as const) {
    test(`${command} ${JSON.stringify(args).slice(0, 80)} is refused in words, without the password`, async () => {
      const { run, files } = make()
      await run('user add', { ...user, name: 'there' })
      const before = files.files.get('accounts.json')
      const refused = await run(command, args).then(
        () => null,
        (error: unknown) => error,
      )
      expect(refused).toBeInstanceOf(HostError)
      expect(String(refused)).toMatch(words)
      expect(String(refused)).not.toContain('geheim')
      expect(files.files.get('accounts.json')).toEqual(before)
    })
  }

  test('a change that cannot be written is an error', async () => {
    const { run, files } = make()
    files.full = true
    await expect(run('user add', { ...user, name: 'anna' })).rejects.toThrow('no space left')
  })

  test('none of it is for everybody', () => {
    expect(Object.values(make().commands).some(({ everybody }) => everybody)).toBe(false)
  })
})

describe('acl', () => {
  test('add replaces the rule of the same who, action and filter; remove takes it back', async () => {
    const { run } = make()
    await run('acl add', { who: 'all', effect: 'allow', action: 'publish', filter: 'a/%c' })
    await run('acl add', { who: 'all', effect: 'deny', action: 'publish', filter: 'a/%c' })
    expect(await run('acl list')).toEqual([{ who: 'all', effect: 'deny', action: 'publish', filter: 'a/%c' }])
    await run('acl remove', { who: 'all', action: 'publish', filter: 'a/%c' })
    expect(await run('acl list')).toEqual([])
  })
})

describe('devices', () => {
  const show = async (made: string | null, change?: (account: Account) => Account) => {
    const { run, accounts } = make(made)
    const first = devicesAccount(ca, cluster)
    accounts.joined(cluster, [first])
    if (change !== undefined) accounts.setAccount(change(first), () => {})
    return ((await run('user show', { name: 'devices' })) as { url: string | null }).url
  }

  test('every box with the CA key comes to the same password, however the key is written', () => {
    const password = devicesPassword(KEY, cluster)
    expect(devicesPassword(SAME_KEY, cluster)).toBe(password)
    expect(devicesPassword(KEY, '0123456789abcdee' as ClusterId)).not.toBe(password)
    // Boxes of other versions must come to it too.
    expect(password).toBe('sr33c7s72mwnr78uk6pxfg7k')
  })

  test('a CA of people may have any kind of key', () => {
    const made = [
      generateKeyPairSync('ed25519'),
      generateKeyPairSync('rsa', { modulusLength: 2048 }),
      generateKeyPairSync('ec', { namedCurve: 'secp521r1' }),
      generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' }),
      generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
    ]
    for (const { privateKey } of made) {
      const password = devicesPassword(String(privateKey.export({ format: 'pem', type: 'pkcs8' })), cluster)
      expect(password).toMatch(/^[a-z2-9]{24}$/)
    }
  })

  test('its URL is shown where its password is known', async () => {
    expect(await show(devicesPassword(KEY, cluster))).toMatch(/^mqtt:\/\/devices:sr33c7s72mwnr78uk6pxfg7k@.+:1883$/)
    expect(await show(null)).toBeNull()
  })

  test('and not once it has a password of its own', async () => {
    const verifier = { kind: 'sha256', hash: 'AAAA' } as const
    expect(await show(devicesPassword(KEY, cluster), (first) => ({ ...first, verifier }))).toBeNull()
  })
})
