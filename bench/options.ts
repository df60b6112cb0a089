// What `npm run bench` is told, checked.

import { parseArgs } from 'node:util'
import type { Version } from './mqtt.ts'
import { type Scenario, scenarios } from './scenarios.ts'

export interface Options {
  /** The broker beside ours; null: ours alone. */
  readonly against: string | null
  readonly scenarios: readonly Scenario[]
  readonly versions: readonly Version[]
  readonly rounds: number
  readonly warmUpMs: number
  readonly measureMs: number
  /** Below 1 everything is smaller, to try it out. */
  readonly scale: number
  readonly port: number
  readonly brokerCore: number
  readonly loadCore: number
  /** A program in the place of our own load. */
  readonly load: string | null
  readonly list: boolean
}

export class UsageError extends Error {}

export const HELP = `npm run bench -- [--against mosquitto|none] [--scenarios all|NAME,NAME] [--versions 4,5] [--rounds 3]
  [--seconds 2] [--warm-up 1] [--scale 1] [--port 21886] [--broker-core 0] [--load-core 1] [--load COMMAND] [--list]`

function number(name: string, given: string, least: number, most: number): number {
  const value = Number(given)
  if (given.trim() !== '' && value >= least && value <= most) return value
  throw new UsageError(`--${name} is ${given}, and takes a number from ${least} to ${most}`)
}

function whole(name: string, given: string, least: number, most: number): number {
  const value = number(name, given, least, most)
  if (Number.isInteger(value)) return value
  throw new UsageError(`--${name} is ${given}, and takes a whole number`)
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        against: { type: 'string', default: 'mosquitto' },
        scenarios: { type: 'string', default: 'all' },
        versions: { type: 'string', default: '4' },
        rounds: { type: 'string', default: '3' },
        seconds: { type: 'string', default: '2' },
        'warm-up': { type: 'string', default: '1' },
        scale: { type: 'string', default: '1' },
        port: { type: 'string', default: '21886' },
        'broker-core': { type: 'string', default: '0' },
        'load-core': { type: 'string', default: '1' },
        load: { type: 'string' },
        list: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** `known`: the brokers there are, `cores`: of this machine. */
export function readOptions(args: readonly string[], known: readonly string[], cores: number): Options {
  const values = parsed(args)
  const { against } = values
  if (against !== 'none' && !known.includes(against)) {
    throw new UsageError(`--against is ${against}, and takes none or one of: ${known.join(', ')}`)
  }
  const named = values.scenarios === 'all' ? scenarios.map(({ name }) => name) : values.scenarios.split(',')
  const chosen = named.map((name) => {
    const found = scenarios.find((scenario) => scenario.name === name)
    if (found !== undefined) return found
    throw new UsageError(`no scenario is called '${name}'; there are: ${scenarios.map((each) => each.name).join(', ')}`)
  })
  const versions = values.versions.split(',').map((version): Version => {
    if (version === '4' || version === '5') return version === '4' ? 4 : 5
    throw new UsageError(`--versions is ${values.versions}, and takes 4 (MQTT 3.1.1), 5 or 4,5`)
  })
  const brokerCore = whole('broker-core', values['broker-core'], 0, cores - 1)
  const loadCore = whole('load-core', values['load-core'], 0, cores - 1)
  if (brokerCore === loadCore) throw new UsageError(`broker and load need a core each; both are to have ${loadCore}`)
  return {
    against: against === 'none' ? null : against,
    scenarios: chosen,
    versions,
    rounds: whole('rounds', values.rounds, 1, 1000),
    warmUpMs: number('warm-up', values['warm-up'], 0, 3600) * 1000,
    measureMs: number('seconds', values.seconds, 0.05, 3600) * 1000,
    scale: number('scale', values.scale, 0.0001, 1),
    port: whole('port', values.port, 1, 65535),
    brokerCore,
    loadCore,
    load: values.load ?? null,
    list: values.list,
  }
}
