// Where things lie: under systemd where it says so, below --data-dir where one is given, else where the package puts them.

import { join, resolve } from 'node:path'

export interface PlaceOptions {
  readonly dataDir?: string | undefined
  readonly config?: string | undefined
  readonly socket?: string | undefined
}

export interface Places {
  readonly configFile: string
  /** A file named by --config must be there; the one looked for by default may be missing. */
  readonly configMustExist: boolean
  readonly certsDir: string
  readonly stateDir: string
  readonly runDir: string
  /** Full control, for the service's group. */
  readonly controlSocket: string
  /** `status`, `version` and `cluster status`, for everybody. */
  readonly statusSocket: string
  /** How a command reaches this daemon: the options to repeat, or nothing at the default place. */
  readonly reachedBy: string
}

/** systemd may name several directories, with colons between; the first is the service's own. */
const first = (directories: string | undefined): string | undefined => directories?.split(':')[0] || undefined

export function places(options: PlaceOptions, environment: Readonly<Record<string, string | undefined>>): Places {
  const { dataDir, socket } = options
  const below = dataDir === undefined ? null : resolve(dataDir)
  const configDir = below ?? first(environment['CONFIGURATION_DIRECTORY']) ?? '/etc/edge-mqtt'
  const runDir = below === null ? (first(environment['RUNTIME_DIRECTORY']) ?? '/run/edge-mqtt') : join(below, 'run')
  return {
    configFile: options.config === undefined ? join(configDir, 'edge-mqtt.yaml') : resolve(options.config),
    configMustExist: options.config !== undefined,
    certsDir: join(configDir, 'certs'),
    stateDir: below === null ? (first(environment['STATE_DIRECTORY']) ?? '/var/lib/edge-mqtt') : join(below, 'state'),
    runDir,
    controlSocket: socket === undefined ? join(runDir, 'control.sock') : resolve(socket),
    statusSocket: join(runDir, 'status.sock'),
    reachedBy: below !== null ? ` --data-dir ${dataDir}` : socket !== undefined ? ` --socket ${socket}` : '',
  }
}
