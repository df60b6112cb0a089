import { beforeEach, describe, expect, test } from 'vitest'
import { Positions } from '../../../src/base/positions.ts'
import { VirtualClock } from '../../virtual-clock.ts'

let clock: VirtualClock
let positions: Positions
let told = 0

beforeEach(() => {
  clock = new VirtualClock()
  positions = new Positions(clock)
  told = 0
  positions.watch(() => told++)
})

const both = () => [positions.safe, positions.ours]

describe('a line of positions', () => {
  test('what nobody staged is safe', () => {
    expect([positions.position, ...both()]).toEqual([0, 0, 0])
  })

  test('the oldest that is waited for, of whichever lane, says how far all is safe', () => {
    const [disk, copies] = [positions.lane('store'), positions.lane('copies')]
    expect([disk.staged(), copies.staged(), disk.staged(), copies.staged()]).toEqual([1, 2, 3, 4])
    expect(positions.safe).toBe(0)
    copies.settled(4)
    expect(positions.safe).toBe(0)
    disk.settled(1)
    expect(positions.safe).toBe(1)
    disk.settled(3)
    expect(positions.safe).toBe(4)
  })

  test('a lane that waits for nothing holds nobody up, and begins where it stages again', () => {
    const [disk, member] = [positions.lane('store'), positions.lane('theirs')]
    member.settled(member.staged())
    disk.settled(disk.staged())
    expect(positions.safe).toBe(2)
    member.staged()
    expect(both()).toEqual([2, 3])
  })

  test('what others were sent holds up what is promised of them, and nothing of our own', () => {
    const [disk, member] = [positions.lane('store'), positions.lane('theirs')]
    member.staged()
    disk.staged()
    expect(both()).toEqual([0, 1])
    disk.settled(2)
    expect(both()).toEqual([0, 2])
    member.settled(1)
    expect(both()).toEqual([2, 2])
  })

  test('how far the store is says nothing of copies, nor they of it; both of how far all of our own is', () => {
    const [disk, copies, member] = [positions.lane('store'), positions.lane('copies'), positions.lane('theirs')]
    copies.staged()
    disk.staged()
    member.staged()
    expect([positions.stored, positions.ours, positions.safe]).toEqual([1, 0, 0])
    disk.settled(2)
    expect([positions.stored, positions.ours, positions.safe]).toEqual([3, 0, 0])
    copies.settled(1)
    expect([positions.stored, positions.ours, positions.safe]).toEqual([3, 3, 2])
  })

  test('a lane that is closed is waited for no more, nor for what it is given later', () => {
    const [disk, member] = [positions.lane('store'), positions.lane('theirs')]
    member.staged()
    disk.staged()
    member.close()
    expect(both()).toEqual([1, 1])
    expect(member.staged()).toBe(3)
    disk.settled(2)
    expect(both()).toEqual([3, 3])
  })

  test('naming a position once more, or an older one, changes nothing', () => {
    const disk = positions.lane('store')
    disk.staged()
    disk.staged()
    disk.settled(1)
    disk.settled(1)
    disk.settled(0)
    expect(positions.safe).toBe(1)
  })

  test('who watches is told once, at the end of the turn in which something became safe', () => {
    const [disk, member] = [positions.lane('store'), positions.lane('theirs')]
    disk.staged()
    disk.staged()
    member.staged()
    disk.settled(1)
    disk.settled(2)
    expect(told).toBe(0)
    clock.settle()
    expect(told).toBe(1)
    member.settled(3)
    clock.settle()
    expect(told).toBe(2)
  })

  test('a position that nothing has cannot be settled', () => {
    const disk = positions.lane('store')
    disk.staged()
    expect(() => disk.settled(2)).toThrow('a position settled that nothing has yet')
  })
})
