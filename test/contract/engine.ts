// What every StoreEngine must do.

import { afterEach, describe, expect, test } from 'vitest'
import { HostError } from '../../src/base/errors.ts'
import type { OpenedEngine, StoreEngine } from '../../src/base/ports/engine.ts'
import type { World } from './world.ts'

export interface EngineWorld extends World {
  /** The same disk, as the node's next run sees it. */
  run(): StoreEngine
}

export function engineContract(name: string, make: () => EngineWorld): void {
  describe(`StoreEngine of ${name}`, () => {
    let world: EngineWorld
    afterEach(() => world.close())

    const open = async (engine: StoreEngine): Promise<{ opened: OpenedEngine; found: [number, string][] }> => {
      const found: [number, string][] = []
      let result: OpenedEngine | HostError | null = null
      engine.open(
        (number, bytes) => found.push([number, bytes.toString()]),
        (opened) => {
          result = opened
        },
      )
      await world.until(() => result !== null, 'the opening')
      if ((result as unknown) instanceof HostError) throw result
      return { opened: result as unknown as OpenedEngine, found }
    }
    const append = async (engine: StoreEngine, number: number, text: string | Buffer): Promise<void> => {
      let result: HostError | null | 'waiting' = 'waiting'
      engine.append(number, Buffer.from(text), (error) => {
        result = error
      })
      await world.until(() => result !== 'waiting', 'the append')
      expect(result).toBeNull()
    }
    const close = async (engine: StoreEngine): Promise<void> => {
      let closed = false
      engine.close(() => {
        closed = true
      })
      await world.until(() => closed, 'the close')
    }

    test('an empty disk has no batches', async () => {
      world = make()
      expect(await open(world.run())).toEqual({ opened: { lastBatch: 0, damaged: [] }, found: [] })
    })

    test('batches are read back by the next run, in order, and more can follow', async () => {
      world = make()
      const first = world.run()
      await open(first)
      for (const number of [1, 2, 3]) await append(first, number, `batch ${number}`)
      await close(first)
      const second = world.run()
      const { opened, found } = await open(second)
      expect(opened).toEqual({ lastBatch: 3, damaged: [] })
      expect(found).toEqual([1, 2, 3].map((number) => [number, `batch ${number}`]))
      await append(second, 5, 'batch 5')
      const third = await open(world.run())
      expect(third.found.at(-1)).toEqual([5, 'batch 5'])
      expect(third.found.length).toBe(4)
    })

    test('a batch larger than everything before it', async () => {
      world = make()
      const engine = world.run()
      await open(engine)
      await append(engine, 1, 'small')
      await append(engine, 2, Buffer.alloc(3_000_000, 'x'))
      await append(engine, 3, 'small again')
      const { found } = await open(world.run())
      expect(found.map(([number, text]) => [number, text.length])).toEqual([
        [1, 5],
        [2, 3_000_000],
        [3, 11],
      ])
    })

    test('what was dropped gives its room back', async () => {
      world = make()
      const engine = world.run()
      await open(engine)
      for (let number = 1; number <= 24; number++) {
        await append(engine, number, Buffer.alloc(500_000, number))
        engine.drop(number)
      }
      await world.until(() => engine.bytes < 4_000_000, 'the room')
      const { opened, found } = await open(world.run())
      expect(opened.lastBatch).toBe(24)
      expect(found.at(-1)![0]).toBe(24)
      expect(found.length).toBeLessThan(8)
    })
  })
}
