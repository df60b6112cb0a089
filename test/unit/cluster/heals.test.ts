import { expect, test } from 'vitest'
import type { InstanceId, NodeId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import { type Log, silentLog } from '../../../src/base/ports/log.ts'
import { type HealedView, Heals, parseHeals } from '../../../src/cluster/heals.ts'
import { healsText } from '../../../src/ops/cli/heals.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import { MemoryFiles } from './fakes.ts'

/** Names of boxes, with ids of their own. */
const idOf = (name: string) => name.at(-1)!.repeat(16) as NodeId

function lab(files?: MemoryFiles, clock = new VirtualClock()) {
  const meter = new Meter()
  const warnings: string[] = []
  const log = { ...silentLog, warn: (_fields: unknown, message: string) => warnings.push(message) } as unknown as Log
  const disk = files ?? new MemoryFiles(clock)
  const heals = new Heals({ clock, meter, files: disk, log })
  const sees = (name: string, state: HealedView['state'], instance = 'one') =>
    heals.look({ id: idOf(name), name, instance: instance as InstanceId, state })
  return { clock, meter, heals, sees, files: disk, warnings }
}

test('a member that was cut off and is heard again: how long, and what was counted from then until it settled', () => {
  const { clock, meter, heals, sees } = lab()
  meter.count('sessions.gone-on', 7)
  for (const name of ['gw-2', 'gw-3']) sees(name, 'dead')
  clock.advance(12_000)
  sees('gw-2', 'alive')
  meter.count('sessions.gone-on', 2)
  clock.advance(3000)
  sees('gw-3', 'alive')
  meter.count('forward.repeated', 5)
  expect(heals.rows()).toMatchObject([
    {
      members: [
        { name: 'gw-2', apartMs: 12_000 },
        { name: 'gw-3', apartMs: 15_000 },
      ],
      mended: { 'sessions that had gone on elsewhere': 2, 'messages that had come before': 5 },
      settling: true,
    },
  ])
  clock.advance(61_000)
  meter.count('forward.repeated', 100)
  const [heal] = heals.rows()
  expect([heal!.settling, heal!.mended['messages that had come before']]).toEqual([false, 5])
  expect(healsText(heals.rows())).toBe(
    '2026-01-01T00:00:13.000Z  gw-2 (apart for 12 s), gw-3 (apart for 15 s)\n' +
      '  2 sessions that had gone on elsewhere\n  5 messages that had come before',
  )
})

test('a member that was started anew, was only suspect, or has left is no heal', () => {
  const { clock, heals, sees } = lab()
  sees('gw-2', 'dead')
  clock.advance(1000)
  sees('gw-2', 'alive', 'two')
  sees('gw-2', 'suspect', 'two')
  sees('gw-2', 'alive', 'two')
  sees('gw-3', 'dead')
  sees('gw-3', 'left')
  sees('gw-3', 'alive')
  expect(heals.rows()).toEqual([])
  expect(healsText([])).toContain('no other box was away')
})

test('the last fifty are kept', () => {
  const { clock, heals, sees } = lab()
  for (let times = 0; times < 60; times++) {
    sees('gw-2', 'dead')
    clock.advance(100_000)
    sees('gw-2', 'alive')
    clock.advance(61_000)
  }
  expect(heals.rows().length).toBe(50)
  expect(heals.rows().at(-1)).toMatchObject({ mended: {}, settling: false })
})

test('who was on which side', () => {
  const { clock, heals, sees } = lab()
  for (const name of ['gw-2', 'gw-3', 'gw-4', 'gw-5']) sees(name, 'alive')
  sees('gw-3', 'suspect')
  sees('gw-5', 'left')
  sees('gw-4', 'dead')
  clock.advance(20_000)
  sees('gw-4', 'alive')
  const [heal] = heals.rows()
  expect([heal!.members.map(({ name }) => name), heal!.here.map(({ name }) => name)]).toEqual([
    ['gw-4'],
    ['gw-2', 'gw-3'],
  ])
  expect(healsText(heals.rows())).toContain('gw-4 (apart for 20 s); with this box: gw-2, gw-3, settling')
})

test('a heal that has settled outlives the run, by one write; one that has not is forgotten', () => {
  const { clock, meter, heals, sees, files } = lab()
  sees('gw-3', 'alive')
  sees('gw-2', 'dead')
  clock.advance(10_000)
  sees('gw-2', 'alive')
  meter.count('forward.repeated', 3)
  clock.advance(59_000)
  expect(files.writes).toEqual([])
  clock.advance(2000)
  expect(files.writes).toEqual(['heals.json'])
  const settled = heals.rows()
  sees('gw-2', 'dead')
  clock.advance(10_000)
  sees('gw-2', 'alive')
  expect(heals.rows()).toHaveLength(2)
  const next = lab(files, clock)
  expect(next.heals.rows()).toEqual(settled)
  expect(next.heals.rows()[0]).toMatchObject({
    here: [{ name: 'gw-3' }],
    mended: { 'messages that had come before': 3 },
  })
  expect(next.warnings).toEqual([])
})

test.each([
  ['', 'nothing'],
  ['{"heals":7}', 'no list'],
  ['{"heals":[{"atMs":1,"members":[{"id":"x","name":"gw"}],"here":[],"mended":{}}]}', 'an id that is none'],
  ['{"heals":[{"atMs":"1","members":[],"here":[],"mended":{}}]}', 'a time that is none'],
  ['{"heals":[{"atMs":1,"members":[],"here":[],"mended":{"a":null}}]}', 'a count that is none'],
  ['{"heals":[{"atMs":1,"members":[null],"here":[],"mended":{}}]}', 'no member'],
  ['{"heals":[null]}', 'no heal'],
])('a file that cannot be read is passed over with a word: %s (%s)', (text) => {
  const clock = new VirtualClock()
  const files = new MemoryFiles(clock)
  files.texts.set('heals.json', text)
  const { heals, warnings } = lab(files, clock)
  expect([heals.rows(), warnings.length]).toEqual([[], 1])
  expect(() => parseHeals(text)).toThrow(SyntaxError)
})
