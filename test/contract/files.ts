// What every StateFiles must do.

import { afterEach, describe, expect, test } from 'vitest'
import type { HostError } from '../../src/base/errors.ts'
import type { StateFiles } from '../../src/base/ports/files.ts'
import type { World } from './world.ts'

export interface FilesWorld extends World {
  readonly files: StateFiles
  /** The same directory, as the node's next run sees it. */
  again(): StateFiles
}

export function filesContract(name: string, make: () => FilesWorld): void {
  describe(`StateFiles of ${name}`, () => {
    let world: FilesWorld
    afterEach(() => world.close())

    const write = async (file: string, text: string, secret = false): Promise<HostError | null> => {
      let result: HostError | null | 'waiting' = 'waiting'
      world.files.write(file, Buffer.from(text), secret, (error) => {
        result = error
      })
      await world.until(() => result !== 'waiting', 'the write')
      return result as unknown as HostError | null
    }

    test('a file that was never written is null', () => {
      world = make()
      expect(world.files.read('node.id')).toBeNull()
    })

    test('what was written is read back, now and by the next run', async () => {
      world = make()
      expect(await write('node.id', 'abc')).toBeNull()
      expect(world.files.read('node.id')?.toString()).toBe('abc')
      expect(world.again().read('node.id')?.toString()).toBe('abc')
    })

    test('a file is replaced whole, an empty one is not a missing one', async () => {
      world = make()
      await write('peers.json', 'a long first content')
      await write('peers.json', 'short')
      expect(world.files.read('peers.json')?.toString()).toBe('short')
      await write('peers.json', '')
      expect(world.files.read('peers.json')).toEqual(Buffer.alloc(0))
    })

    test('writes of one name keep their order, and the buffer may be used again at once', async () => {
      world = make()
      const told: number[] = []
      const buffer = Buffer.from('0')
      for (let index = 0; index < 10; index++) {
        buffer.write(String(index))
        world.files.write('peers.json', buffer, false, (error) => {
          expect(error).toBeNull()
          told.push(index)
        })
      }
      await world.until(() => told.length === 10, 'ten writes')
      expect(told).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      expect(world.files.read('peers.json')?.toString()).toBe('9')
    })
  })
}
