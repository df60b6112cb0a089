// Clients that are too much for a box, one story at a time; prints one line of JSON with what came of it.
//   node overload.mjs STORY HOST
// Speaks bytes: a client that behaves badly is none that a library offers.

import { setTimeout as pause } from 'node:timers/promises'
import mqttPacket from 'mqtt-packet'
import { Client, connected, neighbour, publish, v5 } from './talker.mjs'

const story = process.argv[2]

const stories = {
  /** Twenty subscribers, one of which stops reading. */
  async frozen() {
    const count = 3000
    const subscribers = []
    for (let index = 0; index < 20; index++) {
      const subscriber = await connected(`reader-${index}`, { properties: { receiveMaximum: 100 } })
      await subscriber.subscribe('flood', 1)
      subscribers.push(subscriber)
    }
    const [frozen, ...others] = subscribers
    frozen.socket.pause()
    const publisher = await connected('publisher')
    const payload = Buffer.alloc(4096)
    let sent = 0
    const start = performance.now()
    await publish(publisher, 'flood', 50, () => {
      if (sent === count) return null
      payload.writeUInt32BE(sent++)
      return payload
    })
    while (others.some(({ publishes }) => publishes < count)) await pause(10)
    const seconds = (performance.now() - start) / 1000
    const least = Math.min(...others.map(({ publishes }) => publishes))
    frozen.socket.resume()
    while (frozen.lastPayload?.readUInt32BE() !== count - 1) await pause(10)
    return { count, seconds, least, frozen: frozen.publishes, frozenClosed: frozen.closed }
  },

  /** Fourteen connections of 100 MB each that never begin with CONNECT, and fourteen whose CONNECT would be that long. */
  async strangers() {
    const watched = neighbour(await connected('neighbour'))
    const junk = Buffer.alloc(1024 * 1024, 0x30)
    const connect = Buffer.concat([Buffer.from('10ffffff2f00044d515454', 'hex'), junk])
    let bytes = 0
    const stranger = async (first) => {
      const client = new Client('')
      for (let sent = 0; sent < 100 && !client.closed; sent++) {
        bytes += junk.length
        const drained = client.socket.write(sent === 0 ? first : junk)
        if (!drained) await Promise.race([new Promise((resolve) => client.socket.once('drain', resolve)), client.ended])
      }
      await client.ended
    }
    const start = performance.now()
    await Promise.all(Array.from({ length: 28 }, (_, index) => stranger(index % 2 === 0 ? junk : connect)))
    const seconds = (performance.now() - start) / 1000
    return { seconds, offeredMiB: Math.round(bytes / junk.length), neighbour: await watched.end() }
  },

  /** Clients that send a byte now and then, or nothing at all, before CONNECT and after it. */
  async dribble() {
    const watched = neighbour(await connected('neighbour'))
    const ends = { slow: [], silent: [], halfOpen: [] }
    const ended = async (kind, client) => {
      const start = performance.now()
      await client.ended
      ends[kind].push(performance.now() - start)
    }
    const bytes = mqttPacket.generate(
      { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'x'.repeat(200), clean: true, keepalive: 0 },
      v5,
    )
    const all = []
    for (let index = 0; index < 100; index++) {
      const slow = new Client('')
      let at = 0
      const dripping = setInterval(() => slow.socket.write(bytes.subarray(at, ++at)), 100)
      all.push(ended('slow', slow).then(() => clearInterval(dripping)))
      all.push(ended('silent', new Client('')))
      all.push(ended('halfOpen', await connected(`half-${index}`, { keepalive: 1 })))
    }
    await Promise.all(all)
    const longest = Object.fromEntries(Object.entries(ends).map(([kind, times]) => [kind, Math.max(...times)]))
    const shortest = Object.fromEntries(Object.entries(ends).map(([kind, times]) => [kind, Math.min(...times)]))
    return { longest, shortest, neighbour: await watched.end() }
  },

  /** A hundred thousand retained messages go to somebody who subscribes to everything. */
  async retained() {
    const count = 100_000
    const publisher = await connected('publisher')
    for (let index = 0; index < count; index++) {
      const topic = `site/${index % 100}/device/${index}/temperature`
      if (publisher.send({ cmd: 'publish', topic, payload: `${index}`, qos: 0, retain: true })) continue
      await new Promise((resolve) => publisher.socket.once('drain', resolve))
    }
    publisher.send({ cmd: 'pingreq' })
    await publisher.next('pingresp')
    const watched = neighbour(await connected('neighbour'))
    const start = performance.now()
    const newcomer = await connected('newcomer')
    await newcomer.subscribe('#', 1)
    while (newcomer.publishes < count) await pause(10)
    const seconds = (performance.now() - start) / 1000
    return { seconds, received: newcomer.publishes, neighbour: await watched.end() }
  },

  /** A session that is away is sent more than there is memory for; it comes back, and takes it away. */
  async memory() {
    const resume = { clean: false, properties: { sessionExpiryInterval: 600, receiveMaximum: 1000 } }
    const away = await connected('away', resume)
    await away.subscribe('fill', 1)
    away.send({ cmd: 'disconnect', reasonCode: 0 })
    await away.ended
    const publisher = await connected('publisher')
    const start = performance.now()
    const reasons = await publish(publisher, 'fill', 500, (so) => ((so[0x97] ?? 0) > 1000 ? null : 'x'.repeat(50)))
    const filledSeconds = (performance.now() - start) / 1000
    const stranger = new Client('stranger')
    const refused = (await stranger.connect())?.reasonCode
    const back = new Client('away', resume)
    const present = (await back.connect())?.sessionPresent
    while (back.publishes < reasons[0]) await pause(10)
    const received = back.publishes
    const drainedSeconds = (performance.now() - start) / 1000 - filledSeconds
    // All is well again as soon as it is seen.
    let welcome
    for (const until = performance.now() + 15_000; performance.now() < until; await pause(100)) {
      welcome = (await new Client('newcomer').connect())?.reasonCode
      if (welcome === 0) break
    }
    const last = ['x']
    const again = await publish(publisher, 'fill', 1, () => last.shift() ?? null)
    return { reasons, refused, present, received, filledSeconds, drainedSeconds, welcome, again }
  },
}

console.log(JSON.stringify(await stories[story]()))
process.exit(0)
