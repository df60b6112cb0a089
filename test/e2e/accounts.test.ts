// Who may do what, across two boxes: with mosquitto's clients, the account every box has, accounts and rules made live
// on one box and good on both, and mosquitto's own files.

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway, program } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const SECRETS = ['kitchen-secret', 'wrong-guess', 'old-secret', 'new-secret', 'guest-secret']

describe.skipIf(leftOut('accounts', 'mosquitto_sub', 'mosquitto_pub', 'mosquitto_passwd'))('accounts', () => {
  let lan: Lan
  let gateways: [Gateway, Gateway]
  let passwordFile: string
  let aclFile: string
  let guestPasswords: string
  let guestAcl: string

  beforeAll(async () => {
    lan = new Lan({ gateways: 2 })
    const certs = makeCerts(lan.directory)
    passwordFile = join(lan.directory, 'passwords')
    aclFile = join(lan.directory, 'acl')
    mosquittoPasswords('old-secret')
    writeFileSync(aclFile, 'pattern readwrite #\nuser fromfile\ntopic deny locked/#\n')
    guestPasswords = join(lan.directory, 'guest-passwords')
    guestAcl = join(lan.directory, 'guest-acl')
    mosquittoPasswords('guest-secret', guestPasswords, 'visitor')
    writeFileSync(guestAcl, 'user visitor\ntopic write guests/#\n')
    const set = {
      ...{ 'auth.anonymous': 'loopback', 'auth.password_file': passwordFile, 'auth.acl_file': aclFile },
      'listeners.guests.port': 1884,
      'listeners.guests.auth.password_file': guestPasswords,
      'listeners.guests.auth.acl_file': guestAcl,
    }
    gateways = [1, 2].map((place) => new Gateway(lan, place, { certs, set })) as [Gateway, Gateway]
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 10_000)))
    addUser(gateways[0], 'kitchen', 'kitchen-secret')
    await knows(gateways[1], 'kitchen')
  })
  afterAll(() => lan?.down())

  const mosquittoPasswords = (password: string, file = passwordFile, name = 'fromfile') => {
    writeFileSync(file, '', { mode: 0o600 })
    execFileSync('mosquitto_passwd', ['-b', file, name, password], { stdio: 'pipe' })
  }
  const addUser = (gateway: Gateway, name: string, input: string) =>
    execFileSync(process.execPath, [program, 'user', 'add', name, '--data-dir', gateway.dataDir], { input })
  const users = (gateway: Gateway): string[] =>
    (JSON.parse(gateway.command('user', 'list', '--json')) as { name: string }[]).map(({ name }) => name)
  const knows = (gateway: Gateway, name: string) => until(`${name} there`, 5000, () => users(gateway).includes(name))
  const devicesPassword = (gateway: Gateway): string => {
    const url = gateway.command('user', 'show', 'devices').trim()
    expect(url).toMatch(/^mqtt:\/\/devices:[a-z2-9]{24}@[^:]+:1883$/)
    return url.slice('mqtt://devices:'.length, url.lastIndexOf('@'))
  }
  const as = (place: number, name?: string, password?: string) => [
    ...['-h', lan.address(place), '-p', '1883', '-q', '1'],
    ...(name === undefined ? [] : ['-u', name, '-P', password!]),
  ]
  /** The exit status of mosquitto_pub, and what it said. */
  const publish = (place: number, topic: string, name?: string, password?: string, version = 'mqttv5', port = 1883) => {
    const at = [...as(place, name, password), '-p', String(port)]
    const args = ['netns', 'exec', lan.namespace('sw'), 'mosquitto_pub', ...at]
    const { status, stderr } = spawnSync('ip', [...args, '-V', version, '-t', topic, '-m', 'x'], { encoding: 'utf8' })
    return { status, said: stderr }
  }
  const subscribe = async (place: number, filter: string, name: string, password: string) => {
    const other = gateways[2 - place]!
    const routes = other.status().routes
    const child = lan.spawn('sw', 'mosquitto_sub', [...as(place, name, password), '-t', filter, '-F', '%t'])
    const topics: string[] = []
    child.stdout!.on('data', (bytes: Buffer) => topics.push(...bytes.toString().trimEnd().split('\n')))
    await until(`a route for ${filter}`, 5000, () => other.status().routes > routes)
    return { topics, end: () => child.kill() }
  }

  test('the account devices is the same on both boxes and works from box to box', async () => {
    const password = devicesPassword(gateways[0])
    expect(devicesPassword(gateways[1])).toBe(password)
    const reader = await subscribe(2, 'hello/#', 'devices', password)
    expect(publish(1, 'hello/there', 'devices', password).status).toBe(0)
    await until('the message', 5000, () => reader.topics.includes('hello/there'))
    reader.end()
  })

  test('nobody else gets in: no name, an unknown one, a wrong password', () => {
    expect(publish(1, 'a').said).toMatch(/not authori[sz]ed/i)
    for (const [name, password] of [
      ['nobody', 'wrong-guess'],
      ['kitchen', 'wrong-guess'],
      ['devices', 'wrong-guess'],
      ['fromfile', 'wrong-guess'],
    ] as const) {
      expect(publish(1, 'a', name, password).said).toMatch(/bad user ?name or password/i)
    }
  })

  test('what is added, changed and removed on one box counts on the other', async () => {
    addUser(gateways[1], 'porch', 'porch-secret')
    await until('porch may connect', 5000, () => publish(1, 'a', 'porch', 'porch-secret').status === 0)
    const input = 'other-secret'
    execFileSync(process.execPath, [program, 'user', 'passwd', 'porch', '--data-dir', gateways[0].dataDir], { input })
    await until('the other password', 5000, () => publish(2, 'a', 'porch', 'other-secret').status === 0)
    expect(publish(2, 'a', 'porch', 'porch-secret').said).toMatch(/bad user ?name or password/i)
    gateways[0].command('acl', 'add', 'user:porch', 'deny', 'publish', 'a')
    await until('the rule', 5000, () => /not authorized/i.test(publish(2, 'a', 'porch', 'other-secret').said))
    gateways[1].command('acl', 'remove', 'user:porch', 'publish', 'a')
    await until('no rule', 5000, () => publish(1, 'a', 'porch', 'other-secret').said === '')
    gateways[1].command('user', 'remove', 'porch')
    await until('porch is out', 5000, () => publish(1, 'a', 'porch', 'other-secret').status !== 0)
  })

  test('what is removed and what is changed on two sides of a cut is so on both after it', async () => {
    addUser(gateways[0], 'garage', 'first-secret')
    addUser(gateways[0], 'cellar', 'first-secret')
    await knows(gateways[1], 'cellar')
    lan.cut(1, 2)
    for (const gateway of gateways) await gateway.linkedWith(0, 15_000)
    gateways[1].command('user', 'remove', 'garage')
    gateways[0].command('acl', 'add', 'user:cellar', 'deny', 'both', 'x/#')
    expect(users(gateways[0])).toContain('garage')
    lan.heal()
    await gateways[0].linkedWith(1, 20_000)
    await until('the removal', 15_000, () => !users(gateways[0]).includes('garage'))
    expect(publish(1, 'a', 'garage', 'first-secret').said).toMatch(/bad user ?name or password/i)
    await until('the rule', 15_000, () => gateways[1].command('acl', 'list').includes('user:cellar deny both x/#'))
    expect(users(gateways[1])).toEqual(users(gateways[0]))
    gateways[0].command('acl', 'remove', 'user:cellar', 'both', 'x/#')
    gateways[0].command('user', 'remove', 'cellar')
  })

  test('a rule counts at once, for what is published there and for what arrives', async () => {
    const reader = await subscribe(2, 'home/#', 'kitchen', 'kitchen-secret')
    gateways[1].command('acl', 'add', 'user:kitchen', 'deny', 'subscribe', 'home/secret/#')
    gateways[0].command('acl', 'add', 'user:kitchen', 'deny', 'publish', 'home/locked')
    const rules = () => gateways.map((gateway) => gateway.command('acl', 'list').trim().split('\n').length)
    await until('both rules on both', 5000, () => rules().join() === '2,2')
    for (const version of ['mqttv311', 'mqttv5']) {
      const { status, said } = publish(1, 'home/locked', 'kitchen', 'kitchen-secret', version)
      expect([status, /not authorized/i.test(said)]).toEqual([0, version === 'mqttv5'])
      publish(1, 'home/secret/x', 'kitchen', 'kitchen-secret', version)
      publish(1, `home/${version}`, 'kitchen', 'kitchen-secret', version)
    }
    await until('both that may pass', 5000, () => reader.topics.length >= 2)
    expect(reader.topics).toEqual(['home/mqttv311', 'home/mqttv5'])
    reader.end()
  })

  test('an account that is removed is out at once, with its clients', async () => {
    addUser(gateways[0], 'guest', 'kitchen-secret')
    const child = lan.spawn('sw', 'mosquitto_sub', [...as(1, 'guest', 'kitchen-secret'), '-V', 'mqttv5', '-t', 'g'])
    await until('the guest', 5000, () => gateways[0].status().subscriptions > 0)
    gateways[0].command('user', 'remove', 'guest')
    await until('sent away', 5000, () => gateways[0].log.includes('the account has changed'))
    expect(gateways[0].status().subscriptions).toBe(0)
    child.kill()
    expect(publish(1, 'a', 'guest', 'kitchen-secret').said).toMatch(/bad user ?name or password/i)
  })

  test("mosquitto's files are read, and read again at a reload; a wrong one changes nothing and is told by its line", async () => {
    expect(publish(1, 'open', 'fromfile', 'old-secret').status).toBe(0)
    expect(publish(1, 'locked/x', 'fromfile', 'old-secret').said).toMatch(/not authorized/i)
    mosquittoPasswords('new-secret')
    gateways[0].signal('SIGHUP')
    await until('the new password', 5000, () => publish(1, 'open', 'fromfile', 'new-secret').status === 0)
    expect(publish(1, 'open', 'fromfile', 'old-secret').said).toMatch(/bad user ?name or password/i)
    writeFileSync(aclFile, 'pattern readwrite #\ntopik read x\n')
    gateways[0].signal('SIGHUP')
    await until('the refusal', 5000, () => gateways[0].log.includes(`${aclFile}:2: found \\"topik\\"`))
    expect(publish(1, 'locked/x', 'fromfile', 'new-secret').said).toMatch(/not authorized/i)
  })

  test('a listener with files of its own knows those, the cluster its accounts everywhere', async () => {
    const guest = (topic: string, name: string, password: string) => publish(1, topic, name, password, 'mqttv5', 1884)
    expect(guest('guests/x', 'visitor', 'guest-secret').status).toBe(0)
    expect(guest('open', 'visitor', 'guest-secret').said).toMatch(/not authorized/i)
    expect(publish(1, 'guests/x', 'visitor', 'guest-secret').said).toMatch(/bad user ?name or password/i)
    expect(guest('guests/x', 'fromfile', 'new-secret').said).toMatch(/bad user ?name or password/i)
    expect(guest('guests/x', 'kitchen', 'kitchen-secret').said).toMatch(/not authorized/i)
    writeFileSync(guestAcl, 'pattern write rooms/%u\n')
    writeFileSync(aclFile, 'pattern readwrite #\n')
    gateways[0].signal('SIGHUP')
    await until('the new rules', 5000, () => guest('rooms/kitchen', 'kitchen', 'kitchen-secret').said === '')
    expect(guest('guests/x', 'visitor', 'guest-secret').said).toMatch(/not authorized/i)
    writeFileSync(guestAcl, 'user\n')
    gateways[0].signal('SIGHUP')
    await until('the refusal', 5000, () => gateways[0].log.includes(`${guestAcl}:1: found no name`))
    writeFileSync(guestAcl, 'pattern write rooms/%u\n')
  })

  test('accounts and rules survive kill -9', async () => {
    await gateways[1].kill()
    writeFileSync(aclFile, 'pattern readwrite #\n')
    await gateways[1].start().ready()
    expect(publish(2, 'a', 'kitchen', 'kitchen-secret').status).toBe(0)
    expect(gateways[1].command('acl', 'list').trim().split('\n').sort()).toEqual([
      'user:kitchen deny publish home/locked',
      'user:kitchen deny subscribe home/secret/#',
    ])
  })

  test('no password in log, status or what is kept', () => {
    const secrets = [...SECRETS, devicesPassword(gateways[0])]
    for (const gateway of gateways) {
      const kept = readFileSync(join(gateway.dataDir, 'state/accounts.json'), 'utf8')
      expect(kept).toContain('account:kitchen')
      const status = gateway.command('status', '--json') + gateway.command('user', 'list', '--json')
      for (const secret of secrets) {
        for (const [where, text] of Object.entries({ log: gateway.log, kept, status })) {
          expect(`${where}: ${text.includes(secret)}`).toBe(`${where}: false`)
        }
      }
    }
    expect(gateways[0].log).toContain('client refused')
  })
})
