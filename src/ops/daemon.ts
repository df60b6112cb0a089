// The life of the daemon: start, serve, reload, stop. One node, its log, its control sockets and the signals.

import { Bug, HostError } from '../base/errors.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { HardwareTies } from '../cluster/settings.ts'
import type { Node, NodeSettings } from '../compose.ts'
import { accountCommands } from './auth/commands.ts'
import { ThreadDeriver } from './auth/deriver.ts'
import { Gate, type GateSettings } from './auth/gate.ts'
import { KeptDevices } from './auth/keptdevices.ts'
import { certificateCommands } from './certificates.ts'
import { timeCommands } from './clustertime.ts'
import type { Configuration } from './config/schema.ts'
import { nodeSettings } from './config/settings.ts'
import { type Commands, ControlServer } from './control/server.ts'
import { prepareDirectories } from './directories.ts'
import { enrolmentCommands } from './enrolment.ts'
import { Ending, Exit, type ExitStatus, exitStatusOf } from './exit.ts'
import { chooseFormat, openSink, outputWorld, ProcessLog } from './log.ts'
import { openVoice } from './notify.ts'
import { retainedCommands } from './retained.ts'
import { type Plan, readPlan, type StartOptions } from './start.ts'
import { Supervision, watchdogMs } from './supervision.ts'
import { trustCommands } from './trust.ts'
import { version } from './version.ts'
import type { World } from './world.ts'

/** A clean stop takes this long at most, whatever hangs. */
const STOP_MS = 2_000
/** `npm start` hands a terminal's Ctrl-C on as a second signal: one that follows at once is the same wish. */
const SAME_WISH_MS = 500

/** Runs a node until it is told to stop; resolves with the exit status. */
export async function runDaemon(options: StartOptions, world: World, sink = openSink): Promise<ExitStatus> {
  const plan = await readPlan(options, world)
  prepareDirectories(plan.places)
  const { level, format } = plan.configuration.log
  const log = new ProcessLog(await sink(chooseFormat(format, outputWorld())), level)
  const voice = openVoice(process.env, log.log)
  const supervision = new Supervision(voice, watchdogMs(process.env, process.pid))
  const daemon = new Daemon(options, plan, world, log, supervision)
  try {
    return await daemon.run()
  } catch (error) {
    if (!(error instanceof HostError)) throw error
    supervision.failed(error.message)
    throw new Ending(exitStatusOf(error), error.message)
  } finally {
    daemon.close()
    await voice.close()
  }
}

class Daemon {
  readonly #options: StartOptions
  readonly #world: World
  readonly #log: ProcessLog
  readonly #control: ControlServer
  readonly #supervision: Supervision
  #plan: Plan
  #gate: GateSettings
  #node: Node | null = null
  #hardware: HardwareTies | null = null
  readonly #deriver = new ThreadDeriver()
  #devices: KeptDevices | null = null
  #stopping: { readonly sinceMs: number } | null = null
  #stopped: () => void = () => {}
  readonly #untilStopped = new Promise<void>((resolve) => {
    this.#stopped = resolve
  })
  #made: (node: Node) => void = () => {}
  readonly #composed = new Promise<Node>((resolve) => {
    this.#made = resolve
  })
  readonly #handlers: readonly [NodeJS.Signals, () => void][] = [
    ['SIGTERM', () => this.#stop('SIGTERM')],
    ['SIGINT', () => this.#stop('SIGINT')],
    ['SIGHUP', () => void this.#reload()],
  ]
  readonly #onUncaught = (error: unknown) => this.#die(error)

  constructor(options: StartOptions, plan: Plan, world: World, log: ProcessLog, supervision: Supervision) {
    this.#supervision = supervision
    this.#options = options
    this.#plan = plan
    this.#gate = gateSettings(plan)
    this.#world = world
    this.#log = log
    this.#control = new ControlServer(this.#commands(), log.log)
  }

  async run(): Promise<ExitStatus> {
    const log = this.#log.log
    for (const [signal, handler] of this.#handlers) process.on(signal, handler)
    process.on('uncaughtException', this.#onUncaught)
    log.info({ version, node: process.version, config: this.#plan.file, pid: process.pid }, 'edge-mqtt starts')
    for (const warning of this.#plan.warnings) log.warn({}, warning)
    // First of all: a second daemon at the same place must not touch the first one's files.
    await this.#control.open(this.#plan.places)
    const [ports, hardware, compose] = await Promise.all([
      this.#world.ports(this.#plan.places.stateDir, this.#plan.places.runDir),
      this.#world.hardware(),
      this.#world.compose(),
    ])
    this.#hardware = hardware
    if (this.#stopping !== null) return Exit.asAsked
    const authenticator = new Gate({
      clock: ports.clock,
      log,
      deriver: this.#deriver,
      settings: () => this.#gate,
    })
    const devices = new KeptDevices(ports.files)
    this.#devices = devices
    const firstAccounts = devices.standsOn.bind(devices)
    const node = compose(this.#settings(this.#plan), { ...ports, log, authenticator, firstAccounts })
    authenticator.attach(node.accounts)
    this.#node = node
    this.#made(node)
    const error = await Promise.race([
      new Promise<HostError | null>((resolve) => node.start(resolve)),
      this.#untilStopped.then(() => null),
    ])
    if (error !== null) {
      await this.#halt(node)
      throw error
    }
    if (this.#stopping === null) this.#ready(node, ports.clock)
    await this.#untilStopped
    return Exit.asAsked
  }

  close(): void {
    for (const [signal, handler] of this.#handlers) process.off(signal, handler)
    process.off('uncaughtException', this.#onUncaught)
    this.#control.close()
    this.#deriver.close()
    this.#log.flush()
  }

  #ready(node: Node, clock: Clock): void {
    const log = this.#log.log
    log.info({ clusterPort: node.status().cluster.port, startMs: Math.round(process.uptime() * 1000) }, 'ready')
    this.#supervision.ready(clock, () => node.status())
  }

  #settings(plan: Plan): NodeSettings {
    if (this.#hardware === null) throw new Bug('settings before the hardware is known')
    return nodeSettings(plan.configuration, {
      version,
      newCluster: this.#options.newCluster,
      bundle: plan.bundle,
      listenerFiles: plan.listenerFiles,
      hardware: this.#hardware,
      fileRules: plan.authFiles.rules,
      listenerRules: plan.authFiles.rulesAt,
    })
  }

  #stop(signal: NodeJS.Signals): void {
    const log = this.#log.log
    if (this.#stopping !== null) {
      if (performance.now() - this.#stopping.sinceMs < SAME_WISH_MS) return
      log.warn({ signal }, 'stopped at once')
      this.close()
      process.exit(Exit.asAsked)
    }
    this.#stopping = { sinceMs: performance.now() }
    log.info({ signal }, 'edge-mqtt stops')
    this.#supervision.stopping()
    if (this.#node === null) return this.#stopped()
    void this.#halt(this.#node).then(() => {
      log.info({}, 'edge-mqtt has stopped')
      this.#stopped()
    })
  }

  #halt(node: Node): Promise<void> {
    return new Promise((resolve) => {
      const deadline = setTimeout(() => {
        this.#log.log.warn({ afterMs: STOP_MS }, 'the stop took too long: going anyway')
        resolve()
      }, STOP_MS)
      node.stop(() => {
        clearTimeout(deadline)
        resolve()
      })
    })
  }

  async #reload(): Promise<void> {
    const node = this.#node
    if (node === null || this.#stopping !== null) return
    this.#supervision.reloading(process.hrtime.bigint() / 1000n)
    await this.#apply(node)
    this.#supervision.reloaded()
  }

  async #apply(node: Node): Promise<void> {
    const log = this.#log.log
    let plan: Plan
    try {
      plan = await readPlan(this.#options, this.#world)
    } catch (error) {
      if (!(error instanceof Ending)) throw error
      for (const line of error.message.split('\n')) log.error({}, `reload refused: ${line.trim()}`)
      return log.error({}, 'reload refused: the settings stay as they were')
    }
    for (const warning of plan.warnings) log.warn({}, warning)
    const restart = [
      ...node.configure(this.#settings(plan)),
      ...needsRestart(this.#plan.configuration, plan.configuration),
    ]
    this.#log.setLevel(plan.configuration.log.level)
    this.#plan = plan
    this.#gate = gateSettings(plan)
    log.info({ config: plan.file }, 'settings reloaded')
    if (restart.length > 0) log.warn({ keys: restart }, 'these settings take a restart: systemctl restart edge-mqtt')
  }

  /** Ours is the fault: better a fresh start by systemd than a broker that is half right. */
  #die(error: unknown): never {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#log.log.error({ bug: what }, 'unexpected: edge-mqtt ends')
    this.close()
    process.exit(Exit.unexpected)
  }

  #commands(): Commands {
    // The sockets are open before the node is: who asks that early waits for the moment until it is there.
    const status = async (_args: unknown, everybody: boolean) => (await this.#composed).status(!everybody)
    return {
      version: { everybody: true, run: () => ({ version }) },
      status: { everybody: true, run: status },
      'cluster status': { everybody: true, run: status },
      ...accountCommands(
        () => this.#composed,
        this.#deriver,
        () => this.#devices?.password ?? null,
      ),
      ...certificateCommands(() => this.#composed),
      ...retainedCommands(() => this.#composed),
      ...timeCommands(() => this.#composed),
      ...enrolmentCommands(() => this.#composed),
      ...trustCommands(() => this.#composed),
    }
  }
}

/** What the gate asks for at each connection. */
const gateSettings = ({ configuration: { auth, listeners }, authFiles }: Plan): GateSettings => ({
  anonymous: auth.anonymous,
  anonymousAt: Object.fromEntries(Object.entries(listeners).map(([name, each]) => [name, each.auth.anonymous])),
  passwords: authFiles.passwords,
  passwordsAt: authFiles.passwordsAt,
})

/** Keys of ours that only a restart applies; the node names its own. */
const needsRestart = (before: Configuration, after: Configuration): readonly string[] =>
  before.log.format === after.log.format ? [] : ['log.format']
