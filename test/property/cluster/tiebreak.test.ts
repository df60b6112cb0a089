// Two nodes, dials from both sides at any moment, frames of different links overtaking each other: when all is said,
// both use the same link, and it is the only one.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { heed, settle } from '../../../src/cluster/links/tiebreak.ts'
import { instance } from '../../unit/cluster/fakes.ts'

interface Pipe {
  /** What is on its way to each end, in order within this link. */
  readonly toDecider: ('proof' | 'close')[]
  readonly toOther: ('proof' | 'close' | number)[]
  readonly openAt: { decider: boolean; other: boolean }
}

test('both ends come to the same link, in every interleaving of three dials', () => {
  const step = fc.nat()
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.array(step, { minLength: 60, maxLength: 60 }), (dials, choices) => {
      const pipes: Pipe[] = []
      let choice = 0
      let decider: number | null = null
      let other: { link: number; choice: number } | null = null

      const closeAtDecider = (link: number) => {
        if (!pipes[link]!.openAt.decider) return
        pipes[link]!.openAt.decider = false
        if (decider === link) decider = null
        pipes[link]!.toOther.push('close')
      }
      const closeAtOther = (link: number) => {
        if (!pipes[link]!.openAt.other) return
        pipes[link]!.openAt.other = false
        if (other?.link === link) other = null
        pipes[link]!.toDecider.push('close')
      }
      const atDecider = (link: number, frame: 'proof' | 'close') => {
        if (!pipes[link]!.openAt.decider) return
        if (frame === 'close') {
          pipes[link]!.openAt.decider = false
          if (decider === link) decider = null
          return
        }
        const used = decider === null ? null : { instance: instance('a'), silentMs: 0, relayed: false }
        if (settle(used, { instance: instance('a'), relayed: false }, 1000) === 'refuse') return closeAtDecider(link)
        if (decider !== null) closeAtDecider(decider)
        decider = link
        pipes[link]!.toOther.push(++choice)
      }
      const atOther = (link: number, frame: 'proof' | 'close' | number) => {
        if (!pipes[link]!.openAt.other || frame === 'proof') return
        if (frame === 'close') {
          pipes[link]!.openAt.other = false
          if (other?.link === link) other = null
          return
        }
        const used = other === null ? null : { instance: instance('a'), choice: other.choice }
        if (heed(used, { instance: instance('a'), choice: frame }) === 'refuse') return closeAtOther(link)
        if (other !== null) closeAtOther(other.link)
        other = { link, choice: frame }
      }

      const moves = (): (() => void)[] => {
        const possible: (() => void)[] = []
        if (pipes.length < dials) {
          possible.push(() => {
            pipes.push({ toDecider: ['proof'], toOther: ['proof'], openAt: { decider: true, other: true } })
          })
        }
        pipes.forEach((pipe, link) => {
          if (pipe.toDecider.length > 0) possible.push(() => atDecider(link, pipe.toDecider.shift()!))
          if (pipe.toOther.length > 0) possible.push(() => atOther(link, pipe.toOther.shift()!))
        })
        return possible
      }
      for (const chosen of choices) {
        const possible = moves()
        if (possible.length > 0) possible[chosen % possible.length]!()
      }
      expect(moves()).toHaveLength(0)
      expect(decider).not.toBeNull()
      expect(other).toMatchObject({ link: decider })
      pipes.forEach((pipe, link) => {
        expect(pipe.openAt).toEqual({ decider: link === decider, other: link === decider })
      })
    }),
    { numRuns: 500 },
  )
})
