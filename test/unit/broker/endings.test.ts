// Ends of sessions that are remembered until they are safe.

import { expect, test } from 'vitest'
import type { ClientId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import { bounds } from '../../../src/broker/bounds.ts'
import { Endings } from '../../../src/broker/endings.ts'

const id = (name: string) => name as ClientId

/** A disk that has written everything up to `safe`. */
function disk() {
  const state = { position: 0, safe: 0 }
  const meter = new Meter()
  const safety = {
    get position() {
      return state.position
    },
    isSafe: (position: number) => position <= state.safe,
  }
  return { state, meter, endings: new Endings(safety, meter) }
}

test('an end is waited for until it is safe; the last of a client counts', () => {
  const { state, endings } = disk()
  const at = (position: number, name: string) => {
    state.position = position
    endings.add(id(name))
  }
  at(3, 'a')
  at(5, 'b')
  at(8, 'a')
  expect(['a', 'b', 'c'].map((name) => endings.safeAt(id(name)))).toEqual([8, 5, 0])
  state.safe = 5
  expect(['a', 'b'].map((name) => endings.safeAt(id(name)))).toEqual([8, 0])
  state.safe = 8
  expect(endings.safeAt(id('a'))).toBe(0)
})

test('while nothing is safe the oldest are forgotten, and counted', () => {
  const { state, meter, endings } = disk()
  for (let count = 0; count < bounds.endingsRemembered + 2; count++) {
    state.position++
    endings.add(id(`c${count}`))
  }
  expect(['c0', 'c1', 'c2'].map((name) => endings.safeAt(id(name)))).toEqual([0, 0, 3])
  expect(meter.get('mqtt.endings.forgotten')).toBe(2)
})
