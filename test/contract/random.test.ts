import { HostRandom } from '../../src/host/random.ts'
import { randomContract } from './random.ts'

randomContract('the host', () => new HostRandom())
