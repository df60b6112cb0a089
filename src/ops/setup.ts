// `edge-mqtt setup`: first setup alone, as an installer wants it: this node's identity, and the cluster's CA if nobody else
// has made one. Serves nothing and ends.

import { HostError } from '../base/errors.ts'
import { Meter } from '../base/meter.ts'
import { setUpAlone } from '../cluster/enrolment/firstsetup.ts'
import type { JoinRequest } from '../cluster/status.ts'
import type { SetupResult } from '../cluster/trust/setup.ts'
import { devicesPassword, devicesUrl } from './auth/devices.ts'
import { parseEndpoint } from './config/kinds.ts'
import { CLUSTER_PORT } from './config/schema.ts'
import { nodeSettings } from './config/settings.ts'
import { askAt } from './control/client.ts'
import { prepareState } from './directories.ts'
import { Ending, Exit, exitStatusOf } from './exit.ts'
import { chooseFormat, openSink, outputWorld, ProcessLog } from './log.ts'
import { readPlan, type StartOptions } from './start.ts'
import { version } from './version.ts'
import type { World } from './world.ts'

const PROBE_MS = 1_000

/** Resolves with what became of it, in words. */
export async function setup(options: StartOptions, world: World): Promise<string> {
  const plan = await readPlan(options, world)
  const { configuration, places } = plan
  if (!configuration.cluster.enabled) return 'nothing to set up: cluster.enabled is false'
  const running = await askAt(places.controlSocket, { command: 'version', args: {} }, PROBE_MS)
  if (!('at' in running)) {
    throw new Ending(
      Exit.unavailable,
      `the daemon is running here and has set itself up: edge-mqtt status${places.reachedBy}`,
    )
  }
  prepareState(places)
  const { level, format } = configuration.log
  const log = new ProcessLog(await openSink(chooseFormat(format, outputWorld())), level)
  for (const warning of plan.warnings) log.log.warn({}, warning)
  const [ports, hardware] = await Promise.all([world.ports(places.stateDir), world.hardware()])
  const settings = nodeSettings(configuration, {
    version,
    newCluster: options.newCluster,
    bundle: plan.bundle,
    hardware,
    fileRules: null,
  })
  const result = await new Promise<SetupResult | HostError>((resolve) => {
    const outside = { ...ports, log: log.log, meter: new Meter() }
    setUpAlone(outside, settings.cluster, { bundle: plan.bundle, hardware }, resolve, options.join)
  })
  log.flush()
  if (result instanceof HostError) throw new Ending(exitStatusOf(result), result.message)
  const text = setupText(result, places.stateDir, places.certsDir)
  if (result.state !== 'member' || result.ca === null) return text
  const port = Object.values(configuration.listeners).find(({ type, enabled }) => enabled && type === 'mqtt')?.port
  if (port === undefined || port === 0) return text
  const url = devicesUrl(devicesPassword(result.ca.privateKey, result.clusterId), port)
  return `${text}\n  for your devices: ${url}\n  (again: edge-mqtt user show devices)`
}

export interface SetupJoinOptions {
  readonly join?: string
  readonly at?: string
  readonly replace?: string
}

/** What people want to join; null: first setup as ever. */
export function joinRequest({ join, at, replace }: SetupJoinOptions): JoinRequest | null {
  if (join === undefined) {
    if (at === undefined && replace === undefined) return null
    throw new Ending(Exit.usage, `${at === undefined ? '--replace' : '--at'} goes with --join CODE`)
  }
  const to = at === undefined ? null : parseEndpoint(at, CLUSTER_PORT)
  if (at !== undefined && to === null) {
    throw new Ending(Exit.usage, `--at ${at}: not an address; right would be host or host:port`)
  }
  return { to, code: join, replaces: replace ?? null }
}

/** What first setup has come to, and what to do with it. */
export function setupText(result: SetupResult, stateDir: string, certsDir: string): string {
  if (result.state === 'waiting') return `waiting: ${result.why}`
  if (!result.founded) return `set up: this node is a member of cluster ${result.clusterId}`
  return (
    `set up: made the CA of a new cluster, ${result.clusterId}\n` +
    `  for the next box: copy ${stateDir}/ca.crt and ${stateDir}/ca.key into its certs/ (here: ${certsDir}) before its first start`
  )
}
