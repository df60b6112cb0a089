// The log behind the core's port: pino, in the form its reader wants. Pretty on a terminal, one line with a journald
// priority under systemd, JSON elsewhere.

import { fstatSync } from 'node:fs'
import pino from 'pino'
import type { Log, LogFields } from '../base/ports/log.ts'

export type LogFormat = 'pretty' | 'journald' | 'json'
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Never written, whatever calls them: a second net below the rule that they are not passed to the log at all. */
const SECRETS = ['password', 'privateKey', 'secret', 'payload'].flatMap((name) => [name, `*.${name}`])
/** syslog(3) priorities by pino's level numbers. */
const PRIORITIES: Readonly<Record<number, number>> = { 20: 7, 30: 6, 40: 4, 50: 3 }
const NUMBERS: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 }

/** Whether standard output is the journal: systemd says which device and inode its socket has (systemd.exec(5)). */
function isJournal(environment: Readonly<Record<string, string | undefined>>): boolean {
  const { dev, ino } = fstatSync(1)
  return environment['JOURNAL_STREAM'] === `${dev}:${ino}`
}

export function chooseFormat(
  asked: 'auto' | LogFormat,
  world: { readonly terminal: boolean; readonly journal: boolean },
): LogFormat {
  if (asked !== 'auto') return asked
  return world.terminal ? 'pretty' : world.journal ? 'journald' : 'json'
}

export const outputWorld = () => ({ terminal: process.stdout.isTTY === true, journal: isJournal(process.env) })

/** `<6>link up peer=4f... address=10.77.0.2:4883`: the journal has time, host and program already. */
export function journaldLine(json: string): string {
  const { level, time: _time, msg, pid: _pid, hostname: _host, ...fields } = JSON.parse(json) as Record<string, unknown>
  const words = Object.entries(fields).map(([key, value]) => `${key}=${fieldText(value)}`)
  return `<${PRIORITIES[level as number] ?? 6}>${[msg, ...words].join(' ')}\n`
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}

/** What pino writes to; `flushSync` leaves nothing behind in this process. */
export interface Sink {
  write(line: string): void
  flushSync(): void
}

export class ProcessLog {
  readonly #root: pino.Logger
  readonly #sink: Sink
  /** Asked at every line and shared by all children, so that a reload reaches them too. */
  readonly #gate: { least: number }
  readonly log: Log

  constructor(sink: Sink, level: LogLevel) {
    this.#sink = sink
    this.#gate = { least: NUMBERS[level] }
    this.#root = pino(
      {
        base: null,
        level: 'debug',
        redact: { paths: SECRETS, censor: '[removed]' },
        serializers: { error: words, why: words, err: words },
      },
      sink,
    )
    this.log = new PinoLog(this.#root, this.#gate)
  }

  setLevel(level: LogLevel): void {
    this.#gate.least = NUMBERS[level]
  }

  flush(): void {
    this.#sink.flushSync()
  }
}

/** An error as its message: the stack is for bugs, and those are logged with it on purpose. */
const words = (value: unknown): unknown => (value instanceof Error ? value.message : value)

class PinoLog implements Log {
  readonly #pino: pino.Logger
  readonly #gate: { readonly least: number }

  constructor(logger: pino.Logger, gate: { readonly least: number }) {
    this.#pino = logger
    this.#gate = gate
  }

  debug(fields: LogFields, message: string): void {
    if (this.#gate.least <= NUMBERS.debug) this.#pino.debug(fields, message)
  }
  info(fields: LogFields, message: string): void {
    if (this.#gate.least <= NUMBERS.info) this.#pino.info(fields, message)
  }
  warn(fields: LogFields, message: string): void {
    if (this.#gate.least <= NUMBERS.warn) this.#pino.warn(fields, message)
  }
  error(fields: LogFields, message: string): void {
    this.#pino.error(fields, message)
  }
  child(fields: LogFields): Log {
    return new PinoLog(this.#pino.child(fields), this.#gate)
  }
}

/** The sink for a form. What is written does not wait for a slow reader, and is whole at exit. */
export async function openSink(format: LogFormat): Promise<Sink> {
  if (format === 'pretty') {
    const { default: pretty } = await import('pino-pretty')
    const stream = pretty.prettyFactory({
      colorize: process.stdout.isTTY === true,
      translateTime: 'SYS:HH:MM:ss.l',
      singleLine: true,
    })
    const output = destination(true)
    return { write: (line) => void output.write(stream(line)), flushSync: () => flush(output) }
  }
  const output = destination(false)
  if (format === 'json') return { write: (line) => void output.write(line), flushSync: () => flush(output) }
  return { write: (line) => void output.write(journaldLine(line)), flushSync: () => flush(output) }
}

type Destination = ReturnType<typeof pino.destination>

/** Lines held for a reader that does not read are dropped beyond this many bytes: a log never fills the memory. */
const HELD_BYTES_MAX = 4 * 1024 * 1024

function destination(sync: boolean): Destination {
  const output = pino.destination({ fd: 1, sync, minLength: 0, maxLength: HELD_BYTES_MAX })
  // The reader went away (a closed pipe): the daemon's work goes on without it.
  output.on('error', () => {})
  return output
}

function flush(output: Destination): void {
  try {
    output.flushSync()
  } catch (error) {
    // Nobody reads any more; there is no place left to say so.
    if (!(error instanceof Error)) throw error
  }
}
