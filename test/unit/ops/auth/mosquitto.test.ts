import { describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import { ThreadDeriver } from '../../../../src/ops/auth/deriver.ts'
import { parseAclFile, parsePasswordFile } from '../../../../src/ops/auth/mosquitto.ts'
import { verify } from '../../../../src/ops/auth/passwords.ts'

// What mosquitto_passwd of Debian's mosquitto made of the password "secret".
const MADE = `# a comment
six:$6$MCyKk56TqJxh+Ysz$2VlzUnsR/SoR0gVqnPzuidRiHMFK9jX5mFJEXVCqX2wleiTFPUGD5RWhg4hV63tLkAAo1lOQqIYSJXbqejMaYA==
seven:$7$101$B/wQ0RPeCYPrWdhn$RK+LIg/pgcZte/VABb0FG11Uv2FEegsWdqGT+e8DY78gHVKhsgmABJ7H4HL3L67F3gphBnyuDSycRmpMjIT5Dg==
`

describe('password_file', () => {
  test('the hashes of mosquitto_passwd are understood', async () => {
    const { passwords, problems } = parsePasswordFile(MADE)
    expect(problems).toEqual([])
    const deriver = new ThreadDeriver()
    const ask = (name: string, password: string) =>
      new Promise((resolve) => verify(deriver, passwords.get(name)!, Buffer.from(password), resolve))
    expect([...passwords.values()].map(({ kind }) => kind)).toEqual(['sha512', 'pbkdf2'])
    for (const name of passwords.keys()) {
      expect([name, await ask(name, 'secret'), await ask(name, 'Secret')]).toEqual([name, true, false])
    }
    deriver.close()
  })

  for (const [line, what] of [
    ['anna:secret', /not hashed.*mosquitto_passwd -U/],
    ['anna', /NAME:HASH/],
    [':$6$c2FsdHNhbHQ=$aGFzaA==', /NAME:HASH/],
    ['anna:', /not hashed/],
    ['anna:$6$c2FsdHNhbHQ=$aGFzaA==', /damaged \$6\$/],
    ['anna:$7$0$c2FsdHNhbHQ=$aGFzaA==', /damaged \$7\$/],
    ['anna:$7$99999999999$c2FsdHNhbHQ=$aGFzaA==', /damaged \$7\$/],
    ['anna:$argon2id$v=19$x', /unknown kind/],
  ] as const) {
    test(`${line}: an error with its line that does not repeat it`, () => {
      const { problems, passwords } = parsePasswordFile(`\n${line}\n`)
      expect(problems).toEqual([{ line: 2, what: expect.stringMatching(what) }])
      expect(passwords.size).toBe(0)
      expect(problems[0]!.what).not.toContain('secret')
    })
  }

  test('a name that stands twice is an error', () => {
    const line = MADE.split('\n')[1]
    expect(parsePasswordFile(`${line}\n${line}\n`).problems).toEqual([
      { line: 2, what: expect.stringMatching(/second/) },
    ])
  })
})

describe('acl_file', () => {
  test('is read as mosquitto reads it', () => {
    const text = [
      'topic read $SYS/#',
      'topic open/#',
      '# who',
      'user anna maria',
      'topic write a/b c',
      'topic deny a/secret',
      'topic readwrite read',
      'topic read',
      'pattern read to/%c/+',
      'pattern own/%u/#',
    ].join('\n')
    const { rules, problems } = parseAclFile(text)
    expect(problems).toEqual([])
    expect(
      rules.map(({ who, effect, action, filter, plain }) => [who, effect, action, filter, plain === true]),
    ).toEqual([
      ['anonymous', 'allow', 'subscribe', '$SYS/#', true],
      ['anonymous', 'allow', 'both', 'open/#', true],
      ['user:anna maria', 'allow', 'publish', 'a/b c', true],
      ['user:anna maria', 'deny', 'both', 'a/secret', true],
      ['user:anna maria', 'allow', 'both', 'read', true],
      ['user:anna maria', 'allow', 'both', 'read', true],
      ['all', 'allow', 'subscribe', 'to/%c/+', false],
      ['all', 'allow', 'both', 'own/%u/#', false],
    ])
  })

  test('what is wrong is said with its line', () => {
    const { problems } = parseAclFile('user\nusre anna\ntopic read a/#/b\n\ntopic\npattern write +x\n')
    expect(problems.map(({ line }) => line)).toEqual([1, 2, 3, 5, 6])
    expect(problems[1]!.what).toBe('found "usre"; right would be user, topic or pattern')
  })
})

test('a thread that ends says so, and the next wish has another one', async () => {
  const deriver = new ThreadDeriver()
  const wish = { kind: 'pbkdf2', digest: 'sha256', password: Buffer.from('p'), salt: Buffer.from('s') } as const
  const derive = (iterations: number) =>
    new Promise<Buffer | HostError>((resolve) => deriver.derive({ ...wish, iterations, bytes: 32 }, resolve))
  expect(await derive(0)).toBeInstanceOf(HostError)
  const pending = derive(50_000_000)
  deriver.close()
  expect(await pending).toBeInstanceOf(HostError)
  // RFC 7914 chapter 11 has PBKDF2-HMAC-SHA-256 vectors; this one is its shape with our lengths.
  expect(((await derive(1)) as Buffer).length).toBe(32)
  deriver.close()
})
