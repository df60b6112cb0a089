// COUNT devices connect at once with one account, as after a power cut of a site, while a paced flow of messages runs between
// two clients that are there already: how long its messages take before and meanwhile. Prints each round, then the medians.
//   npm run stampede [-- --rounds 5 --count 5000 --rate 2000 --at-once 500]
// Starts the built daemon on loopback. Flow and crowd are processes of their own and speak bytes, so that it is the broker
// that is measured; what they cost the machine beside it is in the figures all the same.

import { execFileSync, fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    count: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '2000' },
    'at-once': { type: 'string', default: '500' },
    port: { type: 'string', default: '21885' },
  },
})
const port = Number(values.port)
const [NAME, PASSWORD] = ['crowd', 'crowd-secret']
/** The flow's messages go out so often, as many at a time as its rate takes. */
const PACE_MS = 5
const CALM_MS = 3000

const text = (value: string): Buffer =>
  Buffer.concat([Buffer.from([value.length >> 8, value.length & 0xff]), Buffer.from(value)])
const packet = (first: number, ...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return Buffer.concat([Buffer.from([first, ...length]), body])
}

/** A connection whose CONNACK has come. */
const joined = (id: string): Promise<Socket> =>
  new Promise((done, failed) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const hello = [text('MQTT'), Buffer.from([4, 0xc2, 0, 0]), text(id), text(NAME), text(PASSWORD)]
    socket.once('connect', () => socket.write(packet(0x10, ...hello)))
    socket.once('data', (bytes) => (bytes[3] === 0 ? done(socket) : failed(new Error(`refused: ${bytes[3]}`))))
    socket.once('error', failed)
  })

interface Delays {
  readonly messages: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Runs until it is told to say what the messages took since it was asked last. */
async function flow(): Promise<void> {
  const [reader, writer] = [await joined('flow-reader'), await joined('flow-writer')]
  reader.write(packet(0x82, Buffer.from([0, 1]), text('flow'), Buffer.from([0])))
  await new Promise((done) => reader.once('data', done))
  const message = packet(0x30, text('flow'), Buffer.alloc(8))
  let delays: number[] = []
  let kept = Buffer.alloc(0)
  reader.on('data', (bytes: Buffer) => {
    const nowMs = performance.now()
    kept = Buffer.concat([kept, bytes])
    for (; kept.length >= message.length; kept = kept.subarray(message.length)) {
      delays.push(nowMs - kept.readDoubleBE(message.length - 8))
    }
  })
  const each = Math.round((Number(values.rate) * PACE_MS) / 1000)
  setInterval(() => {
    const sent = Buffer.alloc(message.length * each)
    for (let at = 0; at < sent.length; at += message.length) {
      message.copy(sent, at)
      sent.writeDoubleBE(performance.now(), at + message.length - 8)
    }
    writer.write(sent)
  }, PACE_MS)
  process.on('message', () => {
    const sorted = delays.sort((a, b) => a - b)
    delays = []
    const at = (part: number) =>
      Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN).toFixed(2))
    process.send!({ messages: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) } satisfies Delays)
  })
  process.send!('runs')
}

/** All connect and stay; so many are under way at once. */
async function crowd(): Promise<void> {
  const count = Number(values.count)
  const startMs = performance.now()
  let begun = 0
  let refused = 0
  const one = async () => {
    while (begun < count) {
      try {
        await joined(`device-${begun++}`)
      } catch {
        refused++
      }
    }
  }
  await Promise.all(Array.from({ length: Number(values['at-once']) }, one))
  process.send!({ refused, ms: Math.round(performance.now() - startMs) })
  setInterval(() => {}, 1000)
}

const role = (name: string) => fork(process.argv[1]!, process.argv.slice(2), { env: { ...process.env, ROLE: name } })
const heard = <T>(child: ReturnType<typeof fork>): Promise<T> =>
  new Promise((done, failed) => {
    child.once('message', (message) => done(message as T))
    child.once('exit', (status) => failed(new Error(`ended with ${status}`)))
  })

interface Round {
  readonly before: Delays
  readonly meanwhile: Delays
  readonly connectMs: number
  readonly refused: number
}

async function round(): Promise<Round> {
  const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-stampede-'))
  const program = resolve('dist/main.js')
  const off = ['cluster.enabled', 'listeners.mqtts.enabled', 'listeners.ws.enabled'].flatMap((key) => [
    '--set',
    `${key}=false`,
  ])
  const set = [...off, '--set', 'listeners.wss.enabled=false', '--set', `listeners.mqtt.port=${port}`]
  const daemon = spawn(process.execPath, [program, 'start', '--data-dir', directory, ...set], { stdio: 'ignore' })
  const children = [daemon]
  try {
    for (let tries = 0; ; tries++) {
      try {
        const add = [program, 'user', 'add', NAME, '--data-dir', directory]
        execFileSync(process.execPath, add, { input: PASSWORD, stdio: ['pipe', 'ignore', 'pipe'] })
        break
      } catch (error) {
        if (tries === 50) throw error
        await new Promise((done) => setTimeout(done, 200))
      }
    }
    const flowing = role('flow')
    children.push(flowing)
    await heard(flowing)
    const asked = (): Promise<Delays> => {
      const answer = heard<Delays>(flowing)
      flowing.send('say')
      return answer
    }
    await asked()
    await new Promise((done) => setTimeout(done, CALM_MS))
    const before = await asked()
    const coming = role('crowd')
    children.push(coming)
    const { refused, ms } = await heard<{ refused: number; ms: number }>(coming)
    return { before, meanwhile: await asked(), connectMs: ms, refused }
  } finally {
    for (const child of children) child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
}

const median = (figures: readonly number[]): number =>
  figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)]!

async function main(): Promise<void> {
  const rounds: Round[] = []
  for (let count = 0; count < Number(values.rounds); count++) {
    rounds.push(await round())
    console.log(JSON.stringify(rounds.at(-1)))
  }
  const of = (figure: (each: Round) => number) => median(rounds.map(figure))
  console.log(
    `medians of ${rounds.length}: p99 ${of(({ meanwhile }) => meanwhile.p99)} ms while ${values.count} connect ` +
      `within ${of(({ connectMs }) => connectMs)} ms, ${of(({ before }) => before.p99)} ms before; ` +
      `refused: ${rounds.reduce((sum, { refused }) => sum + refused, 0)}`,
  )
  process.exit(0)
}

const roles: Readonly<Record<string, () => Promise<void>>> = { flow, crowd, main }
await roles[process.env['ROLE'] ?? 'main']!()
