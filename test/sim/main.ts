// The simulator by hand:
//   npm run sim -- --seeds N [--from S] [--jobs J]     runs N seeds from S on, on all cores
//   npm run sim -- --seed S [--trace]                  runs one, with everything that happened in it
//   --promise NAME ...                                 demands more than what holds so far (`promises.ts`)

import { fork } from 'node:child_process'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { isPromise, PROMISES } from './promises.ts'
import { replay, simulate } from './simulate.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    jobs: { type: 'string' },
    trace: { type: 'boolean' },
    promise: { type: 'string', multiple: true },
    // For the processes that this one starts.
    step: { type: 'string' },
  },
})

const number = (text: string | undefined, otherwise: number): number => {
  const value = text === undefined ? otherwise : Number(text)
  if (!Number.isSafeInteger(value) || value < 0) {
    console.error(`${text} is not a whole number`)
    process.exit(2)
  }
  return value
}

for (const name of values.promise ?? []) {
  if (isPromise(name)) continue
  console.error(`${name} is no promise; there are ${Object.keys(PROMISES).join(', ')}`)
  process.exit(2)
}
const promises = (values.promise ?? []).filter(isPromise)

interface Tally {
  readonly seeds: number
  readonly failed: readonly { seed: number; problems: readonly string[] }[]
  readonly millis: readonly number[]
  readonly due: number
  readonly crossed: number
  readonly acknowledged: number
  readonly shared: number
  readonly orphaned: number
  readonly silences: number
}

function runRange(from: number, count: number, step: number): Tally {
  const failed: { seed: number; problems: readonly string[] }[] = []
  const millis: number[] = []
  let due = 0
  let crossed = 0
  let acknowledged = 0
  let shared = 0
  let orphaned = 0
  let silences = 0
  for (let index = 0; index < count; index += step) {
    const began = performance.now()
    const { seed, problems, facts } = simulate(from + index, { promises })
    millis.push(performance.now() - began)
    due += facts.due
    crossed += facts.crossed
    acknowledged += facts.acknowledged
    shared += facts.shared
    orphaned += facts.orphaned
    silences += facts.silencesJudged
    if (problems.length > 0) failed.push({ seed, problems })
  }
  return { seeds: millis.length, failed, millis, due, crossed, acknowledged, shared, orphaned, silences }
}

function report(tallies: readonly Tally[], elapsedMs: number): void {
  const failed = tallies.flatMap((tally) => tally.failed).sort((a, b) => a.seed - b.seed)
  const millis = tallies.flatMap((tally) => tally.millis).sort((a, b) => a - b)
  const sum = (of: (tally: Tally) => number): number => tallies.reduce((total, tally) => total + of(tally), 0)
  for (const { seed, problems } of failed) {
    console.log(`seed ${seed}: ${problems.length} problems; again: ${replay(seed)}`)
    for (const problem of problems.slice(0, 5)) console.log(`    ${problem}`)
  }
  const seeds = millis.length
  const median = millis[Math.floor(seeds / 2)] ?? 0
  console.log(
    `${seeds} seeds, ${failed.length} failed, ${((seeds / elapsedMs) * 1000).toFixed(1)} seeds per second, ` +
      `median ${median.toFixed(1)} ms; ${sum((one) => one.due)} deliveries due, ` +
      `${sum((one) => one.crossed)} across boxes, ` +
      `${sum((one) => one.acknowledged)} acknowledged, ${sum((one) => one.shared)} for groups, ` +
      `${sum((one) => one.orphaned)} wills of dead boxes, ` +
      `${sum((one) => one.silences)} silences judged`,
  )
  if (failed.length > 0) console.log(`failing seeds: ${failed.map(({ seed }) => seed).join(' ')}`)
  process.exitCode = failed.length > 0 ? 1 : 0
}

function runOne(seed: number, trace: boolean): void {
  const { problems, facts } = simulate(seed, { promises, ...(trace ? { trace: (line) => console.log(line) } : {}) })
  console.log(JSON.stringify(facts, null, 2))
  for (const problem of problems) console.log(`PROBLEM ${problem}`)
  console.log(problems.length === 0 ? `seed ${seed}: no problem` : `seed ${seed}: ${problems.length} problems`)
  process.exitCode = problems.length > 0 ? 1 : 0
}

function runMany(from: number, count: number, jobs: number): void {
  const began = performance.now()
  const tallies: Tally[] = []
  let left = jobs
  let died = false
  for (let job = 0; job < jobs; job++) {
    const share = ['--from', String(from + job), '--seeds', String(count - job), '--step', String(jobs)]
    share.push(...promises.flatMap((name) => ['--promise', name]))
    const child = fork(fileURLToPath(import.meta.url), share)
    child.on('message', (tally) => tallies.push(tally as Tally))
    child.on('exit', (code) => {
      left--
      died ||= code !== 0
      if (left > 0) return
      report(tallies, performance.now() - began)
      if (died) console.log('not all seeds were run: a process of the simulator died (see above)')
      if (died) process.exitCode = 1
    })
  }
}

const from = number(values.from, 1)
const seeds = number(values.seeds, 300)
if (values.seed !== undefined) {
  runOne(number(values.seed, 1), values.trace === true)
} else if (values.step !== undefined) {
  process.send?.(runRange(from, seeds, number(values.step, 1)))
} else {
  runMany(from, seeds, Math.max(1, Math.min(number(values.jobs, cpus().length), seeds)))
}
