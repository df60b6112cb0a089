// What systemd is told (sd_notify(3)): ready, and stopping. Node has no unix datagram sockets, so systemd-notify speaks
// for us; the unit says NotifyAccess=all.

import { spawn } from 'node:child_process'
import type { Log } from '../base/ports/log.ts'

const NOTIFY_MS = 2_000

/** Tells systemd, when it listens; resolves when it has been told or cannot be. */
export function notify(assignments: readonly string[], log: Log): Promise<void> {
  if (process.env['NOTIFY_SOCKET'] === undefined) return Promise.resolve()
  return new Promise((resolve) => {
    const child = spawn('systemd-notify', assignments, { stdio: 'ignore', timeout: NOTIFY_MS })
    child.once('error', (error) => {
      log.warn({ why: error.message }, 'systemd could not be told: is systemd-notify installed?')
      resolve()
    })
    child.once('exit', (code) => {
      if (code !== 0 && code !== null) log.warn({ code: String(code) }, 'systemd-notify failed')
      resolve()
    })
  })
}
