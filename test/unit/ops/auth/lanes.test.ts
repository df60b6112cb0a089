import { expect, test } from 'vitest'
import { Lanes } from '../../../../src/ops/auth/lanes.ts'
import { VirtualClock } from '../../../conformance/lab.ts'

/** Checks that are ended by hand, and in which order they began. */
function checks() {
  const clock = new VirtualClock()
  const lanes = new Lanes(clock)
  const begun: string[] = []
  let finish: ((failed: boolean) => void) | null = null
  const enter = (address: string, name: string) =>
    lanes.enter(address, (done) => {
      begun.push(name)
      finish = done
    })
  const end = (failed = false) => finish!(failed)
  return { clock, begun, enter, end }
}

test('one check at a time, and addresses take turns', () => {
  const { begun, enter, end } = checks()
  for (const name of ['a1', 'a2', 'a3']) enter('a', name)
  enter('b', 'b1')
  expect(begun).toEqual(['a1'])
  for (let index = 0; index < 3; index++) end()
  expect(begun).toEqual(['a1', 'a2', 'b1', 'a3'])
})

test('an address that fails waits longer each time, up to a bound; the others do not', () => {
  const { clock, begun, enter, end } = checks()
  const pauses: number[] = []
  for (let index = 0; index < 8; index++) {
    enter('bad', `bad${index}`)
    const from = clock.now()
    while (!begun.includes(`bad${index}`)) clock.advance(10)
    pauses.push(clock.now() - from)
    end(true)
    enter('good', `good${index}`)
    expect(begun.at(-1)).toBe(`good${index}`)
    end()
  }
  expect(pauses).toEqual([0, 100, 200, 400, 800, 1600, 2000, 2000])
})

test('after five minutes an address is as good as new', () => {
  const { clock, begun, enter, end } = checks()
  for (let index = 0; index < 4; index++) {
    enter('a', 'x')
    clock.advance(5000)
    end(true)
  }
  clock.advance(300_001)
  enter('a', 'y')
  expect(begun.at(-1)).toBe('y')
  end(true)
  enter('a', 'z')
  clock.advance(100)
  expect(begun.at(-1)).toBe('z')
})

test('there is room for so many of one address, and the rest is told', () => {
  const { begun, enter, end } = checks()
  const entered = Array.from({ length: 70 }, (_, index) => enter('a', String(index)))
  // One runs, sixty-four wait.
  expect(entered.filter(Boolean).length).toBe(65)
  expect(enter('b', 'b')).toBe(true)
  end()
  end()
  expect(begun.slice(0, 3)).toEqual(['0', '1', 'b'])
})

test('the addresses of one IPv6 network are one; IPv4 ones are not', () => {
  const { clock, begun, enter, end } = checks()
  enter('2001:db8:1:2::5', 'one')
  end(true)
  enter('2001:db8:1:2:ffff::6', 'same network')
  expect(begun).toEqual(['one'])
  enter('2001:db8:1:3::6', 'another')
  end()
  clock.advance(100)
  end()
  expect(begun).toEqual(['one', 'another', 'same network'])
  enter('::ffff:10.0.0.1', 'v4')
  end(true)
  enter('::ffff:10.0.0.2', 'other v4')
  expect(begun.at(-1)).toBe('other v4')
})
