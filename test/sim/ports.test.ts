// The simulator's own ports: what the product is judged with must itself keep the rules of the real host.

import { expect, test } from 'vitest'
import { HostError } from '../../src/base/errors.ts'
import type { ClusterId, NodeId } from '../../src/base/ids.ts'
import type { DatagramPort } from '../../src/base/ports/datagrams.ts'
import type { ByteStream, StreamHandler } from '../../src/base/ports/streams.ts'
import type { SecuredPeer, SecureFailure } from '../../src/base/ports/trust.ts'
import { SimClock, Timeline } from './clock.ts'
import { SimDatagrams } from './datagrams.ts'
import { Disk, SimFiles } from './disk.ts'
import { type Machine, Network } from './network.ts'
import { Dice } from './random.ts'
import { type SimStreams, streamsOf } from './streams.ts'
import { Notary, SimTrust } from './trust.ts'

interface Box {
  readonly machine: Machine
  readonly clock: SimClock
  readonly streams: SimStreams
}

function lan(count: number, seed = 'ports', subnetOf: (index: number) => number = () => 0) {
  const timeline = new Timeline()
  const network = new Network(timeline, new Dice(seed))
  const boxes = Array.from({ length: count }, (_, index): Box => {
    const machine = network.addMachine(subnetOf(index))
    const clock = new SimClock(timeline, index, `box ${index}`, 1000 * index, 0)
    return { machine, clock, streams: streamsOf(network, machine, clock) }
  })
  const run = (ms: number) => timeline.runUntil(timeline.now + ms)
  return { timeline, network, boxes, run }
}

/** A handler that collects. */
class Ear implements StreamHandler {
  heard: Buffer = Buffer.alloc(0)
  calls = 0
  drains = 0
  ends: (string | null)[] = []

  received(buffer: Buffer, start: number, end: number): void {
    this.calls++
    this.heard = Buffer.concat([this.heard, buffer.subarray(start, end)])
  }

  drained(): void {
    this.drains++
  }

  closed(why: string | null): void {
    this.ends.push(why)
  }
}

/** A connection from box 0 to box 1. */
function connection(world: ReturnType<typeof lan>) {
  const [a, b] = world.boxes as [Box, Box]
  let accepted: ByteStream | null = null
  let dialled: ByteStream | HostError | null = null
  b.streams.listen(
    { address: '0.0.0.0', port: 7 },
    (stream) => {
      accepted = stream
    },
    () => {},
  )
  a.streams.dial({ address: b.machine.address, port: 7 }, 5000, (result) => {
    dialled = result
  })
  world.run(4000)
  const left = new Ear()
  const right = new Ear()
  const near = dialled as unknown as ByteStream
  const far = accepted as unknown as ByteStream
  near.open(left)
  far.open(right)
  return { near, far, left, right }
}

test('streams keep every byte in order, whatever is split, joined, delayed or lost on the way', () => {
  for (let seed = 0; seed < 20; seed++) {
    const world = lan(2, `order ${seed}`)
    world.network.splitting = 0.5
    world.network.sendBufferBytes = 1000
    world.network.defaultQuality = { delayMs: 1, jitterMs: 30, loss: 0.1, duplicate: 0.5 }
    const { near, right, left } = connection(world)
    const sent = new Dice(`bytes ${seed}`).bytes(20_000)
    let took = 0
    for (let at = 0; at < sent.length; at += 700) if (near.write(sent.subarray(at, at + 700))) took++
    expect(took).toBeLessThan(3)
    expect(near.pendingBytes).toBeGreaterThan(17_000)
    world.run(60_000)
    expect(right.heard.equals(sent)).toBe(true)
    expect(near.pendingBytes).toBe(0)
    expect(left.drains).toBeGreaterThan(0)
    near.end()
    world.run(3000)
    expect(right.ends).toEqual([null])
    expect(left.ends).toEqual([null])
  }
})

test('a receiver that pauses fills the sender', () => {
  const world = lan(2)
  world.network.sendBufferBytes = 10_000
  world.network.receiveBufferBytes = 10_000
  const { near, far, right } = connection(world)
  far.pause()
  for (let index = 0; index < 10; index++) near.write(Buffer.alloc(5000, index))
  world.run(1000)
  expect(right.calls).toBe(0)
  expect(near.pendingBytes).toBeGreaterThan(20_000)
  far.resume()
  world.run(1000)
  expect(right.heard.length).toBe(50_000)
  expect(near.pendingBytes).toBe(0)
})

test('a cut is silent, and what was written comes after it', () => {
  const world = lan(2)
  const { near, left, right } = connection(world)
  const [a, b] = world.boxes as [Box, Box]
  world.network.cut(a.machine, b.machine)
  near.write(Buffer.from('late'))
  world.run(20_000)
  expect([right.calls, right.ends, left.ends]).toEqual([0, [], []])
  world.network.mend(a.machine, b.machine)
  world.run(10_000)
  expect(right.heard.toString()).toBe('late')
})

test('a killed process ends its streams; a machine without power says nothing until it is back', () => {
  const killed = lan(2)
  const one = connection(killed)
  killed.boxes[1]!.streams.kill()
  killed.run(100)
  expect(one.left.ends).toHaveLength(1)

  const dark = lan(2)
  const two = connection(dark)
  const { machine, streams } = dark.boxes[1]!
  machine.powered = false
  streams.fade()
  two.near.write(Buffer.from('anybody?'))
  dark.run(10_000)
  expect(two.left.ends).toEqual([])
  dark.network.powerOn(machine)
  dark.run(10_000)
  expect(two.left.ends).toEqual(['reset by peer'])
})

test('dialling: refused where nobody listens, too late where nobody answers, given up when asked', () => {
  const world = lan(3)
  const [a, b, c] = world.boxes as [Box, Box, Box]
  const said: string[] = []
  const note = (result: ByteStream | HostError) => said.push(result instanceof HostError ? result.message : 'connected')
  a.streams.dial({ address: b.machine.address, port: 9 }, 2000, note)
  world.run(100)
  world.network.cut(c.machine, a.machine)
  a.streams.dial({ address: c.machine.address, port: 9 }, 2000, note)
  a.streams.dial({ address: c.machine.address, port: 9 }, 2000, () => said.push('not given up'))()
  world.run(5000)
  expect(said).toEqual(['connection refused', `${c.machine.address}: no answer within 2000 ms`])
})

test('broadcasts stay in the subnet and reach all sockets of the port, unicasts cross the router', () => {
  const world = lan(4, 'udp', (index) => (index === 3 ? 1 : 0))
  const heard: number[] = []
  const ports = world.boxes.map(({ machine, clock }) => new SimDatagrams(world.network, machine, clock))
  let sender: DatagramPort | null = null
  for (const [index, port] of ports.entries()) {
    port.bind(
      5,
      () => heard.push(index),
      () => {},
      (bound) => {
        if (index === 0 && !(bound instanceof HostError)) sender = bound
      },
    )
  }
  world.run(10)
  const from = ports[0]!.interfaces()[1]!
  const bound = sender as unknown as DatagramPort
  bound.send(from, { address: '255.255.255.255', port: 5 }, Buffer.from('all'))
  bound.send(from, { address: world.boxes[3]!.machine.address, port: 5 }, Buffer.from('one'))
  world.run(100)
  expect(heard.sort()).toEqual([0, 1, 2, 3])
})

test('what a process had not finished writing when it died is not on the disk', () => {
  const { timeline } = lan(0)
  const disk = new Disk()
  const clock = new SimClock(timeline, 0, 'box', 0, 0)
  const files = new SimFiles(disk, clock, new Dice('disk'))
  files.write('a', Buffer.from('first'), false, () => files.write('a', Buffer.from('second'), false, () => {}))
  timeline.runUntil(400)
  files.write('a', Buffer.from('third'), false, () => {})
  clock.kill()
  timeline.runUntil(2000)
  expect(disk.files.get('a')?.toString()).toBe('second')
})

type Secured = { stream: ByteStream; peer: SecuredPeer } | SecureFailure

/** Upgrades a connection with what each side shows; `near` is the TLS server. */
function upgrade(change: (sides: ReturnType<typeof twoMembers>) => void) {
  const world = lan(2)
  const { near, far } = connection(world)
  const sides = twoMembers()
  change(sides)
  const results: { near?: Secured; far?: Secured } = {}
  const [a, b] = world.boxes as [Box, Box]
  const credentials = ({ certificate, privateKey, anchors }: (typeof sides)['near']) => ({
    certificate,
    privateKey,
    anchors,
  })
  const ears = { near: new Ear(), far: new Ear() }
  new SimTrust(sides.notary, a.clock, new Dice('a')).secure(near, 'server', credentials(sides.near), 5000, (result) => {
    results.near = result
    if (typeof result !== 'string') result.stream.open(ears.near)
  })
  new SimTrust(sides.notary, b.clock, new Dice('b')).secure(far, 'client', credentials(sides.far), 5000, (result) => {
    results.far = result
    if (typeof result === 'string') return
    result.stream.open(ears.far)
    result.stream.write(Buffer.from('first frame'))
  })
  world.run(10_000)
  return { results, ears }
}

function twoMembers() {
  const notary = new Notary()
  const dice = new Dice('trust')
  const ca = notary.makeAuthority('00000000000000ca' as ClusterId, dice)
  const member = (id: string) => {
    const keys = notary.makeKeys(dice)
    const certificate = notary.issue(ca, id as NodeId, keys.publicKey)
    return { certificate, privateKey: keys.privateKey, anchors: [ca.certificate] }
  }
  return { notary, dice, near: member('000000000000000a'), far: member('000000000000000b') }
}

test('two members of one CA are secured and know each other; the first frame may follow at once', () => {
  const { results, ears } = upgrade(() => {})
  expect(results.near).toMatchObject({ peer: { nodeId: '000000000000000b' } })
  expect(results.far).toMatchObject({ peer: { nodeId: '000000000000000a' } })
  expect(ears.near.heard.toString()).toBe('first frame')
})

test.each([
  ['a foreign CA', 'ca', 'foreign CA'],
  ['no certificate', 'none', 'no certificate'],
  ['another key than the certificate is for', 'key', 'bad certificate'],
] as const)('%s at the TLS client is refused, which it learns when it is up', (_name, what, why) => {
  const { results, ears } = upgrade((sides) => {
    const { certificate, privateKey } = stranger(sides)
    if (what === 'ca') Object.assign(sides.far, { certificate, privateKey })
    if (what === 'none') Object.assign(sides.far, { certificate: '' })
    if (what === 'key') Object.assign(sides.far, { privateKey })
  })
  expect(results.near).toBe(why)
  expect(results.far).toMatchObject({ peer: { nodeId: '000000000000000a' } })
  expect(ears.far.ends).toEqual(['refused by peer'])
})

test('a foreign CA at the TLS server is refused by the client, and the server never hears a byte', () => {
  const { results, ears } = upgrade((sides) => Object.assign(sides.near, { ...stranger(sides) }))
  expect(results.far).toBe('foreign CA')
  expect([ears.near.calls, ears.near.ends]).toEqual([0, [null]])
})

/** A certificate of another CA, with its key. */
function stranger({ notary, dice }: ReturnType<typeof twoMembers>) {
  const keys = notary.makeKeys(dice)
  const other = notary.makeAuthority('00000000000000cb' as ClusterId, dice)
  const certificate = notary.issue(other, '000000000000000c' as NodeId, keys.publicKey)
  return { certificate, privateKey: keys.privateKey }
}
