// Who publishes what to whom: the shapes of a flow as lanes, each one publisher and one topic with numbers of its own.

export type Shape =
  | { readonly is: 'fan-in'; readonly publishers: number; readonly topicsEach: number }
  | { readonly is: 'fan-out'; readonly subscribers: number }
  | { readonly is: 'pairs'; readonly pairs: number }
  | { readonly is: 'filters'; readonly filters: number; readonly clients: number }

export interface Layout {
  readonly publishers: readonly { readonly lanes: readonly number[] }[]
  readonly topics: readonly string[]
  readonly subscribers: readonly { readonly filters: readonly string[]; readonly lanes: ReadonlySet<number> }[]
  /** Topics in turn, or at random. */
  readonly random: boolean
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

/** Of twenty filters sixteen are exact, three have a + and one a #; each topic is wanted by one filter. */
function filterOf(index: number): { readonly filter: string; readonly topic: string } {
  const [site, kind] = [index % 100, index % 20]
  if (kind < 16) return { filter: `site/${site}/device/${index}`, topic: `site/${site}/device/${index}` }
  if (kind < 19) return { filter: `area/+/meter/${index}`, topic: `area/${site}/meter/${index}` }
  return { filter: `house/${index}/#`, topic: `house/${index}/room/door` }
}

export function layout(shape: Shape): Layout {
  if (shape.is === 'fan-in') {
    const topics = range(shape.publishers * shape.topicsEach).map((lane) => `in/${lane}`)
    const publishers = range(shape.publishers).map((publisher) => ({
      lanes: range(shape.topicsEach).map((topic) => publisher * shape.topicsEach + topic),
    }))
    return { topics, publishers, subscribers: [{ filters: ['in/#'], lanes: new Set(topics.keys()) }], random: false }
  }
  if (shape.is === 'fan-out') {
    const subscribers = range(shape.subscribers).map(() => ({ filters: ['out'], lanes: new Set([0]) }))
    return { topics: ['out'], publishers: [{ lanes: [0] }], subscribers, random: false }
  }
  if (shape.is === 'pairs') {
    const topics = range(shape.pairs).map((pair) => `pair/${pair}`)
    const subscribers = topics.map((topic, lane) => ({ filters: [topic], lanes: new Set([lane]) }))
    return { topics, publishers: range(shape.pairs).map((lane) => ({ lanes: [lane] })), subscribers, random: false }
  }
  const all = range(shape.filters)
  // Publishers and subscribers are dealt differently, so that each publisher has messages for every subscriber.
  const published = (lane: number) => lane % shape.clients
  const received = (lane: number) => Math.floor(lane / shape.clients) % shape.clients
  const dealt = (to: (lane: number) => number) => {
    const hands = range(shape.clients).map((): number[] => [])
    for (const lane of all) hands[to(lane)]!.push(lane)
    return hands
  }
  return {
    topics: all.map((lane) => filterOf(lane).topic),
    publishers: dealt(published).map((lanes) => ({ lanes })),
    subscribers: dealt(received).map((lanes) => ({
      filters: lanes.map((lane) => filterOf(lane).filter),
      lanes: new Set(lanes),
    })),
    random: true,
  }
}
