// The brokers that are measured: each started fresh, in a directory of its own, on one core.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { program, settingsOf } from './boxes.ts'
import { pause } from './measuring.ts'

const START_MS_MAX = 20_000
const STOP_MS_MAX = 5000

interface Call {
  readonly command: string
  readonly args: readonly string[]
}

/** How each is started; queues and windows are long enough for what is kept here, as nothing may be dropped. */
export const brokers: Readonly<Record<string, (directory: string, port: number, persistence: boolean) => Call>> = {
  // With persistence is how it comes.
  'edge-mqtt': (directory, port) => {
    const set = ['cluster.enabled=false', ...settingsOf(port)].flatMap((setting) => ['--set', setting])
    return { command: process.execPath, args: [program, 'start', '--data-dir', directory, ...set] }
  },
  mosquitto: (directory, port, persistence) => {
    const settings = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      ...(persistence ? ['persistence true', `persistence_location ${directory}/`] : ['persistence false']),
      'max_queued_messages 0',
      'max_inflight_messages 0',
      'set_tcp_nodelay true',
      'log_type error',
      ...(process.getuid?.() === 0 ? ['user root'] : []),
    ]
    const file = join(directory, 'mosquitto.conf')
    writeFileSync(file, `${settings.join('\n')}\n`)
    return { command: 'mosquitto', args: ['-c', file] }
  },
}

const answers = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => done(true))
    socket.once('error', () => done(false))
    socket.once('connect', () => socket.destroy())
  })

export class Broker {
  readonly port: number
  readonly pid: number
  readonly directory: string
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  private constructor(port: number, child: ChildProcess, directory: string, ended: Promise<void>) {
    this.port = port
    this.pid = child.pid!
    this.#child = child
    this.directory = directory
    this.#ended = ended
    process.on('exit', this.#kill)
  }

  /** Resolves when it accepts connections. */
  static async start(name: string, port: number, core: number, persistence: boolean): Promise<Broker> {
    if (await answers(port)) throw new Error(`port ${port} is taken: give another one with --port`)
    const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-bench-'))
    const { command, args } = brokers[name]!(directory, port, persistence)
    // taskset becomes the broker: its process id is the broker's.
    const child = spawn('taskset', ['-c', `${core}`, command, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.on('data', (text: Buffer) => {
      said = (said + text).slice(-2000)
    })
    let over = false
    const ended = new Promise<void>((done) => {
      child.once('error', (error) => {
        said += error.message
      })
      child.once('close', () => {
        over = true
        done()
      })
    })
    const broker = new Broker(port, child, directory, ended)
    for (const endMs = performance.now() + START_MS_MAX; !(await answers(port)); await pause(20)) {
      if (over || performance.now() > endMs) {
        await broker.stop()
        throw new Error(`${name} did not start: ${said.trim() || 'it says nothing'}`)
      }
    }
    return broker
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX)
    await this.#ended
    clearTimeout(timer)
    process.off('exit', this.#kill)
    rmSync(this.directory, { recursive: true, force: true })
  }

  readonly #kill = (): void => {
    this.#child.kill('SIGKILL')
    rmSync(this.directory, { recursive: true, force: true })
  }
}
