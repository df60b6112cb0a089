import { describe, expect, test } from 'vitest'
import type { NodeStatus } from '../../../src/compose.ts'
import { NoVoice, type Voice } from '../../../src/ops/notify.ts'
import { Supervision, watchdogMs } from '../../../src/ops/supervision.ts'
import { VirtualClock } from '../../virtual-clock.ts'

class Heard implements Voice {
  readonly silent = false
  readonly said: string[] = []
  say(...assignments: readonly string[]): void {
    this.said.push(assignments.join('|'))
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
  take(): string[] {
    return this.said.splice(0)
  }
}

const status = (others: number, inPerSecond = 118): NodeStatus =>
  ({
    node: { name: 'gw-1' },
    cluster: {
      enabled: true,
      id: 'c0ffee',
      state: 'member',
      members: [{ self: true, state: 'alive' }, ...Array(others).fill({ self: false, state: 'alive', linked: true })],
    },
    clients: 42,
    rates: { inPerSecond, outPerSecond: 240 },
    problems: [],
  }) as unknown as NodeStatus

describe('what systemd is told', () => {
  test('ready, with the line that systemctl status shows', () => {
    const voice = new Heard()
    new Supervision(voice, null).ready(new VirtualClock(), () => status(2))
    expect(voice.said).toEqual(['READY=1|STATUS=gw-1: 3 of 3 members linked, 42 clients, 118 msg/s in, 240 out'])
  })

  test('another member at once, other rates every 15 s', () => {
    const [voice, clock] = [new Heard(), new VirtualClock()]
    let now = status(0)
    new Supervision(voice, null).ready(clock, () => now)
    voice.take()
    now = status(0, 5)
    clock.advance(14_000)
    expect(voice.take()).toEqual([])
    clock.advance(1_000)
    expect(voice.take()).toEqual(['STATUS=gw-1: alone, 42 clients, 5 msg/s in, 240 out'])
    now = status(1, 5)
    clock.advance(1_000)
    expect(voice.take()).toEqual(['STATUS=gw-1: 2 of 2 members linked, 42 clients, 5 msg/s in, 240 out'])
    now = { ...now, problems: ['mDNS cannot start'] }
    clock.advance(1_000)
    expect(voice.take()).toEqual(['STATUS=gw-1: 2 of 2 members linked, 42 clients, 5 msg/s in, 240 out (1 problem)'])
  })

  test('a sign of life twice in the time that systemd allows, until the stop', () => {
    const [voice, clock] = [new Heard(), new VirtualClock()]
    const supervision = new Supervision(voice, 20_000)
    supervision.ready(clock, () => status(0))
    clock.advance(40_000)
    expect(voice.take().filter((line) => line === 'WATCHDOG=1')).toHaveLength(4)
    supervision.stopping()
    expect(voice.take()).toEqual(['STOPPING=1|STATUS=stopping'])
    clock.advance(60_000)
    expect(voice.said).toEqual([])
    expect(clock.timers).toEqual([])
  })

  test('a reload is bracketed, with the time that tells it from an earlier one', () => {
    const voice = new Heard()
    const supervision = new Supervision(voice, null)
    supervision.reloading(123_456n)
    supervision.reloaded()
    expect(voice.said).toEqual(['RELOADING=1|MONOTONIC_USEC=123456', 'READY=1'])
  })

  test('why it ends by itself, in one line', () => {
    const voice = new Heard()
    new Supervision(voice, null).failed('listeners.mqtt.port: port 1883 is taken\n  by mosquitto?')
    expect(voice.said).toEqual(['STATUS=listeners.mqtt.port: port 1883 is taken'])
  })

  test('without systemd no timer runs', () => {
    const clock = new VirtualClock()
    new Supervision(new NoVoice(), 1000).ready(clock, () => status(0))
    expect(clock.timers).toEqual([])
  })
})

test.each([
  [{}, null],
  [{ WATCHDOG_USEC: '30000000' }, 30_000],
  [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' }, 30_000],
  [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '8' }, null],
  [{ WATCHDOG_USEC: '0' }, null],
  [{ WATCHDOG_USEC: 'often' }, null],
])('watchdogMs(%j) is %j for process 7', (environment, expected) => {
  expect(watchdogMs(environment, 7)).toBe(expected)
})
