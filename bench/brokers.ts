// The brokers that are measured: each started fresh, in a directory of its own, on one core.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pause } from './measuring.ts'

const START_MS_MAX = 20_000
const STOP_MS_MAX = 5000

interface Call {
  readonly command: string
  readonly args: readonly string[]
}

/** How each is started; queues are long enough for what is queued here, as nothing may be dropped. */
export const brokers: Readonly<Record<string, (directory: string, port: number) => Call>> = {
  'edge-mqtt': (directory, port) => {
    const settings = [
      'cluster.enabled=false',
      'listeners.mqtts.enabled=false',
      'listeners.ws.enabled=false',
      'listeners.wss.enabled=false',
      'listeners.mqtt.bind=127.0.0.1',
      `listeners.mqtt.port=${port}`,
      'auth.anonymous=always',
      'sessions.queue.max_messages=1000000',
      'sessions.queue.max_bytes=1GiB',
    ]
    const set = settings.flatMap((setting) => ['--set', setting])
    return { command: process.execPath, args: [resolve('dist/main.js'), 'start', '--data-dir', directory, ...set] }
  },
  mosquitto: (directory, port) => {
    const settings = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence false',
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
  readonly pid: number
  readonly #child: ChildProcess
  readonly #directory: string
  readonly #ended: Promise<void>

  private constructor(child: ChildProcess, directory: string, ended: Promise<void>) {
    this.pid = child.pid!
    this.#child = child
    this.#directory = directory
    this.#ended = ended
    process.on('exit', this.#kill)
  }

  /** Resolves when it accepts connections. */
  static async start(name: string, port: number, core: number): Promise<Broker> {
    if (await answers(port)) throw new Error(`port ${port} is taken: give another one with --port`)
    const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-bench-'))
    const { command, args } = brokers[name]!(directory, port)
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
    const broker = new Broker(child, directory, ended)
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
    rmSync(this.#directory, { recursive: true, force: true })
  }

  readonly #kill = (): void => {
    this.#child.kill('SIGKILL')
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
