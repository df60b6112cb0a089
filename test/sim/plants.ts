// Bugs to plant: each breaks one rule of the product from outside, and the checkers must find it. A checker that cannot
// fail is a defect.

import { deliveryPlants } from './plants/delivery.ts'
import { diskPlants } from './plants/disk.ts'
import { networkPlants } from './plants/network.ts'
import type { Plant } from './plants/planting.ts'
import { sessionPlants } from './plants/sessions.ts'
import { sharedPlants } from './plants/shared.ts'
import { trustPlants } from './plants/trust.ts'
import { willPlants } from './plants/wills.ts'

export const plants: readonly Plant[] = [
  ...networkPlants,
  ...diskPlants,
  ...sharedPlants,
  ...deliveryPlants,
  ...sessionPlants,
  ...trustPlants,
  ...willPlants,
]

/**
 * The bugs that CLUSTER 8 demands, and the plants that are each of them. Where there is none yet, the list says so: it
 * only gets fuller.
 */
export const demanded: Readonly<Record<string, readonly string[]>> = {
  'acknowledgement before the copy': [
    'acknowledged before the copy',
    'acknowledged before it is safe at the member that wants it',
  ],
  'an epoch made by a stand-in': ['a stand-in makes an epoch'],
  'a returning owner that yields to a stand-in': ['an owner that comes back yields to the stand-in'],
  'wills fired at dead_after without write-back': ['wills fired at dead_after without write-back'],
  'horizon ignored': ['horizons that nobody heeds'],
  'a tombstone dropped early': ['a removal that is forgotten at once'],
  'expiry by wall clock': ['expiry by wall clock'],
  'SUBACK before routes': ['SUBACK before the others have the routes'],
  'QoS 2 packet id chosen after failover': [],
  'the marker skipped at takeover': [],
  '"dead" by own evidence only': ['"dead" by own evidence only'],
  'queues merged by concatenation': [],
  'revocations by stamp': ['revocations by stamp'],
  'retained delta and live publish on two channels': ['retained messages travel beside the live ones'],
  'a plain route kept after death': ['routes kept after a death'],
  'the dedupe window forgotten at a link’s resume': ['what came over the last link counts again over the next'],
}
