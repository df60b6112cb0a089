// $SYS as an operator reads it, with a client that nobody here wrote: the members, and what happens to them.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

describe.skipIf(leftOut('sys', 'mosquitto_sub'))('$SYS', () => {
  let lan: Lan
  let gateways: [Gateway, Gateway]

  beforeAll(async () => {
    lan = new Lan({ gateways: 2 })
    const certs = makeCerts(lan.directory)
    gateways = [new Gateway(lan, 1, { certs }), new Gateway(lan, 2, { certs })]
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 10_000)))
  })
  afterAll(() => lan?.down())

  test('tells of a member that is killed and comes back, at once', async () => {
    const [first, second] = gateways
    const watcher = lan.spawn('sw', 'mosquitto_sub', ['-h', lan.address(1), '-t', '$SYS/cluster/#', '-F', '%t %r %p'])
    let text = ''
    watcher.stdout!.on('data', (bytes: Buffer) => {
      text += bytes.toString()
    })
    const events = () => [...text.matchAll(/^\$SYS\/cluster\/event 0 (.*)$/gm)].map(([, json]) => JSON.parse(json!))
    await until('the members', 5000, () => text.includes('$SYS/cluster/members/linked 1 2'))
    expect(text).toMatch(/^\$SYS\/cluster\/nodes\/[0-9a-f]{16} 1 \{.*"name":"gw-2".*"state":"alive","linked":true/m)
    expect(events()).toEqual([])

    await second.kill()
    await until('its death', 10_000, () => events().length === 1)
    await second.start().ready()
    await first.linkedWith(1, 15_000)
    await until('its return', 5000, () => events().length === 2)
    expect(events().map(({ event, name }) => [event, name])).toEqual([
      ['dead', 'gw-2'],
      ['heal', 'gw-2'],
    ])
    watcher.kill()
  })

  test('is each box its own: what one says is not heard on the other', () => {
    const say = (place: number, topic: string) =>
      lan.exec('sw', 'mosquitto_sub', '-h', lan.address(place), '-t', topic, '-C', '1', '-W', '5').trim()
    expect(say(1, '$SYS/broker/version')).toMatch(/^edge-mqtt version \d/)
    const id = gateways[1].status().node.id
    const seen = (place: number) => JSON.parse(say(place, `$SYS/cluster/nodes/${id}`)).self
    expect([seen(1), seen(2)]).toEqual([false, true])
  })
})
