// `edge-mqtt start --check`: says that configuration and certificates are good, or everything that is not. Starts nothing.

import { readPlan, type StartOptions } from '../start.ts'
import type { World } from '../world.ts'
import { print } from './output.ts'

export async function check(options: StartOptions, world: World): Promise<void> {
  const { file, places, bundle, warnings } = await readPlan(options, world)
  for (const warning of warnings) print(`warning: ${warning}`)
  const configuration = file === null ? `no file at ${places.configFile}, so all defaults` : file
  const certificates = bundle === null ? '' : `\ncertificates are good: ${places.certsDir}`
  print(`configuration is good: ${configuration}${certificates}`)
}
