// Trust while the cluster lives: the CA replaced under it, its key on two boxes, boxes removed for good.

import { beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import type { Left } from '../../../../src/cluster/leaving.ts'
import { loadIdentity } from '../../../../src/cluster/trust/identity.ts'
import type { Sealed } from '../../../../src/cluster/trust/keyholding.ts'
import type { Rotated } from '../../../../src/cluster/trust/rotation.ts'
import type { Removed } from '../../../../src/cluster/trust/trustlife.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { FakeTrust, SeededRandom } from '../fakes.ts'
import { BUNDLE, Lab, type TrustGateway } from '../trustlab.ts'

const SECOND = 1000
const DAY = 86_400_000
const TIES = { machineId: '', boardSerial: '', firstMac: '' }

let lab: Lab
beforeEach(() => {
  lab = new Lab()
})

const rotate = (gateway: TrustGateway, compromised = false) =>
  gateway.async<Rotated>((trust, done) => trust.rotate(compromised, done))
const remove = (gateway: TrustGateway, target: string, keepCa = false) =>
  gateway.async<Removed>((trust, done) => trust.remove(target, keepCa, done))
const seal = (gateway: TrustGateway) => gateway.async<Sealed>((trust, done) => trust.seal(done))
const linkedAll = (...gateways: readonly TrustGateway[]): boolean =>
  gateways.every(({ linked }) => linked.split(' ').filter(Boolean).length === gateways.length - 1)

describe('the key of the CA', () => {
  test('goes to a second box as soon as there is one, secretly, and to no third', () => {
    const first = lab.gateway(1)
    lab.advance(10 * SECOND)
    const second = lab.keyless(2)
    lab.advance(10 * SECOND)
    expect([first.hasKey, second.hasKey]).toEqual([true, true])
    expect(second.files.texts.get('ca.key')).toBe(BUNDLE.privateKey)
    expect(second.files.secrets.has('ca.key')).toBe(true)
    const third = lab.keyless(3)
    lab.advance(30 * SECOND)
    expect(linkedAll(first, second, third)).toBe(true)
    expect([third.hasKey, first.holders, second.holders, third.holders]).toEqual([
      false,
      'gw-1 gw-2',
      'gw-1 gw-2',
      'gw-1 gw-2',
    ])
    // A box that is off for a while still has it; one that is removed has not.
    second.stop()
    lab.advance(600 * SECOND)
    expect(third.hasKey).toBe(false)
    const removed = remove(first, 'gw-2', true)
    lab.advance(30 * SECOND)
    expect(removed.result).toMatchObject({ name: 'gw-2', keptCa: true, rotated: null })
    expect(third.hasKey).toBe(true)
  })

  test('is deleted from all boxes but two, and not taken from the bundle again', () => {
    const boxes = [1, 2, 3, 4].map((last) => lab.gateway(last))
    lab.advance(10 * SECOND)
    expect(boxes.map(({ hasKey }) => hasKey)).toEqual([true, true, true, true])
    const sealed = seal(boxes[0]!)
    lab.advance(15 * SECOND)
    const { kept, deleted, missing, inBundle } = sealed.result
    expect([kept.length, deleted.length, missing]).toEqual([2, 2, []])
    expect([...inBundle].sort()).toEqual([...deleted].sort())
    expect(boxes.map(({ hasKey }) => hasKey).filter(Boolean)).toHaveLength(2)
    for (const box of boxes) {
      expect((box.files.texts.get('ca.key') ?? '') !== '').toBe(box.hasKey)
      const again = box.again()
      lab.advance(10 * SECOND)
      expect(again.hasKey).toBe(kept.includes(again.id as never))
    }
  })

  test('does not spread because the other box that has it is off while this one starts', () => {
    const [first, second] = [lab.gateway(1), lab.keyless(2)]
    lab.advance(20 * SECOND)
    const third = lab.keyless(3)
    lab.advance(20 * SECOND)
    second.stop()
    const again = first.again()
    lab.advance(600 * SECOND)
    expect([again.linked, again.holders, third.hasKey]).toEqual(['gw-3', 'gw-1 gw-2', false])
    // Until it is said to be gone for good.
    remove(again, second.id, true)
    lab.advance(20 * SECOND)
    expect([again.holders, third.hasKey]).toEqual(['gw-1 gw-3', true])
  })

  test('is deleted nowhere when fewer than two that have it are linked', () => {
    const [first, second] = [lab.gateway(1), lab.gateway(2)]
    lab.advance(10 * SECOND)
    second.stop()
    const sealed = seal(first)
    lab.advance(15 * SECOND)
    expect([sealed.error, first.hasKey]).toEqual([expect.stringContaining('nothing was deleted'), true])
  })

  test('sealed on all boxes at once: two keep it', () => {
    const [first, second] = [lab.gateway(1), lab.gateway(2)]
    lab.advance(10 * SECOND)
    const third = lab.gateway(3)
    lab.advance(10 * SECOND)
    const answers = [first, second, third].map(seal)
    lab.advance(15 * SECOND)
    expect(answers.map(({ error }) => error)).toEqual(['', '', ''])
    expect([first, second, third].filter(({ hasKey }) => hasKey)).toHaveLength(2)
  })
})

describe('a rotation', () => {
  test('reaches every linked member while its links stay; a box that was away finds back and takes part', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    third.stop()
    const ups = [first, second].map(({ meter }) => meter.get('link.up'))
    const rotated = rotate(first)
    lab.advance(10 * SECOND)
    expect(rotated.result).toMatchObject({ generation: 1, compromised: false, confirmed: [second.id], missing: [] })
    expect([first.generation, second.generation]).toEqual([1, 1])
    expect([first, second].map(({ meter }) => meter.get('link.up'))).toEqual(ups)
    const { fingerprint } = first.trust.custody.papers!.authority
    expect(fingerprint).not.toBe('cakey')
    // The cluster is the same one, and both have its key.
    expect(second.cluster.status().id).toBe('cccccccccccccccc')
    expect([first.hasKey, second.hasKey]).toEqual([true, true])
    expect(second.told.map(({ generation }) => generation)).toContain(1)

    const returned = third.again(30 * DAY)
    lab.advance(40 * SECOND)
    expect(linkedAll(first, second, returned)).toBe(true)
    expect(returned.generation).toBe(1)
    // And all of it is there after a restart of every box.
    const again = [first, second, returned].map((gateway) => gateway.again())
    lab.advance(60 * SECOND)
    expect(linkedAll(...again)).toBe(true)
    expect(again.map(({ generation }) => generation)).toEqual([1, 1, 1])
    for (const { trust } of again) expect(trust.custody.papers!.authority.fingerprint).toBe(fingerprint)
  })

  test('can be asked for on a box without the key, and says so when nobody with it is linked', () => {
    const first = lab.gateway(1)
    const [second, third] = [lab.keyless(2), lab.keyless(3)]
    lab.advance(20 * SECOND)
    const asker = second.hasKey ? third : second
    expect(asker.hasKey).toBe(false)
    const rotated = rotate(asker)
    lab.advance(20 * SECOND)
    expect(rotated.result).toMatchObject({ generation: 1 })
    expect(rotated.result.confirmed).toHaveLength(2)
    const alone = lab.keyless(9)
    alone.datagrams.faces = []
    const refused = rotate(alone)
    lab.advance(SECOND)
    expect(refused.error).toContain('the key of the CA is not on this box')
    expect(first.generation).toBe(1)
  })

  test('several, while a box is away, lead it from the first to the last', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    third.stop()
    for (const generation of [1, 2, 3]) {
      const rotated = rotate(generation === 2 ? second : first)
      lab.advance(20 * SECOND)
      expect(rotated.result.generation).toBe(generation)
    }
    const returned = third.again(10 * DAY)
    lab.advance(40 * SECOND)
    expect(linkedAll(first, second, returned)).toBe(true)
    expect(returned.trust.custody.papers).toMatchObject({ generation: 3, earlier: { length: 3 } })
  })

  test('on both sides of a cut: all come to the same one', () => {
    const boxes = [1, 2, 3, 4].map((last) => lab.gateway(last))
    lab.advance(10 * SECOND)
    for (const one of [1, 2]) {
      for (const other of [3, 4]) {
        lab.net.cut(`10.0.0.${one}`, `10.0.0.${other}`)
        lab.net.cut(`10.0.0.${other}`, `10.0.0.${one}`)
      }
    }
    lab.advance(30 * SECOND)
    const rotated = [rotate(boxes[0]!), rotate(boxes[3]!)]
    lab.advance(30 * SECOND)
    expect(rotated.map(({ result }) => result.generation)).toEqual([1, 1])
    const sides = new Set(boxes.map(({ trust }) => trust.custody.papers!.authority.fingerprint))
    expect(sides.size).toBe(2)
    lab.net.heal()
    lab.advance(60 * SECOND)
    expect(linkedAll(...boxes)).toBe(true)
    expect(new Set(boxes.map(({ trust }) => trust.custody.papers!.authority.fingerprint)).size).toBe(1)
    expect(boxes.filter(({ hasKey }) => hasKey).length).toBeGreaterThanOrEqual(2)
  })

  test('is believed over the CA before for 90 days, and not longer', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    third.stop()
    rotate(first)
    lab.advance(20 * SECOND)
    lab.clock.wallOffsetMs += 89 * DAY
    lab.advance(2 * 3600 * SECOND)
    expect(first.trust.custody.papers!.earlier).toHaveLength(1)
    lab.clock.wallOffsetMs += 2 * DAY
    lab.advance(2 * 3600 * SECOND)
    expect([first, second].map(({ trust }) => trust.custody.papers!.earlier)).toEqual([[], []])
    lab.advance(5 * SECOND)
    expect(linkedAll(first, second)).toBe(true)
    // They had linked by the CA before.
    expect(first.meter.get('link.renewed') + second.meter.get('link.renewed')).toBeGreaterThan(0)
    const late = third.again()
    lab.advance(60 * SECOND)
    expect(late.linked).toBe('')
    expect(late.cluster.status().refused.map(({ reason }) => reason)).toContain('foreign CA')
  })

  test('whose key is lost is replaced again by who stands on the CA before: it says what to type', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.keyless(3)]
    lab.advance(10 * SECOND)
    first.stop()
    rotate(second)
    lab.advance(20 * SECOND)
    expect([second.hasKey, third.hasKey, third.generation]).toEqual([true, true, 1])
    // Both that have the key are lost, one of them but for its card, of which the key is gone.
    second.stop()
    third.stop()
    third.files.texts.set('ca.key', '')
    const [back, keyless] = [first.again(), third.again()]
    lab.advance(40 * SECOND)
    expect([back.linked, back.generation, keyless.hasKey]).toEqual(['gw-3', 0, false])
    lab.advance(60 * SECOND)
    expect(back.cluster.problems().join()).toMatch(
      /no box that is linked has the key .*"edge-mqtt ca rotate" on this box/,
    )
    const rotated = rotate(back)
    lab.advance(20 * SECOND)
    expect(rotated.result).toMatchObject({ generation: 2, missing: [] })
    expect([back.linked, keyless.generation, keyless.hasKey, back.cluster.problems()]).toEqual(['gw-3', 2, true, []])
  })

  test('survives a power cut of a member after every single write', () => {
    for (let cut = 0; cut < 9; cut++) {
      lab = new Lab()
      const [first, second] = [lab.gateway(1), lab.gateway(2)]
      lab.advance(10 * SECOND)
      second.files.cutAfter = second.files.writes.length + cut
      rotate(first)
      lab.advance(5 * SECOND)
      second.stop()
      second.files.cutAfter = Number.POSITIVE_INFINITY
      const identity = loadIdentity(
        {
          files: second.files,
          trust: new FakeTrust(new VirtualClock(), new SeededRandom(1)),
          random: new SeededRandom(2),
        },
        { bundle: BUNDLE, hardware: TIES },
      )
      expect(identity).toMatchObject({ id: second.id, own: { privateKey: second.files.texts.get('node.key') } })
      const again = second.again()
      lab.advance(40 * SECOND)
      expect([cut, linkedAll(first, again), again.generation]).toEqual([cut, true, 1])
    }
  })
})

describe('a rotation of a compromised CA', () => {
  test('takes the linked members along and nobody else: who was away needs a code', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    third.stop()
    const rotated = rotate(first, true)
    lab.advance(10 * SECOND)
    expect(rotated.result).toMatchObject({ generation: 1, compromised: true, confirmed: [second.id], missing: [] })
    expect([first, second].map(({ trust }) => trust.custody.papers!.earlier)).toEqual([[], []])
    lab.advance(60 * SECOND)
    expect(first.trust.custody.credentials).toMatchObject({ chain: [], anchors: { length: 1 } })
    const away = third.again()
    lab.advance(60 * SECOND)
    expect([away.linked, linkedAll(first, second)]).toEqual(['', true])
  })

  test('believes within its minute only boxes that it knows by their own keys', () => {
    const [first, second] = [lab.gateway(1), lab.gateway(2)]
    lab.advance(10 * SECOND)
    rotate(first, true)
    lab.advance(5 * SECOND)
    // Somebody with the stolen key makes himself a member.
    const thief = lab.gateway(6)
    lab.advance(30 * SECOND)
    expect(thief.linked).toBe('')
    expect(first.trust.custody.strict).toBe(true)
    // A member whose link breaks just then is one that is known.
    const again = second.again()
    lab.advance(20 * SECOND)
    expect(again.linked).toBe('gw-1')
    lab.advance(120 * SECOND)
    expect([first.linked, thief.linked, first.trust.custody.strict]).toEqual(['gw-2', '', false])
  })

  test('leaves no link standing on the CA before, whatever a member says that it stands on', () => {
    const [first, second, liar] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    expect(linkedAll(first, second, liar)).toBe(true)
    // It has the stolen key, and no intention to show a certificate of the next one.
    const { custody, issuing } = liar.trust
    custody.adopt = () => {}
    rotate(first, true)
    lab.advance(5 * SECOND)
    const { authority, generation } = first.trust.custody.papers!
    custody.standing = () => ({ authority, ca: null, generation, inBundle: false })
    issuing.announce()
    lab.advance(5 * SECOND)
    expect(linkedAll(first, second, liar)).toBe(true)
    lab.advance(60 * SECOND)
    expect([first.linked, second.linked, liar.linked]).toEqual(['gw-2', 'gw-1', ''])
    expect(first.meter.get('link.renewed') + second.meter.get('link.renewed')).toBeGreaterThan(1)
    const trust = new FakeTrust(new VirtualClock(), new SeededRandom(1))
    const { certificate } = first.cluster.presence!.links.to(second.cluster.self.id)!
    expect([authority.certificate, BUNDLE.certificate].map((ca) => trust.signedBy(certificate, ca))).toEqual([
      true,
      false,
    ])
    expect(first.cluster.status().refused.map(({ reason }) => reason)).toContain('foreign CA')
  })

  test('two at once are refused', () => {
    const first = lab.gateway(1)
    lab.advance(5 * SECOND)
    const answers = [rotate(first, true), rotate(first, true)]
    lab.advance(20 * SECOND)
    expect(answers.map(({ error }) => error)).toEqual(['', expect.stringContaining('already')])
    expect(rotate(first).error).toContain('already')
  })
})

describe('a box that is removed', () => {
  test('loses its links at once, everywhere, is told, and stays out after any number of restarts', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    const removed = remove(first, 'gw-3', true)
    lab.advance(SECOND)
    expect(removed.result).toMatchObject({ id: third.id, name: 'gw-3', missing: [], keptCa: true, rotated: null })
    expect(removed.result.confirmed.map(({ name }) => name)).toEqual(['gw-2'])
    expect([first.linked, second.linked, third.linked]).toEqual(['gw-2', 'gw-1', ''])
    expect(third.cluster.status().state).toBe('removed')
    expect(third.cluster.problems()[0]).toContain('removed from its cluster')
    const again = third.again()
    const others = [first.again(), second.again()]
    lab.advance(120 * SECOND)
    expect([others[0]!.linked, again.linked, again.cluster.status().state]).toEqual(['gw-2', '', 'removed'])
    expect(others[0]!.cluster.status().members.map(({ name, state }) => `${name} ${state}`)).not.toContain('gw-3 alive')
  })

  test('while it is off learns of it from whoever refuses it', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    third.stop()
    const removed = remove(second, third.id, true)
    lab.advance(10 * SECOND)
    expect(removed.result).toMatchObject({ name: 'gw-3', confirmed: [{ name: 'gw-1' }] })
    const back = third.again(DAY)
    lab.advance(60 * SECOND)
    expect([first.linked, back.linked, back.cluster.status().state]).toEqual(['gw-2', '', 'removed'])
  })

  test('that had the key of the CA takes it with it: the CA is replaced in the same step', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    const removed = remove(first, 'gw-3')
    lab.advance(15 * SECOND)
    expect(removed.result.rotated).toMatchObject({ compromised: true, generation: 1, confirmed: [second.id] })
    expect([first.generation, second.generation, third.generation]).toEqual([1, 1, 0])
    // With its bundle and another id it is a stranger.
    lab.advance(120 * SECOND)
    const fresh = lab.gateway(7)
    lab.advance(60 * SECOND)
    expect([first.linked, fresh.linked]).toEqual(['gw-2', ''])
  })

  test('members that are not linked are named, and hear of it when they are', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    second.stop()
    const removed = remove(first, 'gw-3', true)
    lab.advance(10 * SECOND)
    expect(removed.result).toMatchObject({ confirmed: [], missing: [{ name: 'gw-2' }] })
    const back = second.again()
    lab.advance(40 * SECOND)
    expect([first.linked, back.linked, third.linked]).toEqual(['gw-2', 'gw-1', ''])
  })

  test('has to be somebody, one, and not this box', () => {
    const [first, second] = [lab.gateway(1), lab.gateway(2, { settings: { nodeName: 'gw-1' } })]
    lab.gateway(3, { settings: { nodeName: 'gw-1' } })
    lab.advance(10 * SECOND)
    expect(remove(first, first.id).error).toContain('cluster leave')
    expect(remove(first, 'gw-9').error).toContain('no member "gw-9"')
    expect(remove(first, 'gw-1').error).toContain(`by its id`)
    const byId = remove(first, second.id, true)
    lab.advance(10 * SECOND)
    expect(byId.result).toMatchObject({ id: second.id })
  })
})

describe('a box that leaves', () => {
  const leave = (gateway: TrustGateway) => {
    const answer = { result: null as Left | null, error: '' }
    gateway.cluster.operator.leave((result) => {
      if (result instanceof HostError) answer.error = result.message
      else answer.result = result
    })
    return answer
  }

  test('sends its clients to the others, says so, keeps nothing of the cluster, and is alone with a new identity', () => {
    const [first, second, third] = [lab.gateway(1), lab.gateway(2), lab.gateway(3)]
    lab.advance(10 * SECOND)
    const { id, files } = third
    const left = leave(third)
    lab.advance(5 * SECOND)
    expect(left.result).toEqual({ cluster: 'cccccccccccccccc', node: third.id, sessions: { given: 0, kept: 0 } })
    expect(third.id).not.toBe(id)
    expect(third.drained).toBe(1)
    expect([first.linked, second.linked, third.linked]).toEqual(['gw-2', 'gw-1', ''])
    const rows = first.cluster.status().members.map(({ name, state }) => `${name} ${state}`)
    expect(rows).toEqual(['gw-1 alive', 'gw-2 alive', 'gw-3 left'])
    // It has a cluster of its own now, whatever its bundle says, and leaves the other in peace.
    const { state, id: cluster } = third.cluster.status()
    expect([state, cluster === 'cccccccccccccccc']).toEqual(['alone', false])
    expect(third.trust.custody.papers!.authority.certificate).not.toBe(BUNDLE.certificate)
    lab.advance(120 * SECOND)
    expect([third.linked, third.cluster.status().state, first.linked]).toEqual(['', 'alone', 'gw-2'])
    const again = third.again()
    lab.advance(60 * SECOND)
    expect([again.id, again.cluster.status().id, again.linked]).toEqual([third.id, cluster, ''])
    for (const name of ['node.key', 'ca.key']) expect(files.texts.get(name)).not.toContain('cakey')
  })

  test('stays when it alone has the key of the CA, or is no member at all', () => {
    const first = lab.gateway(1)
    const second = lab.keyless(2)
    // Its disk takes nothing: it does not get the key.
    second.files.failing = new HostError('failed', 'disk full')
    lab.advance(20 * SECOND)
    expect([linkedAll(first, second), first.holders]).toEqual([true, 'gw-1'])
    const left = leave(first)
    lab.advance(20 * SECOND)
    expect(left.error).toContain('has the key of')
    expect([first.linked, first.drained]).toEqual(['gw-2', 0])
    // Later it has room again: it gets the key, and the other may go.
    second.files.failing = null
    const again = leave(first)
    lab.advance(20 * SECOND)
    expect([again.error, second.hasKey, second.linked]).toEqual(['', true, ''])
    const waiting = lab.gateway(5, { bundle: null })
    expect(leave(waiting).error).toContain('not a member')
  })

  test('hands the key on first when the only other box that has it is off', () => {
    const [first, second] = [lab.gateway(1), lab.keyless(2)]
    lab.advance(20 * SECOND)
    const third = lab.keyless(3)
    lab.advance(20 * SECOND)
    expect([second.hasKey, third.hasKey]).toEqual([true, false])
    second.stop()
    lab.advance(20 * SECOND)
    const left = leave(first)
    lab.advance(20 * SECOND)
    expect([left.error, first.linked, third.hasKey, third.holders]).toEqual(['', '', true, 'gw-2 gw-3'])
    // Whoever asks is let in, though the other is still off.
    const rotated = rotate(third)
    lab.advance(20 * SECOND)
    expect(rotated.result).toMatchObject({ generation: 1 })
    const back = second.again()
    lab.advance(40 * SECOND)
    expect([back.linked, back.hasKey, back.generation]).toEqual(['gw-3', true, 1])
  })

  test('goes though nobody is there: who has the key comes back with it', () => {
    const [first, second] = [lab.gateway(1), lab.gateway(2)]
    lab.advance(10 * SECOND)
    second.stop()
    lab.advance(20 * SECOND)
    const left = leave(first)
    lab.advance(20 * SECOND)
    expect(left.error).toBe('')
  })

  test('after it was removed has a new identity, and can be let in again', () => {
    const [first, second] = [lab.gateway(1), lab.gateway(2)]
    lab.advance(10 * SECOND)
    remove(first, 'gw-2', true)
    lab.advance(5 * SECOND)
    expect(second.cluster.status().state).toBe('removed')
    const left = leave(second)
    lab.advance(20 * SECOND)
    expect(left.error).toBe('')
    expect([second.cluster.status().state, second.cluster.problems()]).toEqual(['alone', []])
  })
})
