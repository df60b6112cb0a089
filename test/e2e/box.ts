// Gateways with a real systemd as PID 1: Debian in systemd-nspawn, each on its place of a test LAN. The base systems are
// made once from the machine's own mirror and kept; a box is an overlay over one and costs nothing.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { NodeStatus } from '../../src/compose.ts'
import { type Lan, lanMissing, until } from './lan.ts'
import { statusFrom } from './status.ts'

/** A Debian that boxes are made of. */
interface System {
  readonly suite: 'trixie' | 'bookworm'
  readonly architecture?: string
  readonly packages: readonly string[]
}

/** Debian 13 has a Node.js that is new enough, Debian 12 has not: a release brings its own. */
const SYSTEMS = {
  trixie: { suite: 'trixie', packages: ['nodejs'] },
  bookworm: { suite: 'bookworm', packages: [] },
  /** With what building from a clone takes. */
  'trixie-npm': { suite: 'trixie', packages: ['nodejs', 'npm', 'git'] },
  /** A 32-bit system under a 64-bit kernel. */
  'trixie-i386': { suite: 'trixie', architecture: 'i386', packages: ['nodejs'] },
  /** Another machine's, by emulation. */
  'trixie-armhf': { suite: 'trixie', architecture: 'armhf', packages: ['nodejs'] },
} satisfies Readonly<Record<string, System>>

export type Suite = keyof typeof SYSTEMS

const COMMON = ['systemd', 'systemd-sysv', 'dbus', 'udev', 'iproute2', 'procps']
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 })

const mountsOf = (type: string): string[] =>
  readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === type)
    .map((fields) => fields[1]!)

/** Why no boxes can be made here, or null when they can. */
export function boxMissing(): string | null {
  const missing = lanMissing('systemd-nspawn', 'mmdebstrap', 'nsenter', 'setsid')
  if (missing !== null) return missing
  if (!existsSync(KEYRING)) return 'debian-archive-keyring is not installed'
  if (mountsOf('cgroup2').length === 0) return 'there is no cgroup2 here'
  return null
}

/** Says loudly that a file of tests with boxes is left out, and whether it is. */
export function boxesLeftOut(file: string): boolean {
  const why = boxMissing()
  if (why !== null) console.warn(`\n*** ${file}: tests with boxes SKIPPED: ${why} ***\n`)
  return why !== null
}

const mirror = (): string => {
  const sources = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'].filter((file) => existsSync(file))
  for (const file of sources) {
    const found = /^(?:URIs:|deb(?: \[[^\]]*\])?) *(\S+)/m.exec(readFileSync(file, 'utf8'))
    if (found !== null) return found[1]!
  }
  throw new Error('no Debian mirror in /etc/apt')
}

/** Where base systems and releases are kept between runs. */
export const boxCache = (): string => process.env['EDGE_MQTT_BOXES'] ?? '/var/cache/edge-mqtt-boxes'

/**
 * Makes a folder by a command in which `{}` stands for it, unless it is there. Of those on this machine who want it at the
 * same time one makes it, and the others wait; nobody sees it half made.
 */
export function makeOnce(folder: string, command: readonly string[]): void {
  if (existsSync(folder)) return
  mkdirSync(dirname(folder), { recursive: true })
  const making = `${folder}.making`
  const words = command.map((word) => (word === '{}' ? making : word))
  const script = '[ ! -e "$0" ] || exit 0; rm -rf "$1"; making=$1; shift; "$@"; mv -T "$making" "$0"'
  run('flock', `${folder}.lock`, 'sh', '-ec', script, folder, making, ...words)
}

/** The root of a base system, made when it is not there yet. */
export function baseSystem(name: Suite): string {
  const base = join(boxCache(), `base-${name}`)
  if (existsSync(base)) return base
  const { suite, architecture, packages }: System = SYSTEMS[name]
  const left = ['usr/share/man', 'usr/share/locale', 'usr/share/doc']
  makeOnce(base, [
    'mmdebstrap',
    '--quiet',
    '--variant=minbase',
    ...(architecture === undefined ? [] : [`--architectures=${architecture}`]),
    `--include=${[...COMMON, ...packages].join(',')}`,
    ...left.map((folder) => `--dpkgopt=path-exclude=/${folder}/*`),
    // A fresh card: no name, no machine id, and no way to fetch anything.
    '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"; : >"$1/etc/machine-id"',
    '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/etc/apt/sources.list*',
    suite,
    '{}',
    `deb [signed-by=${KEYRING}] ${mirror()} ${suite} main`,
  ])
  return base
}

export interface Ran {
  readonly status: number
  readonly output: string
}

/** systemd-nspawn ends with this when the box asked for a reboot. */
const REBOOT = 133

export class Box {
  readonly lan: Lan
  readonly place: number
  readonly name: string
  /** How long a boot or a command may take, on the slowest of machines. */
  patienceMs = 300_000
  readonly #base: string
  readonly #folder: string
  #nspawn: ChildProcess | null = null
  #wanted = false
  #boots = 0
  #console = ''

  constructor(lan: Lan, place: number, suite: Suite = 'trixie') {
    this.lan = lan
    this.place = place
    this.name = `gw-${place}`
    this.#base = baseSystem(suite)
    this.#folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-box-'))
    for (const part of ['upper', 'root']) mkdirSync(join(this.#folder, part))
    this.#mount()
    this.#rename()
  }

  /** Its file system, from outside. */
  get root(): string {
    return join(this.#folder, 'root')
  }

  get up(): boolean {
    return this.#nspawn !== null && this.#nspawn.exitCode === null && this.#nspawn.signalCode === null
  }

  /** Boots, and resolves when systemd has done so. */
  async boot(): Promise<this> {
    this.#wanted = true
    this.#start()
    await this.#booted(0)
    return this
  }

  /** Runs a command in the box as root; throws when it fails. */
  exec(...command: readonly string[]): string {
    const { status, output } = this.try(...command)
    if (status !== 0) throw new Error(`${this.name}: ${command.join(' ')}: ended with ${status}\n${output}`)
    return output
  }

  /** Runs a command in the box as root, and gives how it ended and all that it printed. */
  try(...command: readonly string[]): Ran {
    const inside = ['-t', String(this.#leader()), '-m', '-u', '-i', '-n', '-p', '-C', '-r', '-w']
    const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin'
    const environment = ['-i', `PATH=${path}`, 'HOME=/root', 'LANG=C.UTF-8', 'TERM=dumb']
    const ran = spawnSync('nsenter', [...inside, 'env', ...environment, ...command], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: this.patienceMs,
      maxBuffer: 64 * 1024 * 1024,
    })
    return { status: ran.status ?? -1, output: `${ran.stdout}${ran.stderr}` }
  }

  /** A shell's line. */
  sh(line: string): string {
    return this.exec('sh', '-c', line)
  }

  /** Copies a file or folder of this machine into the box. */
  push(from: string, to: string): void {
    mkdirSync(join(this.root, to, '..'), { recursive: true })
    run('cp', '-a', from, join(this.root, to))
  }

  write(path: string, content: string): void {
    mkdirSync(join(this.root, path, '..'), { recursive: true })
    writeFileSync(join(this.root, path), content)
  }

  property(name: string, unit = 'edge-mqtt'): string {
    return this.exec('systemctl', 'show', '-p', name, '--value', unit).trim()
  }

  /** What the installed daemon says of itself. */
  status(): NodeStatus {
    return statusFrom((...command) => this.exec(...command, '/run/edge-mqtt/status.sock'))
  }

  /** The living members that it is linked with. */
  links(): number {
    const others = this.status().cluster.members.filter((member) => !member.self)
    return others.filter((member) => member.state === 'alive' && member.linked).length
  }

  journal(unit = 'edge-mqtt'): string {
    return this.exec('journalctl', '--no-pager', '-o', 'cat', '-u', unit)
  }

  async reboot(): Promise<void> {
    const boots = this.#boots
    this.try('systemctl', '--no-block', 'reboot')
    await this.#booted(boots)
  }

  /** Everything in it is killed at once. Its file system stays. */
  async crash(): Promise<void> {
    this.#wanted = false
    if (!this.up) return
    const ended = this.#ended()
    for (const group of this.#groups()) writeFileSync(join(group, 'cgroup.kill'), '1')
    await ended
  }

  /** Takes over another box's whole disk as it is now, as a copied card would. The other one must be down. */
  copyDiskOf(other: Box): void {
    run('umount', this.root)
    rmSync(join(this.#folder, 'upper'), { recursive: true })
    run('cp', '-a', '--preserve=all', join(other.#folder, 'upper'), join(this.#folder, 'upper'))
    this.#mount()
  }

  async destroy(): Promise<void> {
    await this.crash()
    await until(`${this.name} is unmounted`, 10_000, () => {
      if (!mountsOf('overlay').includes(this.root)) return true
      run('umount', this.root)
      return true
    })
    await until(`the cgroups of ${this.name} are empty`, 10_000, () => {
      for (const group of this.#groups()) run('find', group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';')
      return this.#groups().length === 0
    })
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** `volatile`: nobody waits for this machine's disk when a box goes. */
  #mount(): void {
    rmSync(join(this.#folder, 'work'), { recursive: true, force: true })
    mkdirSync(join(this.#folder, 'work'))
    const parts = `lowerdir=${this.#base},upperdir=${this.#folder}/upper,workdir=${this.#folder}/work,volatile`
    run('mount', '-t', 'overlay', 'edge-mqtt-box', '-o', parts, this.root)
  }

  #rename(): void {
    writeFileSync(join(this.root, 'etc/hostname'), `${this.name}\n`)
    writeFileSync(join(this.root, 'etc/hosts'), `127.0.0.1 localhost ${this.name}\n::1 localhost\n`)
  }

  #groups(): string[] {
    const top = mountsOf('cgroup2')[0]!
    const mine = `${this.lan.namespace(this.place)}.`
    return readdirSync(top)
      .filter((name) => name.startsWith(mine))
      .map((name) => join(top, name))
  }

  #start(): void {
    // A cgroup of its own, new at each boot: with --keep-unit the box is handed the one that nspawn runs in.
    const group = join(mountsOf('cgroup2')[0]!, `${this.lan.namespace(this.place)}.${this.#boots++}`)
    mkdirSync(group)
    const arguments_ = [
      ...['-q', '-D', this.root, '-M', this.lan.namespace(this.place), `--hostname=${this.name}`, '-b'],
      ...['--keep-unit', '--register=no', '--console=pipe', '--resolv-conf=off', '--timezone=off'],
      ...[`--network-namespace-path=/run/netns/${this.lan.namespace(this.place)}`, '--capability=CAP_NET_ADMIN'],
    ]
    const child = spawn(
      'sh',
      ['-c', 'echo $$ >"$0/cgroup.procs"; exec setsid systemd-nspawn "$@"', group, ...arguments_],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1', SYSTEMD_NSPAWN_LOCK: '0' },
      },
    )
    const keep = (bytes: Buffer) => {
      this.#console = (this.#console + bytes.toString()).slice(-4000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.once('exit', (status) => {
      if (status === REBOOT && this.#wanted) this.#start()
    })
    this.#nspawn = child
  }

  /** Resolves when the boot after `boots` has come to its end. */
  async #booted(boots: number): Promise<void> {
    await until(`${this.name} has booted\n${this.#console}`, this.patienceMs, () => {
      if (this.#boots <= boots || !this.up) return false
      return /^(running|degraded)/.test(this.try('systemctl', 'is-system-running').output)
    })
  }

  #ended(): Promise<void> {
    return new Promise((resolve) => this.#nspawn!.once('exit', () => resolve()))
  }

  /** The box's PID 1, as this machine numbers it: the child of systemd-nspawn. */
  #leader(): number {
    if (!this.up) throw new Error(`${this.name} is down\n${this.#console}`)
    const { pid } = this.#nspawn!
    const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]
    if (!child) throw new Error(`${this.name} is not yet up\n${this.#console}`)
    return Number(child)
  }
}
