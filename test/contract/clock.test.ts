import { HostClock } from '../../src/host/clock.ts'
import { clockContract } from './clock.ts'
import { until } from './world.ts'

clockContract('the host', () => ({ clock: new HostClock(), until, close: () => {} }))
