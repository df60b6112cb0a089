// The fuzzer by hand:
//   npm run fuzz -- --seconds N [--seed S]        against brokers in this process, on a virtual clock
//   npm run fuzz -- --seed S --round R            one round of it again
//   ... --tcp HOST:PORT | --ws ws://HOST:PORT/PATH   against a running daemon

import { parseArgs } from 'node:util'
import { Round } from './memory.ts'
import { fuzzSockets } from './sockets.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    round: { type: 'string' },
    tcp: { type: 'string' },
    ws: { type: 'string' },
  },
})
const MISSIONS = 300
const MiB = 1024 * 1024
const collect = (globalThis as { gc?: () => void }).gc

const until = performance.now() + Number(values.seconds) * 1000
const began = performance.now()
let packets = 0
let rounds = 0
const problems: string[] = []

if (values.tcp !== undefined || values.ws !== undefined) {
  const told = await fuzzSockets({ tcp: values.tcp, ws: values.ws, seed: values.seed, until })
  packets = told.packets
  rounds = told.missions
  problems.push(...told.problems)
} else {
  const first = values.round === undefined ? 0 : Number(values.round)
  for (let round = first; performance.now() < until && problems.length === 0; round++) {
    const result = new Round(`seed ${values.seed}, round ${round}`, round % 3 === 2).run(MISSIONS)
    packets += result.packets
    rounds++
    problems.push(...result.problems)
    if (values.round !== undefined) break
  }
}
collect?.()
const seconds = (performance.now() - began) / 1000
const heap = Math.round(process.memoryUsage().heapUsed / MiB)
console.log(`${packets} packets in ${rounds} rounds, ${Math.round(packets / seconds)} a second, heap ${heap} MiB`)
for (const problem of problems) console.log(problem)
console.log(problems.length === 0 ? 'nothing found' : `${problems.length} found`)
process.exit(problems.length === 0 ? 0 : 1)
