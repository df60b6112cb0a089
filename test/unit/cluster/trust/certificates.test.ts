// The certificate that listeners show, through clocks, addresses and restarts; and those of devices.

import { describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import type { StateFiles } from '../../../../src/base/ports/files.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import type { ServiceSubject } from '../../../../src/base/ports/trust.ts'
import { Certificates, isDeviceName, LISTENER_FILE, reachedBy } from '../../../../src/cluster/trust/certificates.ts'
import { VirtualClock } from '../../../virtual-clock.ts'

const DAY = 86_400_000
const MINUTE = 60_000
const NOW = Date.UTC(2027, 0, 1)
const roots = { authority: 'the CA', chain: [], earlier: [] }

class Box {
  readonly clock: VirtualClock
  readonly files: Map<string, Buffer>
  readonly issued: ServiceSubject[] = []
  readonly shown: (string | null)[] = []
  why: string | null = null
  addresses = ['10.0.0.1']
  failure: HostError | null = null
  /** By how much cluster time is off from this box's clock. */
  clusterMs = 0
  /** The CA that signs. */
  signer = 'the CA'
  anchors: readonly string[] = []
  readonly certificates: Certificates

  constructor(wallMs = NOW, files = new Map<string, Buffer>()) {
    this.clock = new VirtualClock(0, wallMs)
    this.files = files
    const state: StateFiles = {
      read: (name) => files.get(name) ?? null,
      write: (name, bytes, secret, done) => {
        expect(secret).toBe(true)
        files.set(name, bytes)
        done(null)
      },
    }
    this.certificates = new Certificates(
      {
        clock: this.clock,
        time: { now: () => this.clock.wall() + this.clusterMs },
        files: state,
        trust: {
          makeKeys: (done) => done({ publicKey: 'public', privateKey: 'private' }),
          read: () => ({ kind: 'ca', clusterId: '1' as never, fingerprint: 'abcd' }),
        },
        sign: (subject, _publicKey, done) => {
          if (this.failure !== null) return done(this.failure)
          this.issued.push(subject)
          done({ certificate: `certificate ${this.issued.length} of ${wallMs}`, authority: this.signer })
        },
        log: silentLog,
      },
      () => reachedBy('gw 1', 'raspberrypi', this.addresses),
      (certificate, anchors, why) => {
        this.anchors = anchors
        this.shown.push(certificate?.certificate ?? null)
        this.why = why
      },
    )
  }

  get last(): { fromMs: number; toMs: number } {
    return this.issued.at(-1) as { fromMs: number; toMs: number }
  }
}

describe('the certificate of the listeners', () => {
  test('names the machine, with and without .local, the name all boxes share, and every address', () => {
    const box = new Box()
    box.certificates.begin(roots)
    expect(box.issued).toMatchObject([
      {
        commonName: 'gw 1',
        names: ['raspberrypi', 'raspberrypi.local', 'edge-mqtt.local', 'localhost'],
        addresses: ['10.0.0.1'],
      },
    ])
    expect(box.shown).toEqual([`certificate 1 of ${NOW}`])
  })

  test('lives 825 days at most, begins a month ago, and is renewed at two thirds of its life', () => {
    const box = new Box()
    box.certificates.begin(roots)
    const { fromMs, toMs } = box.last
    expect(toMs - fromMs).toBeLessThanOrEqual(825 * DAY)
    expect(fromMs).toBe(NOW - 30 * DAY)
    const renewalMs = fromMs + ((toMs - fromMs) * 2) / 3
    box.clock.wallOffsetMs = renewalMs - 3 * MINUTE
    box.clock.advance(2 * MINUTE)
    expect(box.issued).toHaveLength(1)
    box.clock.advance(3 * MINUTE)
    expect(box.issued).toHaveLength(2)
    expect(box.last.toMs).toBeGreaterThan(toMs)
  })

  test('a clock at 1970 dates it neither back then nor into the future of the others', () => {
    const box = new Box(0)
    box.certificates.begin(roots)
    const right = Date.UTC(2027, 5, 1)
    expect(box.last.fromMs).toBeLessThan(right)
    expect(box.last.toMs).toBeGreaterThan(right)
    // The clock is set: nothing needs to change.
    box.clock.wallOffsetMs = right
    box.clock.advance(2 * MINUTE)
    expect(box.issued).toHaveLength(1)
  })

  test('a clock at 2099: it is dated by the time of the cluster, as soon as that is known', () => {
    const box = new Box(Date.UTC(2099, 0, 1))
    box.certificates.begin(roots)
    box.clusterMs = NOW - Date.UTC(2099, 0, 1)
    box.clock.advance(2 * MINUTE)
    expect(box.issued).toHaveLength(2)
    expect(box.last.fromMs).toBeLessThan(NOW)
    expect(box.last.toMs).toBeGreaterThan(NOW + 700 * DAY)
  })

  test('is kept over a restart, and made anew for other addresses, another CA, or a damaged file', () => {
    const first = new Box()
    first.certificates.begin(roots)
    const again = new Box(NOW, first.files)
    again.certificates.begin(roots)
    expect([again.issued.length, again.shown]).toEqual([0, first.shown])
    again.addresses = ['10.0.0.2']
    again.clock.advance(MINUTE)
    expect(again.issued).toHaveLength(1)
    const other = new Box(NOW, first.files)
    other.signer = 'another'
    other.certificates.begin({ ...roots, authority: 'another' })
    expect([other.issued.length, other.shown.length]).toEqual([1, 1])
    for (const damaged of ['', '{', 'null', '{"certificate":1}']) {
      const box = new Box(NOW, new Map([[LISTENER_FILE, Buffer.from(damaged)]]))
      box.certificates.begin(roots)
      expect(box.issued).toHaveLength(1)
    }
  })

  test('what fails is tried again', () => {
    const box = new Box()
    box.failure = new HostError('unavailable', 'nobody with the key is linked')
    box.certificates.begin(roots)
    expect(box.shown).toEqual([null])
    expect(box.why).toContain('nobody with the key is linked')
    expect(box.certificates.authority()).toEqual({ certificate: 'the CA', fingerprint: 'abcd' })
    box.failure = null
    box.clock.advance(5000)
    expect(box.shown).toEqual([null, `certificate 1 of ${NOW}`])
    expect(box.why).toBeNull()
  })

  test('follows the CA when that is replaced, shows the way from the one before, and still takes its clients', () => {
    const box = new Box()
    box.certificates.begin(roots)
    box.signer = 'the next CA'
    box.certificates.begin({ authority: 'the next CA', chain: [', the next by the CA'], earlier: ['the CA'] })
    expect(box.shown).toEqual([
      `certificate 1 of ${NOW}`,
      `certificate 1 of ${NOW}`,
      `certificate 2 of ${NOW}, the next by the CA`,
    ])
    expect(box.anchors).toEqual(['the next CA', 'the CA'])
    // The CA before is believed no more: the chain goes, the certificate stays.
    box.certificates.begin({ authority: 'the next CA', chain: [], earlier: [] })
    expect(box.shown.at(-1)).toBe(`certificate 2 of ${NOW}`)
    expect([box.issued.length, box.anchors]).toEqual([2, ['the next CA']])
  })

  test('five virtual years with a look each minute: renewed in time, never shown when it has ended', () => {
    const box = new Box()
    box.certificates.begin(roots)
    const ends: number[] = []
    for (let day = 0; day < 5 * 365; day++) {
      // A day of looks is like its last one: the clock is moved on between them.
      box.clock.wallOffsetMs += DAY - MINUTE
      box.clock.advance(MINUTE)
      expect(box.clock.wall()).toBeLessThan(box.last.toMs)
      if (ends.at(-1) !== box.last.toMs) ends.push(box.last.toMs)
    }
    expect(box.shown).toHaveLength(ends.length)
    expect(ends.length).toBe(4)
  })

  test('nothing is made after a stop', () => {
    const box = new Box()
    box.certificates.begin(roots)
    box.certificates.stop()
    box.addresses = ['10.0.0.9']
    box.clock.advance(10 * MINUTE)
    expect(box.issued).toHaveLength(1)
  })
})

describe('certificates of devices', () => {
  const issue = (box: Box, name: string): unknown => {
    let result: unknown
    box.certificates.issue(name, (outcome) => {
      result = outcome
    })
    return result
  }

  test('name the device and nothing else, without an end', () => {
    const box = new Box()
    box.certificates.begin(roots)
    expect(issue(box, 'sensor-7')).toMatchObject({ privateKey: 'private', authority: 'the CA' })
    expect(box.issued[1]).toEqual({ commonName: 'sensor-7', names: [], addresses: [], fromMs: null, toMs: null })
  })

  test('are refused for what is no name, and by a box without the key', () => {
    const box = new Box()
    expect(issue(box, 'sensor-7')).toMatchObject({ kind: 'unavailable' })
    box.certificates.begin(roots)
    for (const name of ['', '../../etc/x', '.hidden', 'a\nb', 'a'.repeat(65), 'ä']) {
      expect(issue(box, name)).toMatchObject({ kind: 'invalid' })
      expect(isDeviceName(name)).toBe(false)
    }
  })
})
