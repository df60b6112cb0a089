import { expect, test } from 'vitest'
import { type Layout, layout, type Shape } from '../../../bench/lanes.ts'

const matches = (filter: string, topic: string): boolean =>
  new RegExp(`^${filter.replace('+', '[^/]+').replace('/#', '/.+')}$`).test(topic)

/** What each subscriber's filters ask for is what the plan says it gets, and each topic has one publisher. */
function sound({ publishers, subscribers, topics }: Layout): void {
  expect(publishers.flatMap(({ lanes }) => lanes).toSorted((a, b) => a - b)).toEqual([...topics.keys()])
  for (const { filters, lanes } of subscribers) {
    const asked = [...topics.keys()].filter((lane) => filters.some((filter) => matches(filter, topics[lane]!)))
    expect(asked).toEqual([...lanes].toSorted((a, b) => a - b))
  }
}

test.each<[shape: Shape, lanes: number, received: number]>([
  [{ is: 'fan-in', publishers: 5, topicsEach: 1 }, 5, 5],
  [{ is: 'fan-in', publishers: 3, topicsEach: 4 }, 12, 12],
  [{ is: 'fan-out', subscribers: 7 }, 1, 7],
  [{ is: 'pairs', pairs: 6 }, 6, 6],
  [{ is: 'filters', filters: 400, clients: 5 }, 400, 400],
])('%j', (shape, lanes, received) => {
  const plan = layout(shape)
  sound(plan)
  expect(plan.topics.length).toBe(lanes)
  expect(plan.subscribers.reduce((sum, each) => sum + each.lanes.size, 0)).toBe(received)
})

test('of the filters 80 % are exact, 15 % have a + and 5 % a #, and every publisher has some for every subscriber', () => {
  const { publishers, subscribers } = layout({ is: 'filters', filters: 2000, clients: 5 })
  const filters = subscribers.flatMap((each) => each.filters)
  expect(filters.filter((filter) => filter.includes('+')).length).toBe(300)
  expect(filters.filter((filter) => filter.endsWith('#')).length).toBe(100)
  for (const { lanes } of publishers) {
    for (const subscriber of subscribers) expect(lanes.some((lane) => subscriber.lanes.has(lane))).toBe(true)
  }
})
