// The voice with which systemd is spoken to (sd_notify(3)). Node has no unix datagram sockets; perl, which is essential
// in Debian, has: one small child says for us what it is given, line by line, and ends when we end. A fork for every
// word would cost more than the broker at rest.

import { type ChildProcess, spawn } from 'node:child_process'
import type { Log } from '../base/ports/log.ts'

/** Says one datagram: `READY=1`, `STATUS=...`. */
export interface Voice {
  /** Nobody listens: nothing need be prepared for saying. */
  readonly silent: boolean
  say(...assignments: readonly string[]): void
  /** Resolves when everything has been said, or cannot be. */
  close(): Promise<void>
}

type Environment = Readonly<Record<string, string | undefined>>

export class NoVoice implements Voice {
  readonly silent = true
  say(): void {}
  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** A line is a datagram, a tab in it a line's end. The socket is addressed each time: systemd may start afresh. */
const HELPER = `use Socket;
$0 = 'edge-mqtt notify';
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die "edge-mqtt notify: socket: $!\\n";
(my $path = $ENV{NOTIFY_SOCKET}) =~ s/^@/\\0/;
my $to = pack_sockaddr_un($path);
while (my $line = <STDIN>) {
  chomp $line;
  $line =~ tr/\\t/\\n/;
  defined send($s, $line, 0, $to) or warn "edge-mqtt notify: $!\\n";
}
`

/** What is still to be said at the end is waited for this long. */
const CLOSE_MS = 1_000
/** A helper that ends by itself this often is not started again. */
const STARTS_MAX = 5
/** systemd-notify, where there is no perl: one call may take this long. */
const CALL_MS = 2_000

/** Control characters would end the line or begin another assignment. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const oneLine = (text: string): string => text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim()

export function openVoice(environment: Environment, log: Log): Voice {
  return environment['NOTIFY_SOCKET'] ? new SystemdVoice(environment, log) : new NoVoice()
}

class SystemdVoice implements Voice {
  readonly silent = false
  readonly #environment: Environment
  readonly #log: Log
  readonly #calls = new Set<Promise<void>>()
  #helper: ChildProcess | null = null
  #starts = 0
  /** No perl here: every word is a call of systemd-notify. */
  #without = false
  #closed = false
  /** Said to a helper that has not yet shown that it exists. */
  #first: string[][] = []

  constructor(environment: Environment, log: Log) {
    this.#environment = environment
    this.#log = log
  }

  say(...assignments: readonly string[]): void {
    if (this.#closed) return
    const lines = assignments.map(oneLine)
    if (this.#without) return this.#call(lines)
    this.#helper ??= this.#start()
    if (this.#helper === null) return
    if (this.#helper.pid === undefined) this.#first.push(lines)
    else this.#helper.stdin!.write(`${lines.join('\t')}\n`)
  }

  async close(): Promise<void> {
    this.#closed = true
    // A helper that could not be started says so only in the next turn.
    await new Promise((resolve) => setImmediate(resolve))
    const helper = this.#helper
    const last = [...this.#calls]
    if (helper !== null && helper.exitCode === null && helper.pid !== undefined) {
      last.push(new Promise((resolve) => helper.once('exit', () => resolve())))
      helper.stdin!.end()
    }
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      Promise.all(last),
      new Promise((resolve) => {
        timer = setTimeout(resolve, CLOSE_MS)
      }),
    ])
    clearTimeout(timer)
  }

  #start(): ChildProcess | null {
    if (this.#starts === STARTS_MAX) return null
    this.#starts++
    const helper = spawn('perl', ['-e', HELPER], {
      stdio: ['pipe', 'ignore', 'inherit'],
      env: this.#environment as NodeJS.ProcessEnv,
    })
    helper.once('error', (error) => {
      this.#log.info({ why: error.message }, 'systemd is told by systemd-notify: perl cannot be started')
      this.#without = true
      for (const lines of this.#first.splice(0)) this.#call(lines)
    })
    // It went away between two words: the next word starts another.
    helper.stdin!.on('error', () => {})
    helper.once('exit', (status, signal) => {
      if (this.#helper === helper) this.#helper = null
      if (!this.#closed) this.#log.warn({ status: status ?? signal ?? '' }, 'the helper that tells systemd has ended')
    })
    return helper
  }

  #call(lines: readonly string[]): void {
    const call = new Promise<void>((resolve) => {
      const child = spawn('systemd-notify', lines, {
        stdio: 'ignore',
        timeout: CALL_MS,
        env: this.#environment as NodeJS.ProcessEnv,
      })
      child.once('error', (error) => {
        this.#log.warn({ why: error.message }, 'systemd could not be told: is perl or systemd-notify installed?')
        resolve()
      })
      child.once('exit', () => resolve())
    })
    this.#calls.add(call)
    void call.then(() => this.#calls.delete(call))
  }
}
