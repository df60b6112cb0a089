// Missions against a running daemon over TCP or WebSocket.

import { connect as connectTcp } from 'node:net'
import { defaultBrokerSettings } from '../../src/broker/settings.ts'
import { Dice } from '../sim/random.ts'
import { pieces } from './memory.ts'
import { mission, type Outcome, type Reply, type Step } from './mission.ts'

export interface SocketsOptions {
  readonly tcp: string | undefined
  readonly ws: string | undefined
  readonly seed: string
  /** When to stop, on the clock of `performance.now`. */
  readonly until: number
}

/** One connection, whatever carries it. */
interface Carrier {
  send(bytes: Buffer): void
  close(): void
}

type Open = (received: (bytes: Buffer) => void, closed: () => void) => Promise<Carrier>

const STUCK_MS = 5000
/** What the oracle knows nothing more about is given this long, then left. */
const UNSURE_MS = 200
const { limits } = defaultBrokerSettings
const LIMITS = {
  packetBytes: limits.maxPacketSize,
  receiveMaximum: limits.maxInflight,
  aliasMaximum: limits.maxTopicAlias,
  answersLater: true,
}

export async function fuzzSockets(
  options: SocketsOptions,
): Promise<{ packets: number; missions: number; problems: string[] }> {
  const open = options.ws === undefined ? tcp(options.tcp!) : webSocket(options.ws)
  const outcome: Outcome = { packets: 0, findings: [], retained: new Set(), unfollowed: false }
  let missions = 0
  for (; performance.now() < options.until && outcome.findings.length === 0; missions++) {
    const dice = new Dice(`seed ${options.seed}, mission ${missions}`)
    await play(mission(dice, `fuzz-${process.pid}-${missions}`, LIMITS, outcome), dice, open)
  }
  const problems = outcome.findings.map(
    ({ problem, sent, step, reply }) =>
      `mission ${missions - 1}: ${problem}\n  before: ${sent}\n  sent: ${step}\n  reply: ${reply}`,
  )
  return { packets: outcome.packets, missions, problems }
}

async function play(steps: Generator<Step, void, Reply>, dice: Dice, open: Open): Promise<void> {
  let carrier: Carrier | null = null
  let received: Buffer[] = []
  let closed = false
  let changed = () => {}
  let reply: Reply = { bytes: Buffer.alloc(0), closed: false }
  for (let next = steps.next(reply); !next.done; next = steps.next(reply)) {
    const step = next.value
    if (step.do === 'drop') {
      carrier?.close()
      carrier = null
    } else if (step.do === 'connect') {
      carrier?.close()
      received = []
      closed = false
      const mine = received
      carrier = await open(
        (bytes) => {
          mine.push(bytes)
          changed()
        },
        () => {
          if (mine === received) closed = true
          changed()
        },
      )
    } else {
      for (const piece of pieces(dice, step.bytes)) carrier?.send(Buffer.from(piece))
      const deadline = performance.now() + STUCK_MS
      const waiting = () => !step.settled(Buffer.concat(received), closed) && performance.now() < deadline
      while (waiting()) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, UNSURE_MS)
          changed = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      reply = { bytes: Buffer.concat(received.splice(0)), closed }
    }
  }
  carrier?.close()
}

function tcp(at: string): Open {
  const [host, port] = at.split(':')
  return (received, closed) =>
    new Promise((resolve, reject) => {
      const socket = connectTcp(Number(port), host, () =>
        resolve({ send: (bytes) => socket.write(bytes), close: () => socket.destroy() }),
      )
      socket.setNoDelay()
      socket.on('error', reject)
      socket.on('data', received)
      socket.on('close', closed)
    })
}

function webSocket(url: string): Open {
  return async (received, closed) => {
    const { default: WebSocket } = await import('ws')
    const socket = new WebSocket(url, 'mqtt')
    await new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    socket.on('message', (bytes: Buffer) => received(bytes))
    socket.on('error', () => {})
    socket.on('close', closed)
    return { send: (bytes) => socket.send(bytes), close: () => socket.terminate() }
  }
}
