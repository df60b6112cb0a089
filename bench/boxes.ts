// Boxes of ours: each one daemon in a directory of its own, on loopback, all of one cluster, found by address.

import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { constants, setPriority, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { NodeStatus } from '../src/compose.ts'
import { pause } from './measuring.ts'

const START_MS_MAX = 20_000
const LINK_MS_MAX = 30_000
const STOP_MS_MAX = 5000
const ANSWER_MS_MAX = 10_000
/** The cluster port of a box is so far from its MQTT port. */
const CLUSTER_PORT_FROM = 100
const LOOK_MS = 5

/** Settings that every measured daemon of ours has; queues and windows are as large as the other broker's. */
export const settingsOf = (port: number): string[] => [
  'listeners.mqtts.enabled=false',
  'listeners.ws.enabled=false',
  'listeners.wss.enabled=false',
  'listeners.mqtt.bind=127.0.0.1',
  `listeners.mqtt.port=${port}`,
  'auth.anonymous=always',
  'limits.max_inflight=65535',
  'sessions.queue.max_messages=1000000',
  'sessions.queue.max_bytes=1GiB',
]

export const program = resolve('dist/main.js')

/** Asked at its socket, as `edge-mqtt status` does. */
function statusOf(directory: string): Promise<NodeStatus> {
  return new Promise((done, failed) => {
    let said = ''
    const socket = connect(join(directory, 'run/status.sock'))
    socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error('no answer at its socket')))
    socket.on('connect', () => socket.write('{"edge-mqtt":1,"command":"status"}\n'))
    socket.on('data', (text: Buffer) => {
      said += text
    })
    socket.on('error', failed)
    socket.on('close', () => {
      try {
        done((JSON.parse(said) as { readonly result: NodeStatus }).result)
      } catch {
        failed(new Error(`its socket says: ${said.slice(0, 200)}`))
      }
    })
  })
}

export interface BoxPlan {
  readonly port: number
  /** MQTT ports of the boxes it is to link with; the first of a cluster has none. */
  readonly peers: readonly number[]
  /** The directory of a box whose cluster it is to be a member of; null: it makes one. */
  readonly like: string | null
  readonly settings?: readonly string[]
  /** The core it runs on; null: that of this process. */
  readonly core: number | null
  /** With low priority. */
  readonly low?: boolean
}

export class Box {
  readonly port: number
  readonly pid: number
  readonly directory: string
  /** From its start until it says that it is ready. */
  readonly readyMs: number
  readonly #child: ChildProcess
  readonly #kill: () => void

  private constructor(plan: BoxPlan, directory: string, child: ChildProcess, readyMs: number) {
    this.port = plan.port
    this.pid = child.pid!
    this.directory = directory
    this.readyMs = readyMs
    this.#child = child
    this.#kill = () => child.kill('SIGKILL')
    process.on('exit', this.#kill)
  }

  /** Resolves when it is ready and of a cluster; `directory` of an earlier run, or a new one. */
  static async start(plan: BoxPlan, directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-bench-'))): Promise<Box> {
    const certs = join(directory, 'certs')
    if (plan.like !== null && !existsSync(certs)) {
      mkdirSync(certs)
      // As its operator would: the CA that the first box has made.
      for (const file of ['ca.crt', 'ca.key']) copyFileSync(join(plan.like, 'state', file), join(certs, file))
    }
    const peers = plan.peers.map((port) => `127.0.0.1:${port + CLUSTER_PORT_FROM}`).join(',')
    const settings = [
      ...settingsOf(plan.port),
      `node.name=bench-${plan.port}`,
      'cluster.bind=127.0.0.1',
      `cluster.port=${plan.port + CLUSTER_PORT_FROM}`,
      'cluster.discovery.beacon.enabled=false',
      'cluster.discovery.mdns.enabled=false',
      ...(peers === '' ? [] : [`cluster.discovery.peers=${peers}`]),
      ...(plan.settings ?? []),
    ]
    const args = [program, 'start', '--data-dir', directory, ...settings.flatMap((setting) => ['--set', setting])]
    if (plan.like === null) args.push('--new-cluster')
    const command = plan.core === null ? [] : ['taskset', '-c', `${plan.core}`]
    const [first, ...rest] = [...command, process.execPath, ...args]
    const startMs = performance.now()
    const child = spawn(first!, rest, { stdio: ['ignore', 'ignore', 'pipe'] })
    if (plan.low === true && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL)
    let said = ''
    child.stderr!.on('data', (text: Buffer) => {
      said = (said + text).slice(-2000)
    })
    let readyMs = 0
    for (const endMs = startMs + START_MS_MAX; ; await pause(LOOK_MS)) {
      const status = await statusOf(directory).catch(() => null)
      if (readyMs === 0 && status?.node.state === 'ready') readyMs = performance.now() - startMs
      // The first of a cluster makes its CA meanwhile.
      if (readyMs > 0 && (status?.cluster.id ?? null) !== null) break
      if (child.exitCode === null && performance.now() < endMs) continue
      child.kill('SIGKILL')
      throw new Error(`a box did not start: ${said.trim() || 'it says nothing'}`)
    }
    return new Box(plan, directory, child, readyMs)
  }

  status(): Promise<NodeStatus> {
    return statusOf(this.directory)
  }

  async linkedWith(others: number): Promise<void> {
    for (const endMs = performance.now() + LINK_MS_MAX; ; await pause(LOOK_MS * 4)) {
      const { cluster } = await this.status()
      if (cluster.members.filter(({ self, linked }) => !self && linked).length === others) return
      if (performance.now() > endMs) throw new Error(`a box is not linked with ${others} others`)
    }
  }

  /** `kept`: its directory is for another run. */
  async stop(kept = false): Promise<void> {
    const ended = new Promise<void>((done) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) done()
      else this.#child.once('close', () => done())
    })
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX)
    await ended
    clearTimeout(timer)
    process.off('exit', this.#kill)
    if (!kept) rmSync(this.directory, { recursive: true, force: true })
  }
}

/** A cluster of so many boxes on one core, all linked. */
export class Boxes {
  readonly boxes: readonly Box[]

  private constructor(boxes: readonly Box[]) {
    this.boxes = boxes
  }

  static async start(count: number, port: number, core: number, settings: readonly string[]): Promise<Boxes> {
    const boxes: Box[] = []
    try {
      for (let index = 0; index < count; index++) {
        const like = boxes[0]?.directory ?? null
        const peers = boxes.map((box) => box.port)
        boxes.push(await Box.start({ port: port + index, peers, like, settings, core }))
      }
      for (const box of boxes) await box.linkedWith(count - 1)
    } catch (error) {
      for (const box of boxes) await box.stop()
      throw error
    }
    return new Boxes(boxes)
  }

  async stop(): Promise<void> {
    await Promise.all(this.boxes.map((box) => box.stop()))
  }
}
