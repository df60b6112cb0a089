// What every Names must do.

import { afterEach, describe, expect, test } from 'vitest'
import type { FoundService, Names } from '../../src/base/ports/names.ts'
import type { World } from './world.ts'

export interface NamesWorld extends World {
  /** Two nodes on one link; `name` is its interface. */
  readonly one: Names
  readonly other: Names
  readonly interfaceName: string
}

export function namesContract(name: string, make: () => NamesWorld): void {
  describe(`Names of ${name}`, () => {
    let world: NamesWorld
    const stops: (() => void)[] = []
    afterEach(() => {
      for (const stop of stops.splice(0)) stop()
      world.close()
    })

    const wants = (name: string) => name === world.interfaceName
    const announce = (instance: string, type: string, port: number, text: Record<string, string> = {}) => {
      const announcement = world.one.announce({ name: type, port, instance, text }, wants)
      stops.push(() => announcement.withdraw(() => {}))
      return announcement
    }
    const browse = (type: string): FoundService[] => {
      const found: FoundService[] = []
      stops.push(world.other.browse(type, wants, (service) => found.push(service)))
      return found
    }

    test('a service announced before the browser came is found, with its port, address and text', async () => {
      world = make()
      announce('node one', 'edge-test-a', 4883, { id: '0123456789abcdef', v: '1' })
      const found = browse('edge-test-a')
      await world.until(() => found.length > 0, 'the service')
      expect(found[0]).toMatchObject({ instance: 'node one', port: 4883, text: { id: '0123456789abcdef', v: '1' } })
      expect(found[0]?.addresses.length).toBeGreaterThan(0)
    })

    test('a service announced later is found too, and another type is not', async () => {
      world = make()
      const [found, others] = [browse('edge-test-b'), browse('edge-test-c')]
      announce('node two', 'edge-test-b', 4884)
      await world.until(() => found.length > 0, 'the service')
      expect(found[0]).toMatchObject({ instance: 'node two', port: 4884 })
      expect(others).toEqual([])
    })

    test('a withdrawn service is not found by a browser that comes later; its sibling still is, with its address', async () => {
      world = make()
      const first = announce('node three', 'edge-test-d', 1883)
      announce('node three', 'edge-test-e', 4883)
      const before = browse('edge-test-d')
      await world.until(() => before.length > 0, 'the service')
      let gone = false
      first.withdraw(() => {
        gone = true
      })
      await world.until(() => gone, 'the goodbye')
      const [after, sibling] = [browse('edge-test-d'), browse('edge-test-e')]
      await world.until(() => sibling.length > 0, 'the sibling')
      expect(after).toEqual([])
      expect(sibling[0]?.addresses.length).toBeGreaterThan(0)
    })

    test('an interface that nobody wants hears and says nothing', async () => {
      world = make()
      const hidden = world.one.announce({ name: 'edge-test-f', port: 1, instance: 'hidden', text: {} }, () => false)
      announce('shown', 'edge-test-f', 2)
      const found = browse('edge-test-f')
      await world.until(() => found.length > 0, 'the service that is shown')
      expect(new Set(found.map(({ instance }) => instance))).toEqual(new Set(['shown']))
      let gone = false
      hidden.withdraw(() => {
        gone = true
      })
      await world.until(() => gone, 'the withdrawal of what was never said')
    })

    test('withdrawing twice is harmless, and both are answered', async () => {
      world = make()
      const announcement = announce('node four', 'edge-test-g', 3)
      let gone = 0
      announcement.withdraw(() => gone++)
      announcement.withdraw(() => gone++)
      await world.until(() => gone === 2, 'both answers')
    })
  })
}
