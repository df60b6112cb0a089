// Boxes that come into a cluster: by code, password, approval; who is refused, with which word; lone boxes.

import { beforeEach, describe, expect, test } from 'vitest'
import { defaultClusterSettings } from '../../../../src/cluster/settings.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { type BoxOptions, ClusterBox, Lan } from '../clusterbox.ts'
import { at, MemoryFiles } from '../fakes.ts'

const BUNDLE = { certificate: 'ca|cccccccccccccccc|cakey', privateKey: 'key|cakey' }
const OTHER = { certificate: 'ca|dddddddddddddddd|otherkey', privateKey: 'key|otherkey' }
const PASSWORD = 'correct horse battery'
const QUIET = { mdns: { enabled: false }, beacon: { ...defaultClusterSettings.beacon, enabled: false } }

let clock: VirtualClock
let lan: Lan
beforeEach(() => {
  clock = new VirtualClock()
  lan = new Lan(clock)
})
const box = (last: number, options: BoxOptions = {}) => new ClusterBox(lan, last, options)
const member = (last: number, options: BoxOptions = {}) => box(last, { bundle: BUNDLE, ...options })

describe('a code', () => {
  test('lets a box in, made on one member and shown to another', () => {
    const [first, second] = [member(1), member(2)]
    clock.advance(5000)
    const { code } = first.invite()
    clock.advance(100)
    const fresh = box(3)
    const found = fresh.join({ code, to: at('10.0.0.2') })
    clock.advance(4000)
    expect(found).toEqual([
      { linked: true, waiting: false, words: 'let in by 10.0.0.2:4883: a member of cluster cccccccccccccccc now' },
    ])
    expect(fresh.linked.sort()).toEqual(['gw-1', 'gw-2'])
    expect([...first.linked, ...second.linked].filter((name) => name === 'gw-3')).toHaveLength(2)
    expect(fresh.files.texts.get('ca.crt')).toBe(BUNDLE.certificate)
    expect(fresh.files.texts.get('ca.key')).toBe('')
    expect(fresh.files.secrets).toContain('node.key')
    expect(second.meter.get('enrol.granted')).toBe(1)
  })

  test('finds the cluster that it is for among those that are heard', () => {
    const [, theirs] = [member(1), box(2, { bundle: OTHER })]
    clock.advance(1000)
    const fresh = box(3)
    clock.advance(7000)
    const found = fresh.join({ code: theirs.invite().code })
    clock.advance(5000)
    expect(found).toMatchObject([{ linked: true }])
    expect(fresh.status.id).toBe('dddddddddddddddd')
  })

  test('of an issuer brings the key of the CA', () => {
    const first = member(1)
    clock.advance(1000)
    const fresh = box(2)
    clock.advance(1000)
    fresh.join({ code: first.invite({ issuer: true }).code })
    clock.advance(15_000)
    expect(fresh.files.texts.get('ca.key')).toBe(BUNDLE.privateKey)
    expect(fresh.files.secrets).toContain('ca.key')
    expect(fresh.linked).toEqual(['gw-1'])
  })

  test('is good for as many boxes as it says, and no more', () => {
    const first = member(1)
    clock.advance(1000)
    const { code } = first.invite({ uses: 2 })
    const outcomes = [2, 3, 4].map((last) => {
      const found = box(last).join({ code, to: at('10.0.0.1') })
      clock.advance(5000)
      return found[0]!
    })
    expect(outcomes.map(({ linked }) => linked)).toEqual([true, true, false])
    expect(outcomes[2]!.words).toMatch(/^10\.0\.0\.1:4883: the code has been used: edge-mqtt invite/)
  })

  test.each([
    ['forward', 40 * 86_400_000],
    ['back', -40 * 86_400_000],
  ])('is good for as long as it was said to be, though people set the time %s', (_way, byMs) => {
    const [first, second] = [member(1), member(2)]
    clock.advance(5000)
    const made = [first.invite(), first.invite(), first.invite()]
    const codes = made.map(({ code }) => code)
    clock.advance(1000)
    second.cluster.operator.revokeInvite(made[2]!.id)
    clock.advance(1000)
    const { time } = second.cluster.operator
    expect(time.set(time.now() + byMs)).toBeNull()
    clock.advance(5000)
    const [early, ended] = [box(3).join({ code: codes[0]!, to: at('10.0.0.2') }), box(4)]
    clock.advance(5000)
    expect(early).toMatchObject([{ linked: true, words: expect.stringContaining('let in') }])
    const revoked = ended.join({ code: codes[2]!, to: at('10.0.0.1') })
    clock.advance(3_600_000)
    const late = ended.join({ code: codes[1]!, to: at('10.0.0.1') })
    clock.advance(5000)
    for (const [each] of [revoked, late]) expect(each!.words).toContain('the code has expired')
  })

  test('is good again for a box whose answer was lost', () => {
    const first = member(1)
    clock.advance(1000)
    const { code } = first.invite()
    const fresh = box(2, { settings: QUIET })
    fresh.files.cutAfter = fresh.files.writes.length
    fresh.join({ code, to: at('10.0.0.1') })
    clock.advance(3000)
    expect(first.meter.get('enrol.granted') + first.meter.get('enrol.ended')).toBe(0)
    fresh.stop()
    fresh.files.cutAfter = Number.POSITIVE_INFINITY
    clock.advance(20_000)
    const again = box(2, { files: fresh.files, settings: QUIET })
    expect(again.id).toBe(fresh.id)
    const found = again.join({ code, to: at('10.0.0.1') })
    clock.advance(6000)
    expect(found).toMatchObject([{ linked: true }])
  })

  test('ends', () => {
    const first = member(1)
    clock.advance(1000)
    const { code } = first.invite({ ttlMs: 60_000 })
    clock.advance(60_000)
    const found = box(2).join({ code, to: at('10.0.0.1') })
    clock.advance(5000)
    expect(found).toMatchObject([{ linked: false, words: expect.stringMatching(/the code has expired/) }])
  })

  test('is listed on every member, and ended by any of them', () => {
    const [first, second] = [member(1), member(2)]
    clock.advance(10_000)
    const [spare, made] = [first.invite({ uses: 2 }), first.invite({ ttlMs: 60_000, issuer: true })]
    clock.advance(1000)
    const joined = box(3).join({ code: spare.code, to: at('10.0.0.1') })
    clock.advance(5000)
    expect(joined).toMatchObject([{ linked: true }])
    const list = () => second.cluster.operator.invites()
    const [used] = [expect.stringMatching(/^[0-9a-f]{16}$/)]
    const common = { state: 'good', by: first.id }
    expect(list()).toEqual([
      { ...common, id: made.id, endMs: made.endMs, uses: 1, used: [], issuer: true },
      { ...common, id: spare.id, endMs: spare.endMs, uses: 2, used: [used], issuer: false },
    ])
    expect(JSON.stringify(list())).not.toContain(spare.code.slice(9, 14))
    const ended = second.cluster.operator.revokeInvite(spare.id.toLowerCase())
    expect(ended).toMatchObject({ id: spare.id, state: 'expired' })
    clock.advance(1000)
    const late = box(4).join({ code: spare.code, to: at('10.0.0.1') })
    clock.advance(5000)
    expect(late).toMatchObject([{ linked: false, words: expect.stringMatching(/the code has expired/) }])
    const again = first.cluster.operator.revokeInvite(spare.id)
    expect(again).toMatchObject({ message: `the invite ${spare.id} is expired already` })
    expect(first.cluster.operator.revokeInvite('2222')).toMatchObject({
      message: 'there is no invite "2222": "edge-mqtt invite --list" shows them',
    })
    clock.advance(60_000)
    expect(list()).toMatchObject([{ state: 'expired' }, { state: 'expired' }])
  })

  test('mistyped, of another cluster, made up: each says so, and those that try are slowed', () => {
    const first = member(1)
    clock.advance(1000)
    const { code } = first.invite()
    const fresh = box(2, { settings: QUIET })
    clock.advance(1000)
    const to = at('10.0.0.1')
    const ask = (text: string, forMs = 4000) => {
      const found = fresh.join({ code: text, to })
      clock.advance(forMs)
      return found[0]!.words
    }
    const swapped = code.replace(/(\w)(?!\1)(\w)/, '$2$1')
    expect(ask(swapped)).toMatch(/^the code is mistyped: the last character/)
    const lone = box(9, { bundle: OTHER, settings: QUIET })
    clock.advance(1000)
    expect(ask(lone.invite().code)).toMatch(/the code is for another cluster than cccccccccccccccc/)
    // The same cluster in its first 15 bits, so that the code gets as far as the key.
    const twin = box(8, { bundle: { ...OTHER, certificate: 'ca|ccccccccdddddddd|otherkey' }, settings: QUIET })
    clock.advance(1000)
    expect(ask(twin.invite().code)).toMatch(/unknown code/)
    expect(first.status.refused).toMatchObject([{ address: '10.0.0.2', reason: 'enrolment: unknown code' }])
    for (let tries = 0; tries < 8; tries++) ask(twin.invite().code, 500)
    expect(first.status.refused.map(({ reason }) => reason)).toContain('enrolment: too many wrong tries')
    expect(ask(code, 500)).toMatch(/after wrong tries that is so for a minute/)
    clock.advance(60_000)
    const found = fresh.join({ code, to })
    clock.advance(4000)
    expect(found).toMatchObject([{ linked: true }])
  })

  test('for whom nobody is heard says what to do', () => {
    const fresh = box(2)
    clock.advance(1000)
    const lone = new ClusterBox(new Lan(clock), 1, { bundle: BUNDLE })
    clock.advance(1000)
    const found = fresh.join({ code: lone.invite().code })
    clock.advance(15_000)
    expect(found).toEqual([
      {
        ...{ linked: false, waiting: false },
        words: 'no member of the cluster that the code is for is heard here; name the address of one',
      },
    ])
    // First setup goes on where it was.
    clock.advance(15_000)
    expect(fresh.status).toMatchObject({ state: 'alone', id: expect.stringMatching(/^[0-9a-f]{16}$/) })
  })

  test('cannot be made by a box that is no member', () => {
    expect(() => box(1).invite()).toThrow('not a member of a cluster')
  })

  test('that asks for too much is refused', () => {
    const first = member(1)
    clock.advance(1000)
    expect(() => first.invite({ uses: 0 })).toThrow('1 to 100 boxes')
    expect(() => first.invite({ ttlMs: 1 })).toThrow('1s to 30d')
    for (let made = 0; made < 64; made++) first.invite()
    expect(() => first.invite()).toThrow('there are 64 invites')
  })

  test('is no secret of the settings, and neither are keys in the log', () => {
    const first = member(1)
    clock.advance(1000)
    const { code, id } = first.invite()
    box(2).join({ code, to: at('10.0.0.1') })
    clock.advance(5000)
    const secret = code.replaceAll('-', '').slice(7, 23)
    const [key] = first.shared.keys('invite.')
    expect(key).toBe(`invite.${id}`)
    expect(first.shared.get(key!)!.includes(secret)).toBe(false)
    for (const line of first.lines) expect(line.replaceAll('-', '')).not.toContain(secret)
  })
})

describe('the password', () => {
  test('lets boxes in by themselves', () => {
    const settings = { password: PASSWORD }
    const first = member(1, { settings })
    clock.advance(1000)
    const fresh = box(2, { settings })
    clock.advance(5000)
    expect([first.linked, fresh.linked]).toEqual([['gw-2'], ['gw-1']])
  })

  test('makes one cluster of two fresh boxes', () => {
    const settings = { password: PASSWORD }
    const boxes = [box(1, { settings }), box(2, { settings })]
    clock.advance(25_000)
    expect(boxes.map(({ linked }) => linked)).toEqual([['gw-2'], ['gw-1']])
  })

  test('joins two boxes that had each made a cluster before', () => {
    const settings = { password: PASSWORD }
    const apart = [new Lan(clock), new Lan(clock)].map((own, index) => new ClusterBox(own, index + 1))
    clock.advance(10_000)
    expect(new Set(apart.map(({ status }) => status.id)).size).toBe(2)
    for (const each of apart) each.stop()
    const boxes = apart.map(({ files }, index) => box(index + 1, { files, settings }))
    clock.advance(30_000)
    expect(boxes.map(({ linked }) => linked)).toEqual([['gw-2'], ['gw-1']])
    expect(new Set(boxes.map(({ status }) => status.id)).size).toBe(1)
  })

  test('that is tried by a crowd is held back for a minute, and codes are not', () => {
    const first = member(1, { settings: { password: PASSWORD } })
    clock.advance(2000)
    const { code } = first.invite()
    const crowd = Array.from({ length: 64 }, (_, index) => {
      const guessing = box(100 + index, { settings: { password: `wrong number ${index}` } })
      // No more than the door lets in at once.
      if (index % 16 === 15) clock.advance(7000)
      return guessing
    })
    expect(first.meter.get('enrol.failed.wrong key')).toBe(60)
    expect(first.status.refused.map(({ reason }) => reason)).toContain('enrolment: too many wrong tries')
    const late = box(3, { settings: { password: PASSWORD } })
    const found = box(2, { settings: QUIET }).join({ code, to: at('10.0.0.1') })
    clock.advance(7000)
    expect(found).toMatchObject([{ linked: true }])
    expect(late.linked).toEqual([])
    expect(late.cluster.problems().join()).toContain('too many wrong ones were tried')
    for (const { cluster } of crowd) cluster.stop(() => {})
    clock.advance(120_000)
    expect(late.linked).toContain('gw-1')
  })

  test('that is wrong says so on both, and is not tried without end', () => {
    const first = member(1, { settings: { password: PASSWORD } })
    clock.advance(1000)
    const fresh = box(2, { settings: { password: 'incorrect horse' } })
    clock.advance(120_000)
    expect(fresh.status.state).toBe('waiting')
    expect(fresh.cluster.problems().join()).toMatch(/wrong password: cluster.password is another there/)
    const [row] = first.status.refused
    expect(row).toMatchObject({ address: '10.0.0.2', reason: 'enrolment: wrong password' })
    expect(row!.count).toBeLessThanOrEqual(5)
    expect(fresh.linked).toEqual([])
  })

  test('that no member has set says so', () => {
    member(1)
    clock.advance(1000)
    const fresh = box(2, { settings: { password: PASSWORD } })
    clock.advance(5000)
    expect(fresh.cluster.problems().join()).toMatch(/no cluster.password there/)
  })

  test('leads to the cluster that has it, though another was heard first', () => {
    box(2, { bundle: OTHER })
    const fresh = box(3, { settings: { password: PASSWORD } })
    clock.advance(12_000)
    expect(fresh.status.state).toBe('waiting')
    member(1, { settings: { password: PASSWORD } })
    clock.advance(40_000)
    expect(fresh.linked).toEqual(['gw-1'])
  })

  test('set while boxes run is taken', () => {
    const first = member(1)
    clock.advance(1000)
    const fresh = box(2)
    clock.advance(5000)
    expect(fresh.status.state).toBe('waiting')
    const password = PASSWORD
    for (const each of [first, fresh]) each.cluster.configure({ ...each.cluster.settings(), password })
    clock.advance(60_000)
    expect(fresh.linked).toEqual(['gw-1'])
  })
})

describe('approval', () => {
  test('is by id, its beginning, or name; whoever is not meant is not let in', () => {
    const first = member(1)
    clock.advance(1000)
    expect(first.approve('x')[0]).toMatchObject({ message: 'no box is waiting to be let in' })
    const boxes = [box(2), box(3)]
    clock.advance(3000)
    expect(first.status.waiting.map(({ name }) => name).sort()).toEqual(['gw-2', 'gw-3'])
    expect(first.approve('gw-9')[0]).toMatchObject({
      message: expect.stringMatching(/no waiting box is "gw-9"; waiting: /),
    })
    const found = first.approve('gw-3')
    clock.advance(5000)
    expect(found).toMatchObject([{ name: 'gw-3' }])
    expect(boxes.map(({ status }) => status.state)).toEqual(['waiting', 'member'])
  })

  test('is of what people have compared: a box that asks anew has other words', () => {
    const first = member(1)
    clock.advance(1000)
    const fresh = box(2)
    clock.advance(3000)
    const [before] = first.status.waiting
    fresh.stop()
    const again = box(2, { files: fresh.files })
    clock.advance(12_000)
    const [after] = first.status.waiting
    expect(after!.id).toBe(before!.id)
    expect(after!.words).not.toBe(before!.words)
    expect(again.cluster.problems().join()).toContain(after!.words)
  })

  test('a member that goes away is replaced by another, with other words', () => {
    const [first, second] = [member(1), member(2)]
    clock.advance(5000)
    const fresh = box(3)
    clock.advance(3000)
    const holder = [first, second].find(({ cluster }) => cluster.presence!.lettingIn.own.length > 0)!
    const other = holder === first ? second : first
    const [before] = other.status.waiting
    holder.stop()
    clock.advance(20_000)
    const rows = other.status.waiting
    expect(rows).toHaveLength(1)
    expect(rows[0]!.words).not.toBe(before!.words)
    other.approve('gw-3')
    clock.advance(8000)
    expect(fresh.linked).toEqual([`gw-${other === first ? 1 : 2}`])
  })

  test('a box that hears nobody is shown where people say', () => {
    const first = member(1, { settings: QUIET })
    const fresh = box(2, { settings: QUIET })
    clock.advance(1000)
    const found = fresh.join({ to: at('10.0.0.1') })
    clock.advance(3000)
    const [row] = first.status.waiting
    expect(found).toMatchObject([{ linked: false, waiting: true, words: expect.stringContaining(row!.words) }])
    first.approve(fresh.id)
    clock.advance(5000)
    expect(fresh.linked).toEqual(['gw-1'])
  })

  test('is asked for at the cluster that it waits for, whatever else is heard', () => {
    const ours = member(1)
    clock.advance(1000)
    const fresh = box(3)
    clock.advance(3000)
    const other = box(2, { bundle: OTHER })
    clock.advance(1000)
    expect([ours, other].map(({ status }) => status.waiting.length)).toEqual([1, 0])
    ours.stop()
    clock.advance(90_000)
    expect(other.status.waiting).toEqual([])
    // By hand it is another matter.
    fresh.join({ to: at('10.0.0.2') })
    clock.advance(5000)
    expect(other.status.waiting).toHaveLength(1)
  })

  test('of a box with the certificate of a CA and not its key is asked for at its cluster, and goes elsewhere by hand', () => {
    const [ours, other] = [member(1), box(2, { bundle: OTHER })]
    clock.advance(1000)
    const bundle = { certificate: BUNDLE.certificate, privateKey: null }
    const fresh = box(3, { bundle })
    clock.advance(8000)
    expect([ours, other].map(({ status }) => status.waiting.length)).toEqual([1, 0])
    fresh.join({ code: other.invite().code })
    clock.advance(8000)
    expect(fresh.status).toMatchObject({ id: 'dddddddddddddddd', state: 'member' })
    fresh.stop()
    const again = box(3, { bundle, files: fresh.files })
    clock.advance(8000)
    expect(again.status).toMatchObject({ id: 'dddddddddddddddd', state: 'member' })
  })

  test('sixteen may wait at one member', () => {
    const first = member(1)
    clock.advance(1000)
    for (let last = 10; last < 28; last++) box(last)
    clock.advance(8000)
    expect(first.status.waiting).toHaveLength(16)
  })

  test('of strangers from everywhere keeps nobody out who has a code', () => {
    const first = member(1)
    clock.advance(1000)
    const { code } = first.invite()
    for (let last = 10; last < 50; last++) box(last)
    clock.advance(8000)
    expect(first.status.waiting).toHaveLength(16)
    const found = box(2, { settings: QUIET }).join({ code, to: at('10.0.0.1') })
    clock.advance(4000)
    expect(found).toMatchObject([{ linked: true }])
  })
})

describe('a lone box', () => {
  /** Two boxes that have each founded a cluster, then meet. */
  function strangers() {
    const apart = [new Lan(clock), new Lan(clock)].map((own, index) => new ClusterBox(own, index + 1))
    clock.advance(10_000)
    for (const each of apart) each.stop()
    const boxes = apart.map(({ files }, index) => box(index + 1, { files }))
    clock.advance(8000)
    return boxes.sort((a, b) => (a.status.id! < b.status.id! ? -1 : 1)) as [ClusterBox, ClusterBox]
  }

  test('that hears another asks it, the greater the lesser, and goes on serving', () => {
    const [lesser, greater] = strangers()
    expect(lesser.status.waiting).toMatchObject([{ id: greater.id }])
    expect(greater.status.waiting).toEqual([])
    expect([lesser.status.state, greater.status.state]).toEqual(['alone', 'alone'])
    expect(greater.cluster.problems().join()).toMatch(/another cluster is here; to let this box into it/)
  })

  test('that is approved gives up its own cluster, and remembers that it did', () => {
    const [lesser, greater] = strangers()
    const left = greater.status.id!
    greater.invite()
    const set = (each: ClusterBox, key: string, value: string | null) =>
      each.shared.set(key, value === null ? null : Buffer.from(value))
    set(lesser, 'both', 'of the cluster')
    set(lesser, 'removed by the lone one', 'of the cluster')
    clock.advance(1000)
    set(greater, 'both', 'of the lone one, and later')
    set(greater, 'own', 'brought along')
    set(greater, 'removed by the lone one', 'x')
    set(greater, 'removed by the lone one', null)
    lesser.approve(greater.id)
    clock.advance(8000)
    expect([lesser.linked.length, greater.linked.length]).toEqual([1, 1])
    for (const { shared } of [lesser, greater]) {
      const texts = ['both', 'own', 'removed by the lone one'].map((key) => shared.get(key)?.toString())
      expect(texts).toEqual(['of the cluster', 'brought along', 'of the cluster'])
    }
    expect(greater.status.id).toBe(lesser.status.id)
    expect(greater.shared.keys('invite.')).toEqual([])
    expect(JSON.parse(greater.files.texts.get('node.json')!)).toMatchObject({ gaveUp: [left] })
    // Its own CA still lies in the folder where the installer put it.
    const bundle = { certificate: `ca|${left}|whatever`, privateKey: 'key|whatever' }
    greater.stop()
    const again = box(Number(greater.address.at(-1)), { files: greater.files, bundle })
    clock.advance(8000)
    expect(again.linked).toHaveLength(1)
  })

  test('with a bundle is left in peace, and leaves others in peace', () => {
    const [ours, theirs] = [member(1), box(2, { bundle: OTHER })]
    clock.advance(20_000)
    expect([ours.status.waiting, theirs.status.waiting]).toEqual([[], []])
  })

  test('joins by a code or an address all the same', () => {
    const [first, second] = [member(1), member(2)]
    const theirs = box(3, { bundle: OTHER })
    clock.advance(5000)
    const found = theirs.join({ to: at('10.0.0.1') })
    clock.advance(5000)
    expect(found).toMatchObject([{ waiting: true }])
    second.approve('gw-3')
    clock.advance(8000)
    expect(theirs.linked.sort()).toEqual(['gw-1', 'gw-2'])
    const refused = first.join({ code: second.invite().code })
    expect(refused).toMatchObject([
      { linked: false, words: expect.stringMatching(/has met others of it: first edge-mqtt cluster leave/) },
    ])
  })
})

describe('in the place of another', () => {
  test('a new card takes over the name of a dead member, which is removed, and whose CA is replaced', () => {
    const [first, second, third] = [member(1), member(2), member(3)]
    clock.advance(5000)
    const gone = second.id
    second.stop()
    clock.advance(20_000)
    const card = box(4, { settings: { nodeName: 'gw-2' } })
    const found = card.join({ code: first.invite().code, replaces: 'gw-2', to: at('10.0.0.1') })
    clock.advance(40_000)
    expect(found).toMatchObject([{ linked: true }])
    expect(
      first.status.members.map(({ name, id, state }) => `${name} ${state}${id === gone ? ' gone' : ''}`).sort(),
    ).toEqual(['gw-1 alive', 'gw-2 alive', 'gw-2 left gone', 'gw-3 alive'])
    // While the CA is replaced the others link for a minute with nobody whom they do not know.
    clock.advance(120_000)
    expect([first, third, card].map(({ linked }) => linked.length)).toEqual([2, 2, 2])
    expect(first.files.texts.get('ca.crt')).not.toBe(BUNDLE.certificate)
  })

  test('by approval the new CA is compared anew', () => {
    const [first, second] = [member(1), member(2)]
    clock.advance(5000)
    second.stop()
    clock.advance(20_000)
    const card = box(4, { settings: { nodeName: 'gw-2' } })
    const found = card.join({ to: at('10.0.0.1'), replaces: 'gw-2' })
    clock.advance(4000)
    expect(found).toMatchObject([{ waiting: true }])
    expect(first.status.waiting).toMatchObject([{ name: 'gw-2', replaces: 'gw-2' }])
    const [before] = first.status.waiting
    const refused = first.approve(card.id)
    clock.advance(20_000)
    expect(refused).toMatchObject([{ message: expect.stringContaining('compare the new words, and approve it again') }])
    const [after] = first.status.waiting
    expect(after!.words).not.toBe(before!.words)
    first.approve(card.id)
    clock.advance(20_000)
    expect(card.linked).toEqual(['gw-1'])
  })

  test.each([
    ['gw-1', /gw-1 is this member, and alive/],
    ['gw-7', /no member has the name "gw-7"/],
    ['gw-2', /gw-2 .* at 10\.0\.0\.2:4883 is alive: switch it off first/],
  ])('not of %s', (name, words) => {
    const [first] = [member(1), member(2)]
    clock.advance(5000)
    const found = box(3).join({ code: first.invite().code, replaces: name, to: at('10.0.0.1') })
    clock.advance(5000)
    expect(found).toMatchObject([{ linked: false, words: expect.stringMatching(words) }])
  })
})

test('nothing is left behind when boxes stop in the middle of it', () => {
  const first = member(1)
  clock.advance(1000)
  const boxes = [box(2), box(3, { settings: { password: PASSWORD } })]
  clock.advance(3000)
  for (const each of [...boxes, first]) each.stop()
  clock.advance(5000)
  expect(clock.timers).toEqual([])
  expect(lan.net.streams.filter((stream) => !stream.isClosed)).toEqual([])
  expect(first.files).toBeInstanceOf(MemoryFiles)
})
