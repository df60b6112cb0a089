// Bugs to plant: each breaks one rule of the product from outside, and the checkers must find it. A checker that cannot
// fail is a defect.

import { deliveryPlants } from './plants/delivery.ts'
import { diskPlants } from './plants/disk.ts'
import { networkPlants } from './plants/network.ts'
import type { Plant } from './plants/planting.ts'
import { sharedPlants } from './plants/shared.ts'

export const plants: readonly Plant[] = [...networkPlants, ...diskPlants, ...sharedPlants, ...deliveryPlants]
