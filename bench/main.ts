// Our broker beside another one: each fresh for each run on one core, the load on another, in turn; then medians, ratios
// and what was aimed at. Everything that is sent is checked, and a failed check is a failed run (exit status 1).
//   npm run bench -- --against mosquitto --scenarios fan-in,pairs-qos1 [--rounds 3] [--versions 4,5]

import { spawn } from 'node:child_process'
import { availableParallelism, cpus, loadavg, release } from 'node:os'
import { join } from 'node:path'
import { Boxes } from './boxes.ts'
import { Broker, brokers } from './brokers.ts'
import type { Job, Outcome } from './measuring.ts'
import { HELP, type Options, readOptions, UsageError } from './options.ts'
import { cautions, type Row, rowsOf, table, versionCosts } from './report.ts'
import { type Load, type Scenario, scenarios, smaller } from './scenarios.ts'

const OWN = 'edge-mqtt'
/** A quiet machine's load average is below. */
const BUSY = 0.5
/** Beside what it measures: connecting, filling, draining. */
const LOAD_MS_MAX = 300_000

/** The last line it prints is the outcome. */
function loaded(options: Options, job: Job, load: Load): Promise<Outcome> {
  const program = options.load ?? process.execPath
  const own = options.load === null ? [join(import.meta.dirname, 'load.js')] : []
  const args = ['-c', `${options.loadCore}`, program, ...own, JSON.stringify({ job, load })]
  return new Promise((done, failed) => {
    const withinMs = LOAD_MS_MAX + job.warmUpMs + job.measureMs
    const child = spawn('taskset', args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: withinMs })
    let said = ''
    child.stdout.on('data', (text: Buffer) => {
      said += text
    })
    child.once('error', failed)
    child.once('close', (status, signal) => {
      if (status !== 0) return failed(new Error(`the load ended with ${status ?? signal}`))
      try {
        done(JSON.parse(said.trim().split('\n').at(-1)!) as Outcome)
      } catch {
        failed(new Error(`the load gives no outcome: ${said.slice(-200)}`))
      }
    })
  })
}

async function run(options: Options, name: string, scenario: Scenario, version: Job['version']): Promise<Outcome> {
  const { port, warmUpMs, measureMs, scale } = options
  const { boxes = 0, settings = [], persistence = false } = scenario.stage ?? {}
  const stage =
    boxes > 0
      ? await Boxes.start(boxes, port, options.brokerCore, settings)
      : await Broker.start(name, port, options.brokerCore, persistence)
  try {
    const started = stage instanceof Boxes ? stage.boxes : [stage]
    const job: Job = {
      ports: started.map((one) => one.port),
      pids: started.map(({ pid }) => pid),
      directories: started.map(({ directory }) => directory),
      version,
      warmUpMs,
      measureMs,
    }
    return await loaded(options, job, scale < 1 ? smaller(scenario.load, scale) : scenario.load)
  } finally {
    await stage.stop()
  }
}

/** Other work on the machine is in every figure: it is said before, so that nobody takes them for more. */
function machine(): string {
  const busy = loadavg()[0]!
  const caution = busy > BUSY ? ': a busy machine, whose rates and latencies say little' : ''
  const model = cpus()[0]?.model ?? 'unknown'
  return `${availableParallelism()} x ${model}, Linux ${release()}, Node ${process.version}, load ${busy.toFixed(2)}${caution}`
}

const line = (name: string, { figures, wallMs, brokerCpuMs, loadCpuMs, problems }: Outcome): string => {
  const share = (cpuMs: number) => `${Math.round((100 * cpuMs) / wallMs)} %`
  const told = Object.entries(figures).map(([figure, value]) => `${figure} ${value.toPrecision(6)}`)
  const failed = problems.length === 0 ? '' : `  FAILED: ${problems.slice(0, 5).join('; ')}`
  return `  ${name}: ${told.join(', ')}; broker ${share(brokerCpuMs)}, load ${share(loadCpuMs)}${failed}`
}

async function bench(options: Options): Promise<boolean> {
  console.log(machine())
  const rows: Row[] = []
  const failures: string[] = []
  for (const scenario of options.scenarios) {
    // A cluster is compared with nobody.
    const alone = options.against === null || (scenario.stage?.boxes ?? 0) > 0
    const names = alone ? [OWN] : [OWN, options.against!]
    for (const version of options.versions) {
      const outcomes = new Map(names.map((name) => [name, [] as Outcome[]]))
      let failed = false
      for (let round = 0; round < options.rounds; round++) {
        console.log(`${scenario.name}, MQTT ${version === 5 ? '5' : '3.1.1'}, round ${round + 1} of ${options.rounds}`)
        for (const name of round % 2 === 0 ? names : names.toReversed()) {
          try {
            const outcome = await run(options, name, scenario, version)
            console.log(line(name, outcome))
            outcomes.get(name)!.push(outcome)
            failed ||= outcome.problems.length > 0
          } catch (error) {
            console.log(`  ${name}: FAILED: ${(error as Error).message}`)
            failed = true
          }
        }
      }
      if (failed) failures.push(`${scenario.name}, MQTT ${version === 5 ? '5' : '3.1.1'}`)
      else rows.push(...rowsOf(scenario, version, outcomes.get(OWN)!, outcomes.get(names[1] ?? '') ?? []))
    }
  }
  console.log(`\n${table(rows, options.against)}\n`)
  for (const said of [...cautions(rows), ...versionCosts(rows)]) console.log(said)
  if (options.scale < 1) console.log(`made smaller (--scale ${options.scale}): these figures mean nothing`)
  for (const failure of failures) console.log(`FAILED, no figures: ${failure}`)
  return failures.length === 0
}

try {
  const options = readOptions(process.argv.slice(2), Object.keys(brokers), availableParallelism())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  if (options.list) for (const { name, title } of scenarios) console.log(`${name.padEnd(18)} ${title}`)
  else process.exitCode = (await bench(options)) ? 0 : 1
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(`${error.message}\n${HELP}`)
  process.exitCode = 64
}
