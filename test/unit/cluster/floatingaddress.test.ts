import { beforeEach, describe, expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import type { AddressUnit, AddressUnitEvents } from '../../../src/base/ports/addressunit.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { FloatingAddress } from '../../../src/cluster/floatingaddress.ts'
import { type Claimant, holderOf } from '../../../src/cluster/holder.ts'
import type { ChannelHandler, Channels, MemberView } from '../../../src/cluster/ports.ts'
import { rendezvous } from '../../../src/cluster/rendezvous.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import { eth0, lo, node, SeededRandom } from './fakes.ts'

const ADDRESS = '10.0.0.99/24'
const [a, b, c] = [node('a'), node('b'), node('c')]

describe('the holder', () => {
  const could = (of: NodeId): Claimant => ({ node: of, able: true, holds: false })
  const holds = (of: NodeId): Claimant => ({ node: of, able: true, holds: true })
  const cannot = (of: NodeId): Claimant => ({ node: of, able: false, holds: false })
  test.each<[string, readonly Claimant[], NodeId | null]>([
    ['nobody can', [cannot(a), cannot(b)], null],
    ['one can', [cannot(a), could(b), cannot(c)], b],
    ['all can: the same one for all', [could(c), could(a), could(b)], rendezvous(ADDRESS, [a, b, c])],
    ['who has it keeps it', [could(a), could(b), holds(c)], c],
    ['who has it keeps it, even with nothing to take it anew', [could(a), { ...cannot(b), holds: true }], b],
    ['two after a heal: the same one for both', [holds(a), could(b), holds(c)], rendezvous(ADDRESS, [a, c])],
  ])('%s', (_what, claimants, expected) => {
    expect(holderOf(ADDRESS, claimants)).toBe(expected)
    expect(holderOf(ADDRESS, [...claimants].reverse())).toBe(expected)
  })
})

/** One network: a unit that probes for 600 ms, and hears whoever has the address. */
class Wire {
  readonly clock = new VirtualClock()
  readonly havers = new Set<string>()
  readonly announced: string[] = []
}

class FakeUnit implements AddressUnit {
  readonly #wire: Wire
  readonly mac: string
  events: AddressUnitEvents | null = null
  /** The network between this unit and the rest. */
  cut = false
  renewals = 0
  /** A daemon that hangs reads this later. */
  tell: (run: () => void) => void = (run) => run()
  #at: 'free' | 'probing' | 'held' = 'free'
  #untilMs = 0

  constructor(wire: Wire, mac: string) {
    this.#wire = wire
    this.mac = mac
  }

  open(events: AddressUnitEvents): void {
    this.events = events
    events.present(true)
  }

  get holds(): boolean {
    return this.#at === 'held'
  }

  hold(_on: string, _address: string, leaseMs: number): void {
    const { clock } = this.#wire
    this.#untilMs = clock.now() + leaseMs
    this.renewals++
    if (this.#at !== 'free') return
    this.#at = 'probing'
    clock.after(600, 'probed', () => {
      if (this.#at !== 'probing') return
      const [other] = this.cut ? [] : [...this.#wire.havers].filter((mac) => mac !== this.mac)
      this.#at = other === undefined ? 'held' : 'free'
      if (other !== undefined) return this.events!.answered(other)
      this.#wire.havers.add(this.mac)
      this.events!.held(this.mac)
      this.#watch()
    })
  }

  #watch(): void {
    this.#wire.clock.after(100, 'lease', () => {
      if (this.#at !== 'held') return
      if (this.#wire.clock.now() < this.#untilMs) return this.#watch()
      this.release()
      this.tell(() => this.events!.lapsed())
    })
  }

  announce(): void {
    this.#wire.announced.push(this.mac)
  }

  release(): void {
    if (this.#at === 'held') this.#wire.havers.delete(this.mac)
    this.#at = 'free'
  }

  problem(): string | null {
    return null
  }

  close(): void {}
}

/** A box: its links are what the test says, and what it says arrives a millisecond later. */
class Box {
  readonly id: NodeId
  readonly unit: FakeUnit | null
  readonly floating: FloatingAddress
  readonly meter = new Meter()
  readonly views = new Map<NodeId, MemberView>()
  address: string | null = ADDRESS
  member = true
  hangs = false
  faces = [eth0(1), lo]
  handler: ChannelHandler | null = null
  #others: Box[] = []

  constructor(wire: Wire, id: NodeId, seed: number, withUnit = true) {
    this.id = id
    this.unit = withUnit ? new FakeUnit(wire, `02:00:00:00:00:${id.slice(0, 2)}`) : null
    const { clock } = wire
    const channels: Channels = {
      open: (name, _options, handler) => {
        this.handler = handler
        return {
          name,
          peers: () => [...this.views.values()].filter(({ linked }) => linked).map(({ id: peer }) => peer),
          send: (peer, message) => {
            const other = this.#others.find(({ id: one }) => one === peer)!
            const bytes = Buffer.from(message)
            clock.after(1, 'arrival', () => other.views.get(this.id)!.linked && other.handler!.received(this.id, bytes))
            return 'sent'
          },
          pendingBytes: () => 0,
        }
      },
    }
    const membership = { self: id, member: (of: NodeId) => this.views.get(of) ?? null, onChange: () => {} }
    const world = { clock, random: new SeededRandom(seed), log: silentLog, meter: this.meter }
    this.floating = new FloatingAddress(world, channels, membership, {
      unit: this.unit,
      settings: () => ({ address: this.address, deadAfterMs: 5000, heartbeatMs: 1000, interfaces: [] }),
      interfaces: () => this.faces,
      member: () => this.member,
      nameOf: (of) => `box-${of[0]}`,
    })
    const unread: (() => void)[] = []
    if (this.unit !== null) this.unit.tell = (run) => void (this.hangs ? unread.push(run) : run())
    const look = (): void => {
      if (!this.hangs) {
        this.floating.look(clock.now())
        for (const run of unread.splice(0)) run()
      }
      clock.after(250, 'look', look)
    }
    clock.after(0, 'look', look)
  }

  meet(others: readonly Box[]): void {
    this.#others = others.filter((other) => other !== this)
    for (const { id } of this.#others) this.views.set(id, { id, state: 'dead', linked: false })
  }

  sees(other: Box, state: MemberView['state'], linked = state === 'alive'): void {
    const was = this.views.get(other.id)!.linked
    this.views.set(other.id, { id: other.id, state, linked })
    if (linked && !was) this.handler!.linked(other.id)
  }
}

let wire: Wire
let boxes: Box[]
const make = (...withUnit: boolean[]): void => {
  wire = new Wire()
  boxes = withUnit.map((has, index) => new Box(wire, [a, b, c][index]!, index + 1, has))
  for (const box of boxes) box.meet(boxes)
}
const link = (...some: Box[]): void => {
  for (const one of some) for (const other of some) if (one !== other) one.sees(other, 'alive')
}
const part = (one: Box, other: Box, state: MemberView['state'] = 'dead'): void => {
  one.sees(other, state, false)
  other.sees(one, state, false)
}
const run = (ms: number): void => wire.clock.advance(ms)
const holders = (): Box[] => boxes.filter(({ unit }) => unit?.holds)

describe('three boxes', () => {
  beforeEach(() => {
    make(true, true, true)
    link(...boxes)
    run(3000)
  })

  test('one holds it, and all know which', () => {
    expect(holders()).toHaveLength(1)
    for (const box of boxes) expect(box.floating.status()).toEqual({ address: ADDRESS, holder: holders()[0]!.id })
    expect(boxes.flatMap(({ floating }) => floating.problems())).toEqual([])
  })

  test('it stays where it is while its box lives, whoever comes back', () => {
    const [holder] = holders() as [Box]
    const [one, other] = boxes.filter((box) => box !== holder) as [Box, Box]
    part(one, holder)
    part(one, other)
    one.unit!.cut = true
    run(2000)
    expect(holders()).toHaveLength(2)
    one.unit!.cut = false
    link(...boxes)
    run(2000)
    expect(holders()).toHaveLength(1)
  })

  test('a box that dies is followed within a second and a bit; the heal leaves one, which says where it is', () => {
    const [holder] = holders() as [Box]
    const rest = boxes.filter((box) => box !== holder)
    for (const other of rest) part(other, holder, 'suspect')
    holder.unit!.release()
    run(1200)
    expect(holders()).toHaveLength(1)
    expect(rest).toContain(holders()[0])
  })

  test('one side each while they are cut off; one after the heal, and it is announced again', () => {
    const [holder] = holders() as [Box]
    const rest = boxes.filter((box) => box !== holder)
    for (const other of rest) part(other, holder)
    // The cut is one of the wire: neither hears the other's ARP.
    for (const other of rest) other.unit!.cut = true
    run(3000)
    expect(holders()).toHaveLength(2)
    for (const other of rest) other.unit!.cut = false
    link(...boxes)
    run(2000)
    expect(holders()).toHaveLength(1)
    expect(wire.announced).toContain(holders()[0]!.unit!.mac)
    for (const box of boxes) expect(box.floating.status()!.holder).toBe(holders()[0]!.id)
  })

  test('a box that is thought dead and answers by ARP keeps it', () => {
    const [holder] = holders() as [Box]
    for (const other of boxes) if (other !== holder) part(other, holder)
    run(20_000)
    expect(holders()).toEqual([holder])
    link(...boxes)
    run(3000)
    expect(holders()).toEqual([holder])
    expect(boxes.flatMap(({ floating }) => floating.problems())).toEqual([])
  })

  test('a box that was only slow is known again by its MAC', () => {
    const [holder] = holders() as [Box]
    const rest = boxes.filter((box) => box !== holder)
    for (const other of rest) other.sees(holder, 'suspect', true)
    run(300)
    for (const other of rest) other.sees(holder, 'alive', true)
    run(10_000)
    expect(holders()).toEqual([holder])
    expect(rest.every(({ floating }) => floating.status()!.holder === holder.id)).toBe(true)
  })

  test('a daemon that hangs lets go by itself before it is dead for the others', () => {
    const [holder] = holders() as [Box]
    holder.hangs = true
    run(4000)
    expect(holder.unit!.holds).toBe(false)
    for (const other of boxes) if (other !== holder) other.sees(holder, 'suspect', true)
    run(2000)
    const [next] = holders() as [Box]
    expect(next).not.toBe(holder)
    holder.hangs = false
    for (const other of boxes) if (other !== holder) other.sees(holder, 'alive', true)
    run(5000)
    expect(holders()).toEqual([next])
  })

  test('it is let go when the box stops, is thrown out, or is told of another address', () => {
    for (const end of [
      (box: Box) => box.floating.stop(),
      (box: Box) => (box.member = false),
      (box: Box) => (box.address = null),
    ]) {
      make(true)
      run(2000)
      expect(holders()).toHaveLength(1)
      end(boxes[0]!)
      run(2000)
      expect(holders()).toHaveLength(0)
    }
  })
})

describe('a stranger', () => {
  const STRANGER = '02:00:00:00:00:77'
  beforeEach(() => make(true))

  test('keeps the address; that is said, and the box asks again, ever more seldom, until he is gone', () => {
    wire.havers.add(STRANGER)
    run(120_000)
    expect(holders()).toEqual([])
    expect(boxes[0]!.floating.problems()).toEqual([
      `cluster.address ${ADDRESS}: ${STRANGER}, which is none of our boxes, has it: left alone`,
    ])
    expect(boxes[0]!.meter.get('address.answered')).toBeLessThan(10)
    wire.havers.delete(STRANGER)
    run(61_000)
    expect(holders()).toHaveLength(1)
    expect(boxes[0]!.floating.problems()).toEqual([])
  })

  test('who comes later is contradicted once, and then given the address', () => {
    run(2000)
    const { unit } = boxes[0]!
    unit!.events!.conflict(STRANGER)
    expect([wire.announced, unit!.holds]).toEqual([[unit!.mac], true])
    run(1000)
    unit!.events!.conflict(STRANGER)
    expect(unit!.holds).toBe(false)
    expect(boxes[0]!.floating.problems()[0]).toContain(STRANGER)
  })

  test('a slip every minute costs nothing', () => {
    run(2000)
    for (let minute = 0; minute < 5; minute++) {
      boxes[0]!.unit!.events!.conflict(STRANGER)
      run(60_000)
    }
    expect(holders()).toHaveLength(1)
  })
})

test('another of our boxes that says it has it is settled over the link, not by letting go', () => {
  make(true, true)
  link(...boxes)
  run(3000)
  const [holder] = holders() as [Box]
  const other = boxes.find((box) => box !== holder)!
  other.handler!.received(holder.id, Buffer.from(`03180a000063${holder.unit!.mac.replaceAll(':', '')}`, 'hex'))
  holder.handler!.received(other.id, Buffer.from(`01180a000063${other.unit!.mac.replaceAll(':', '')}`, 'hex'))
  for (let time = 0; time < 3; time++) holder.unit!.events!.conflict(other.unit!.mac)
  expect(holder.unit!.holds).toBe(true)
})

describe('what people are told', () => {
  test('a box without the unit: after a while, and the others hold it', () => {
    make(false, true)
    link(...boxes)
    run(9000)
    expect(boxes[0]!.floating.problems()).toEqual([])
    expect(holders()).toEqual([boxes[1]])
    run(2000)
    expect(boxes[0]!.floating.problems()).toEqual([
      `cluster.address ${ADDRESS}: this box cannot hold it: edge-mqtt-address.service is not running here (edge-mqtt.local goes on)`,
    ])
  })

  test('a box on another network; a member with another address; what the unit could not do', () => {
    make(true, true)
    link(...boxes)
    boxes[0]!.faces = [{ ...eth0(1), address: '192.168.7.1' }, lo]
    run(2000)
    expect(boxes[0]!.floating.problems()).toEqual([
      `cluster.address ${ADDRESS}: this box cannot hold it: none of its interfaces is in that network`,
    ])
    boxes[1]!.address = '10.0.0.98/24'
    run(2000)
    expect(boxes[0]!.floating.problems()[1]).toBe(
      `cluster.address ${ADDRESS}: box-b has cluster.address 10.0.0.98/24: one address for all boxes`,
    )
    boxes[1]!.unit!.events!.failed('eth0: no right')
    expect(boxes[1]!.floating.problems()[0]).toBe(
      'cluster.address 10.0.0.98/24: it could not be taken here: eth0: no right',
    )
  })

  test('nothing at all without an address', () => {
    make(true)
    boxes[0]!.address = null
    run(20_000)
    expect([boxes[0]!.floating.status(), boxes[0]!.floating.problems(), boxes[0]!.unit!.renewals]).toEqual([
      null,
      [],
      0,
    ])
  })
})
