// A box leaves its cluster by command: what its clients had there goes on at the others, though no session has a copy.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const SESSIONS = 20
const TEXTS = ['first', 'second', 'third']

describe.skipIf(leftOut('leaving', 'mosquitto_sub', 'mosquitto_pub'))('cluster leave', () => {
  let lan: Lan
  let gateways: Gateway[]

  beforeAll(async () => {
    lan = new Lan({ gateways: 3 })
    const certs = makeCerts(lan.directory)
    gateways = [1, 2, 3].map((place) => new Gateway(lan, place, { certs, set: { 'sessions.copies': 1 } }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 20_000)))
  })
  afterAll(() => lan?.down())

  test('with sessions.copies: 1 every session of the box is at another, with what waited in it', async () => {
    const at = (place: number) => ['-h', lan.address(place), '-q', '1', '-t', 'left']
    const ids = Array.from({ length: SESSIONS }, (_, index) => `s${index}`)
    for (const id of ids) lan.exec('sw', 'mosquitto_sub', ...at(1), '-i', id, '-c', '-E')
    const publish = (place: number, text: string) => lan.exec('sw', 'mosquitto_pub', ...at(place), '-m', text)
    publish(2, TEXTS[0]!)
    publish(1, TEXTS[1]!)
    const said = gateways[0]!.command('cluster', 'leave')
    expect(said).toContain(`sessions of clients that go on at other boxes: ${SESSIONS}`)
    publish(3, TEXTS[2]!)
    await until('they are at the others', 20_000, () => {
      const [left, ...others] = gateways.map((gateway) => gateway.status().sessions)
      return left === 0 && others.reduce((sum, count) => sum + count, 0) === SESSIONS
    })
    for (const [index, id] of ids.entries()) {
      const got = lan.exec('sw', 'mosquitto_sub', ...at(2 + (index % 2)), '-i', id, '-c', '-C', '3', '-W', '20')
      expect(got.trimEnd().split('\n').sort()).toEqual([...TEXTS].sort())
    }
    const states = gateways[1]!.status().cluster.members.map(({ name, state }) => `${name} ${state}`)
    expect(states).toContain('gw-1 left')
  })
})
