import { expect, test } from 'vitest'
import { runSeeds } from './batches.ts'
import { simulate } from './simulate.ts'

test('the same seed tells the same story, event by event, whatever was told before it', () => {
  const seeds = [1, 2, 3, 4, 5]
  const once = seeds.map((seed) => simulate(seed))
  const again = seeds.toReversed().map((seed) => simulate(seed))
  expect(again.toReversed()).toEqual(once)
})

test('another seed tells another story', () => {
  const hashes = Array.from({ length: 10 }, (_, seed) => simulate(seed).facts.hash)
  expect(new Set(hashes).size).toBe(10)
})

test('stories have in them what they are to judge', () => {
  const facts = Array.from({ length: 10 }, (_, seed) => simulate(seed).facts)
  const sum = (of: (one: (typeof facts)[number]) => number) => facts.reduce((total, one) => total + of(one), 0)
  expect(sum((one) => one.sent)).toBeGreaterThan(1500)
  expect(sum((one) => one.due)).toBeGreaterThan(700)
  expect(sum((one) => one.crossed)).toBeGreaterThan(350)
  expect(sum((one) => one.acknowledged)).toBeGreaterThan(70)
  expect(sum((one) => one.silencesJudged)).toBeGreaterThan(5)
  expect(Object.keys(Object.assign({}, ...facts.map((one) => one.faults))).length).toBeGreaterThan(7)
})

test.each([
  [8_100_477, 'a box with the key of the CA leaves while those die who should hear of it: people remove it'],
  [8_100_550, 'two boxes with one password leave, and form a cluster of their own'],
  [8_000_131, 'a box comes back a few seconds behind, and is told the time twice'],
  [1_795_302_842, 'a box is given the key of a CA while it goes on to the next, and dies'],
  [22_100_246, 'the box that is to have the key of a new CA dies before it has it, and so does the one that made it'],
  [9_200_087, 'a box years ahead starts again, and what it wrote before is put right with what it writes then'],
  [9_200_250, 'what a box has kept for the owner of a session is claimed while it is being given back'],
  [9_201_134, 'a box stops while one flush of its disk takes longer than a stop may'],
  [9_510_648, 'a QoS 2 message is released where its session has come to meanwhile, and parked for a box that dies'],
  [20_010_011, 'a client begins anew at a box that has just started, while the other has its older session'],
  [30_001_294, 'a client begins anew while its box is being given back what another has kept of its older session'],
  [30_001_588, 'a client begins anew, for no longer than it is connected, at a box that has just started'],
  [30_002_862, 'and at one that has not heard yet what it owned'],
  [5057, 'a client says goodbye to a box whose disk is full, and which dies'],
  [30_000_820, 'a box dies as it has published a will, before its disk knows of that, and publishes it again'],
  [30_001_093, 'a box that has left is killed before it has a cluster of its own'],
  [30_002_422, 'a box that has left loses its power before it has a cluster of its own'],
  [42_000_170, 'a box is still on its way in by the password while another that has it is to leave'],
  [43_000_231, 'over a slow link, what is forwarded between two batches of copies waits for one of them only'],
  [20, 'a message comes out of the queue of a session that was kept going elsewhere, before it is known as retained'],
])('seed %i: %s', (seed) => {
  expect(simulate(seed).problems).toEqual([])
})

test.each([
  [7_300_047, 'a session with messages of a group ends by a new one at another box'],
  [7_300_058, 'a box that has just begun is given a message for a group of which it has not heard yet'],
  [7_300_065, 'a box is back, and copies a session again that has long gone on elsewhere'],
  [7_300_094, 'a box stands in for a session of no group, and for one of the group later'],
])('seed %i: %s', (seed) => {
  const { problems } = simulate(seed, { promises: ['groups', 'delivery', 'sessions', 'order', 'once', 'single'] })
  expect(problems.filter((problem) => problem.includes('group'))).toEqual([])
})

test.each([
  [7_310_003, 'a box is back after another has published the wills of its clients'],
  [7_310_041, 'and after somebody who looks at them has moved'],
])('seed %i: %s', (seed) => {
  expect(simulate(seed, { promises: ['lastwords'] }).problems).toEqual([])
})

runSeeds('fixed', 1, 300)
