// Seeds that nobody has seen before: drawn from the time, printed, and to be run again by their number.

import { runSeeds } from './batches.ts'

runSeeds('new', Math.floor(Date.now() / 1000), 200)
