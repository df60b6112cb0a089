// `edge-mqtt start --check`: says that configuration and certificates are good, or everything that is not. Starts nothing.

import { Ending, Exit } from '../exit.ts'
import { takenPorts } from '../freeports.ts'
import { readPlan, type StartOptions } from '../start.ts'
import type { World } from '../world.ts'
import { print } from './output.ts'

/** `ports`: also whether they are free, as an installer asks before the first start. */
export async function check(options: StartOptions, world: World, ports: boolean): Promise<void> {
  const { configuration: read, file, places, bundle, warnings } = await readPlan(options, world)
  for (const warning of warnings) print(`warning: ${warning}`)
  const configuration = file === null ? `no file at ${places.configFile}, so all defaults` : file
  const certificates = bundle === null ? '' : `\ncertificates are good: ${places.certsDir}`
  if (ports) {
    const taken = await takenPorts(read, (await world.ports(places.stateDir)).streams)
    if (taken.length > 0) throw new Ending(Exit.unavailable, taken.join('\n'))
  }
  print(`configuration is good: ${configuration}${certificates}`)
}
