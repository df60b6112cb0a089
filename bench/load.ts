// The process that loads the broker: takes one job by its first argument, prints its outcome as one line of JSON.
// Another program may take its place (`--load COMMAND`): the same argument, the same answer.

import { runConnects, runIdle, runKept, runStresser } from './bursts.ts'
import { runQuiet, runStart, runUnwanted } from './calm.ts'
import { runDurable } from './durable.ts'
import { runFlow } from './flow.ts'
import type { Job, Outcome } from './measuring.ts'
import { runPaced } from './paced.ts'
import type { Load } from './scenarios.ts'
import { runTemper } from './temper.ts'

function run(job: Job, load: Load): Promise<Outcome> {
  switch (load.load) {
    case 'flow':
      return runFlow(job, load)
    case 'paced':
      return runPaced(job, load)
    case 'kept':
      return runKept(job, load)
    case 'connects':
      return runConnects(job, load)
    case 'idle':
      return runIdle(job, load)
    case 'stresser':
      return runStresser(job, load)
    case 'durable':
      return runDurable(job, load)
    case 'quiet':
      return runQuiet(job, load)
    case 'unwanted':
      return runUnwanted(job, load)
    case 'start':
      return runStart(job, load)
    case 'temper':
      return runTemper(job, load)
  }
}

const { job, load } = JSON.parse(process.argv[2]!) as { readonly job: Job; readonly load: Load }
const outcome = await run(job, load)
process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit(0))
