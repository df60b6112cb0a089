// The log as the core sees it: one line per state change, with fields named like the code (STYLE 11).
// Payloads, passwords and keys never go in.

export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** A log whose lines carry `fields` as well. */
  child(fields: LogFields): Log
}

const nothing = () => {}

/** A log that keeps nothing. */
export const silentLog: Log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLog,
}
