// A throw-away Ethernet LAN of network namespaces: a bridge in one of its own, a veth pair to each gateway, nft rules on
// the bridge for cuts. Needs root, iproute2 and nftables; nothing touches the host's own network namespace.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

const has = (command: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Why no LAN can be made here, or null when it can. */
export function lanMissing(...tools: readonly string[]): string | null {
  if (process.platform !== 'linux') return 'not Linux'
  if (process.getuid?.() !== 0) return 'not root'
  for (const tool of ['ip', 'nft', ...tools]) if (!has(tool)) return `${tool} is not installed`
  const probe = `edge-probe-${process.pid}`
  try {
    run('ip', 'netns', 'add', probe)
    run('ip', 'netns', 'del', probe)
    return null
  } catch {
    return 'network namespaces are not permitted'
  }
}

/** Says loudly that a file of end-to-end tests is left out, and whether it is. */
export function leftOut(file: string, ...tools: readonly string[]): boolean {
  const why = lanMissing(...tools)
  if (why !== null) console.warn(`\n*** ${file}: end-to-end tests SKIPPED: ${why} ***\n`)
  return why !== null
}

export interface LanOptions {
  /** Gateways 1..n on 10.77.0.0/24. */
  readonly gateways: number
  /** Further gateways n+1.. on 10.78.0.0/24, behind a router that passes unicast only. */
  readonly beyond?: number
  /** Gateways without a default route, as on a LAN without a router. */
  readonly noDefaultRoute?: boolean
}

let lans = 0

export class Lan {
  readonly #name = `edge${process.pid}x${lans++}`
  readonly #children = new Set<ChildProcess>()
  readonly #gateways: number
  /** A directory for the files of this LAN's daemons; removed by `down`. */
  readonly directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-e2e-'))

  constructor(options: LanOptions) {
    this.#gateways = options.gateways + (options.beyond ?? 0)
    try {
      this.#namespace('sw')
      this.#bridge('br0', '10.77.0.250/24')
      if (options.beyond) this.#router()
      for (let gateway = 1; gateway <= this.#gateways; gateway++) {
        const subnet = gateway <= options.gateways ? 77 : 78
        this.#gateway(gateway, subnet, options.noDefaultRoute !== true)
      }
      this.#rules()
    } catch (error) {
      this.down()
      throw error
    }
  }

  address(gateway: number): string {
    const route = run('ip', '-n', this.namespace(gateway), '-4', '-o', 'addr', 'show', 'dev', 'eth0')
    return /inet ([0-9.]+)/.exec(route)![1]!
  }

  /** Of all gateways. */
  places(): readonly number[] {
    return Array.from({ length: this.#gateways }, (_, index) => index + 1)
  }

  namespace(gateway: number | 'sw' | 'rt'): string {
    return `${this.#name}-${gateway}`
  }

  /** Starts a program in a gateway's namespace; ended by `down` at the latest. */
  spawn(gateway: number | 'sw', command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.namespace(gateway), command, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** Runs a program in a gateway's namespace to its end and gives what it printed; throws when it fails. */
  exec(gateway: number | 'sw', command: string, ...args: string[]): string {
    return run('ip', 'netns', 'exec', this.namespace(gateway), command, ...args)
  }

  /** Silently drops every frame between two gateways, as a broken switch would. */
  cut(a: number, b: number): void {
    this.#element('add', 'cut', `"p${a}" . "p${b}"`, `"p${b}" . "p${a}"`)
  }

  /** Silently drops every frame from one gateway to the other. */
  oneWay(from: number, to: number): void {
    this.#element('add', 'cut', `"p${from}" . "p${to}"`)
  }

  /** Silently drops everything to and from one gateway: a dead switch port, without loss of carrier. */
  isolate(gateway: number): void {
    this.#element('add', 'off', `"p${gateway}"`)
  }

  heal(): void {
    for (const set of ['cut', 'off']) this.#switch('nft', 'flush', 'set', 'bridge', 'lan', set)
  }

  down(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    for (const gateway of ['sw', 'rt', ...Array.from({ length: this.#gateways }, (_, index) => index + 1)]) {
      const name = this.namespace(gateway as number)
      if (!existsSync(`/run/netns/${name}`)) continue
      for (const pid of run('ip', 'netns', 'pids', name).split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid), 'SIGKILL')
        } catch {
          // It ended by itself in between.
        }
      }
      run('ip', 'netns', 'del', name)
    }
    rmSync(this.directory, { recursive: true, force: true })
  }

  #switch(command: string, ...args: string[]): string {
    return run('ip', 'netns', 'exec', this.namespace('sw'), command, ...args)
  }

  #namespace(name: number | 'sw' | 'rt'): void {
    const namespace = this.namespace(name)
    run('ip', 'netns', 'add', namespace)
    run('ip', '-n', namespace, 'link', 'set', 'lo', 'up')
  }

  #bridge(bridge: string, address: string): void {
    const at = ['-n', this.namespace('sw')]
    run('ip', ...at, 'link', 'add', bridge, 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0')
    run('ip', ...at, 'addr', 'add', address, 'brd', '+', 'dev', bridge)
    run('ip', ...at, 'link', 'set', bridge, 'up')
  }

  #gateway(gateway: number, subnet: number, defaultRoute: boolean): void {
    this.#namespace(gateway)
    const own = this.namespace(gateway)
    const sw = this.namespace('sw')
    const bridge = subnet === 77 ? 'br0' : 'br1'
    run('ip', 'link', 'add', `p${gateway}`, 'netns', sw, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', own)
    run('ip', '-n', sw, 'link', 'set', `p${gateway}`, 'master', bridge, 'up')
    run('ip', '-n', own, 'addr', 'add', `10.${subnet}.0.${gateway}/24`, 'brd', '+', 'dev', 'eth0')
    run('ip', '-n', own, 'link', 'set', 'eth0', 'up')
    if (defaultRoute) run('ip', '-n', own, 'route', 'add', 'default', 'via', `10.${subnet}.0.254`)
  }

  #router(): void {
    this.#bridge('br1', '10.78.0.250/24')
    this.#namespace('rt')
    for (const [index, bridge] of ['br0', 'br1'].entries()) {
      const [sw, rt] = [this.namespace('sw'), this.namespace('rt')]
      run('ip', 'link', 'add', `r${index}`, 'netns', sw, 'type', 'veth', 'peer', 'name', `eth${index}`, 'netns', rt)
      run('ip', '-n', sw, 'link', 'set', `r${index}`, 'master', bridge, 'up')
      run('ip', '-n', rt, 'addr', 'add', `10.${77 + index}.0.254/24`, 'brd', '+', 'dev', `eth${index}`)
      run('ip', '-n', rt, 'link', 'set', `eth${index}`, 'up')
    }
    run('ip', 'netns', 'exec', this.namespace('rt'), 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward')
  }

  #rules(): void {
    const rules = [
      'add table bridge lan',
      'add set bridge lan cut { type ifname . ifname; }',
      'add set bridge lan off { type ifname; }',
      'add chain bridge lan forward { type filter hook forward priority -200; policy accept; }',
      'add rule bridge lan forward iifname . oifname @cut drop',
      'add rule bridge lan forward iifname @off drop',
      'add rule bridge lan forward oifname @off drop',
    ]
    for (const rule of rules) this.#switch('nft', rule)
  }

  #element(verb: 'add' | 'delete', set: 'cut' | 'off', ...elements: string[]): void {
    this.#switch('nft', `${verb} element bridge lan ${set} { ${elements.join(', ')} }`)
  }
}

/** On a crowded machine patience ends at so many times what is allowed. */
const CROWDED_TIMES = 8

/** Milliseconds in which somebody on this machine waited for a core; stands still where the kernel does not count. */
function crowdedMs(): number {
  try {
    return Number(/^some .*total=(\d+)$/m.exec(readFileSync('/proc/pressure/cpu', 'utf8'))?.[1] ?? 0) / 1000
  } catch {
    return 0
  }
}

/**
 * Waits until `condition` gives something other than false, null or undefined, and returns that. Time in which the machine
 * had no core for somebody does not count: it says nothing about the boxes.
 */
export async function until<T>(
  what: string,
  withinMs: number,
  condition: () => T | Promise<T>,
): Promise<Exclude<T, false | null | undefined>> {
  const startMs = performance.now()
  const crowdedBefore = crowdedMs()
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value !== false && value !== null && value !== undefined) {
        return value as Exclude<T, false | null | undefined>
      }
      last = value
    } catch (error) {
      last = error
    }
    const tookMs = performance.now() - startMs
    if (tookMs > withinMs && tookMs > Math.min(withinMs * CROWDED_TIMES, withinMs + crowdedMs() - crowdedBefore)) {
      throw new Error(
        `not within ${withinMs} ms (after ${Math.round(tookMs)}): ${what}${last instanceof Error ? ` (${last.message})` : ''}`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
