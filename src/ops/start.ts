// What `start`, `start --check`, `setup` and a reload read before anything runs: places, configuration, bundle. What is
// wrong ends here, with all of it said at once.

import type { Bundle } from '../cluster/settings.ts'
import type { JoinRequest } from '../cluster/status.ts'
import { type AuthFiles, readAuthFiles } from './auth/files.ts'
import { readBundle } from './bundle.ts'
import { FILE_BYTES_MAX } from './config/file.ts'
import { problemText } from './config/layers.ts'
import { loadConfiguration } from './config/load.ts'
import type { Configuration } from './config/schema.ts'
import { readByAll, readText } from './directories.ts'
import { Ending, Exit } from './exit.ts'
import { type ListenerFiles, readListenerFiles } from './listenerfiles.ts'
import { type PlaceOptions, type Places, places } from './places.ts'
import type { World } from './world.ts'

export interface StartOptions extends PlaceOptions {
  readonly set: readonly string[]
  readonly newCluster: boolean
  /** First setup alone: join with a code. */
  readonly join?: JoinRequest | null
}

export interface Plan {
  readonly places: Places
  readonly configuration: Configuration
  readonly bundle: Bundle | null
  readonly authFiles: AuthFiles
  readonly listenerFiles: ListenerFiles
  readonly warnings: readonly string[]
  /** The file that was read, or null when there is none. */
  readonly file: string | null
}

export async function readPlan(options: StartOptions, world: Pick<World, 'trust'>): Promise<Plan> {
  const where = places(options, process.env)
  const text = readText(where.configFile, FILE_BYTES_MAX)
  if (text === null && where.configMustExist) throw new Ending(Exit.configuration, `${where.configFile}: no such file`)
  const loaded = loadConfiguration({
    file: text === null ? null : { name: where.configFile, text },
    environment: process.env,
    settings: options.set,
  })
  if (!loaded.ok) {
    throw new Ending(
      Exit.configuration,
      ['the configuration is wrong:', ...loaded.problems.map(problemText)].join('\n  '),
    )
  }
  const { configuration, warnings } = loaded
  const authFiles = readAuthFiles(configuration.auth, configuration.listeners)
  const listenerFiles = await readListenerFiles(configuration.listeners, world.trust)
  const bundle = configuration.cluster.enabled ? await readBundle(where.certsDir, world.trust) : null
  const file = text === null ? null : where.configFile
  const open = file !== null && configuration.cluster.password !== null && readByAll(file)
  const said = open
    ? [...warnings, `${file}: everybody on this box can read cluster.password in it: chmod 640`]
    : warnings
  return { places: where, configuration, bundle, authFiles, listenerFiles, warnings: said, file }
}
