// A process of its own for thousands of clients that connect at once: what it computes does not hold up who measures.
// Takes port, version and number as arguments, sends how many were refused, and stays until it is ended.

import { Client } from './client.ts'
import { each } from './measuring.ts'
import type { Version } from './mqtt.ts'

const AT_ONCE = 500

const [port, version, clients] = process.argv.slice(2).map(Number)
const refused: string[] = []
const connected: Client[] = []
await each(clients!, AT_ONCE, async (index) => {
  try {
    connected.push(await Client.open(port!, version as Version, `crowd-${index}`))
  } catch (error) {
    refused.push((error as Error).message)
  }
})
process.on('message', () => {
  const lost = connected.flatMap(({ problem }) => (problem === null ? [] : [problem]))
  process.send!([...refused, ...lost].slice(0, 5), () => process.exit(0))
})
process.send!([])
