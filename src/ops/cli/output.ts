// What commands print: results on standard output, endings on standard error.

import { fstatSync } from 'node:fs'

export const print = (text: string): void => {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

export const printJson = (value: unknown): void => print(JSON.stringify(value, null, 2))

/** An ending's words; in the journal each line carries the priority of an error. */
export function complain(message: string): void {
  const lines = `edge-mqtt: ${message}`.split('\n')
  const prefix = isJournal() ? '<3>' : ''
  process.stderr.write(`${lines.map((line) => prefix + line).join('\n')}\n`)
}

function isJournal(): boolean {
  const { dev, ino } = fstatSync(2)
  return process.env['JOURNAL_STREAM'] === `${dev}:${ino}`
}
