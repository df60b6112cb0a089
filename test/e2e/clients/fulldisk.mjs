// What clients see of a disk that fills up, and of one that has room again; prints one line of JSON.
//   node fulldisk.mjs full HOST ACCEPTED BALLAST    fills it, looks around, removes the file BALLAST, goes on; writes
//                                                   what was acknowledged to the file ACCEPTED
//   node fulldisk.mjs after HOST ACCEPTED           compares with what the sleeper gets

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { Client, connected, neighbour, publish } from './talker.mjs'

const [story, , acceptedFile, ballast] = process.argv.slice(2)
const lasting = { clean: false, properties: { sessionExpiryInterval: 3600, receiveMaximum: 1000 } }
const PAYLOAD_BYTES = 1024
const RECOVERED_MS = 15_000

const granted = async (client, filter, qos) => (await client.subscribe(filter, qos)).granted[0]
const leave = async (client) => {
  client.send({ cmd: 'disconnect', reasonCode: 0 })
  await client.ended
}

const stories = {
  async full() {
    const sleeper = await connected('sleeper', lasting)
    await sleeper.subscribe('fill/#', 1)
    await leave(sleeper)
    const keeper = await connected('keeper', lasting)
    await keeper.subscribe('kept', 0)
    const watched = neighbour(await connected('neighbour'))
    const watcher = await connected('watcher')
    await watcher.subscribe('news', 0)

    const accepted = []
    let number = 0
    const publisher = await connected('publisher')
    const send = (until) => {
      const sent = []
      let answered = 0
      return publish(
        publisher,
        'fill/it',
        200,
        (so) => {
          if (until(so)) return null
          const payload = Buffer.alloc(PAYLOAD_BYTES)
          payload.writeUInt32BE(number)
          sent.push(number++)
          return payload
        },
        // Acknowledgements come in the order of their messages.
        (reason) => {
          if (reason < 0x80) accepted.push(sent[answered])
          answered++
        },
      )
    }
    const start = performance.now()
    const filling = await send((so) => (so[0x97] ?? 0) >= 1000)
    const filledSeconds = (performance.now() - start) / 1000

    const seen = {}
    const recorded = publisher.next('pubrec')
    publisher.send({ cmd: 'publish', topic: 'fill/it', payload: 'x', qos: 2, messageId: 65_000 })
    seen.qos2 = (await recorded)?.reasonCode
    const old = await connected('old', { protocolVersion: 4, clean: false })
    seen.oldSubscribes = await granted(old, 'kept', 0)
    old.send({ cmd: 'publish', topic: 'fill/it', payload: 'x', qos: 1, messageId: 1 })
    await old.ended
    seen.oldClosed = old.closed
    seen.keeperAgain = await granted(keeper, 'kept', 0)
    seen.keeperMore = await granted(keeper, 'more', 0)
    const left = keeper.next('unsuback')
    keeper.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['never'] })
    seen.keeperLeaves = (await left)?.granted?.[0]
    const newcomer = await connected('newcomer', lasting)
    seen.newcomer = await granted(newcomer, 'news', 0)
    const clean = await connected('clean')
    seen.clean = await granted(clean, 'news', 1)
    const before = watcher.publishes
    for (let index = 0; index < 100; index++) publisher.send({ cmd: 'publish', topic: 'news', payload: 'x', qos: 0 })
    while (clean.publishes < 100) await pause(10)
    seen.qos0 = watcher.publishes - before

    rmSync(ballast)
    const roomAt = performance.now()
    let answer
    while (performance.now() - roomAt < RECOVERED_MS) {
      answer = await send((so) => Object.keys(so).length > 0)
      if (answer[0] !== undefined) break
      await pause(50)
    }
    const recoveredMs = Math.round(performance.now() - roomAt)
    const again = await send((so) => (so[0] ?? 0) >= 1000)
    const subscribed = await granted(newcomer, 'news', 0)
    writeFileSync(acceptedFile, JSON.stringify(accepted))
    return { filling, filledSeconds, seen, recoveredMs, again, subscribed, neighbour: await watched.end() }
  },

  async after() {
    const accepted = JSON.parse(readFileSync(acceptedFile, 'utf8'))
    const got = new Set()
    let twice = 0
    const sleeper = new Client('sleeper', lasting)
    sleeper.onPublish = ({ payload }) => {
      const number = payload.readUInt32BE()
      if (got.has(number)) twice++
      got.add(number)
    }
    const present = (await sleeper.connect())?.sessionPresent
    const missing = () => accepted.filter((number) => !got.has(number)).length
    for (const until = performance.now() + 30_000; missing() > 0 && performance.now() < until; await pause(50));
    return { present, accepted: accepted.length, received: got.size, missing: missing(), twice }
  },
}

console.log(JSON.stringify(await stories[story]()))
process.exit(0)
