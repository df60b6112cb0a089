// One edge-mqtt daemon of a test LAN: the built program, started as an operator would, watched over its own sockets.

import { type ChildProcess, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { NodeStatus } from '../../src/compose.ts'
import { type Lan, until } from './lan.ts'
import { STATUS_MS, statusFrom } from './status.ts'

export const program = resolve(import.meta.dirname, '../../dist/main.js')

export interface GatewayOptions {
  /** A CA to put into certs/: files ca.crt and ca.key of this directory. */
  readonly certs?: string
  readonly set?: Readonly<Record<string, string | number | boolean>>
  /** Arguments behind `start`. */
  readonly args?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** A program that runs the daemon, for example faketime with its arguments. */
  readonly under?: readonly string[]
}

let gateways = 0

export class Gateway {
  readonly lan: Lan
  readonly place: number
  readonly dataDir: string
  readonly #options: GatewayOptions
  #child: ChildProcess | null = null
  #log = ''

  /** `place` is the namespace it runs in; several gateways may share one. */
  constructor(lan: Lan, place: number, options: GatewayOptions = {}) {
    this.lan = lan
    this.place = place
    this.#options = options
    this.dataDir = join(lan.directory, `gw-${place}-${gateways++}`)
    mkdirSync(join(this.dataDir, 'certs'), { recursive: true })
    if (options.certs !== undefined) {
      execFileSync('sh', ['-c', `cp '${options.certs}'/ca.crt '${options.certs}'/ca.key '${this.dataDir}/certs/'`])
    }
  }

  /** What it has logged since the last start. */
  get log(): string {
    return this.#log
  }

  get pid(): number {
    return this.#child!.pid!
  }

  start(more: Readonly<Record<string, string | number | boolean>> = {}): this {
    const set = {
      'node.name': `gw-${this.place}`,
      'auth.anonymous': 'always',
      'log.format': 'json',
      ...this.#options.set,
      ...more,
    }
    const settings = Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`])
    const command = [
      ...(this.#options.under ?? []),
      process.execPath,
      program,
      'start',
      '--data-dir',
      this.dataDir,
      ...settings,
      ...(this.#options.args ?? []),
    ]
    this.#log = ''
    this.#child = this.lan.spawn(this.place, command[0]!, command.slice(1), this.#options.env)
    const keep = (bytes: Buffer) => {
      this.#log += bytes.toString()
    }
    this.#child.stdout!.on('data', keep)
    this.#child.stderr!.on('data', keep)
    return this
  }

  /** The daemon's own account of itself: what `edge-mqtt status` prints, asked without starting Node.js each time. */
  status(): NodeStatus {
    return statusFrom((...command) =>
      execFileSync(command[0], [...command.slice(1), join(this.dataDir, 'run/status.sock')], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: STATUS_MS,
      }),
    )
  }

  command(...args: string[]): string {
    return execFileSync(process.execPath, [program, ...args, '--data-dir', this.dataDir], { encoding: 'utf8' })
  }

  /** It takes a second of computing, which a busy machine may not have to give for a while. */
  async ready(withinMs = 45_000): Promise<this> {
    await until(`${this.dataDir} is ready`, withinMs, () => {
      if (this.#child!.exitCode !== null) throw new Error(`exited with ${this.#child!.exitCode}: ${this.#log}`)
      if (!existsSync(join(this.dataDir, 'run/status.sock'))) throw new Error(`no socket yet: ${this.#log}`)
      const { state } = this.status().node
      if (state !== 'ready') throw new Error(`${state}: ${this.#log}`)
      return true
    })
    return this
  }

  /** Waits until it is linked with exactly `others` living members. */
  async linkedWith(others: number, withinMs: number): Promise<void> {
    await until(`${this.dataDir} linked with ${others}`, withinMs, () => this.links() === others)
  }

  links(): number {
    return this.status().cluster.members.filter((member) => !member.self && member.linked).length
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM; resolves with the exit status and how long it took. */
  async stop(): Promise<{ status: number | null; tookMs: number }> {
    const start = performance.now()
    const status = await this.#end('SIGTERM')
    return { status, tookMs: performance.now() - start }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child!.kill(signal)
  }

  writeConfiguration(yaml: string): void {
    writeFileSync(join(this.dataDir, 'edge-mqtt.yaml'), yaml)
  }

  /** Resolves with the exit status when it ends by itself. */
  async exit(): Promise<number | null> {
    const child = this.#child!
    if (child.exitCode !== null) return child.exitCode
    return new Promise((resolve) => child.once('exit', (status) => resolve(status)))
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child!
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const ended = new Promise<number | null>((resolve) => child.once('exit', (status) => resolve(status)))
    child.kill(signal)
    return ended
  }
}
