// The commands' side of the control sockets.

import { connect } from 'node:net'
import { Ending, Exit } from '../exit.ts'
import type { Places } from '../places.ts'
import { decodeResponse, encodeRequest, RESPONSE_BYTES_MAX, type Request, type Response } from './protocol.ts'
import { reachable } from './socketpath.ts'

export type Unreached =
  | { readonly at: 'absent' }
  | { readonly at: 'denied' }
  | { readonly at: 'silent'; readonly afterMs: number }
  | { readonly at: 'nonsense'; readonly why: string }

/** Asks at one socket. Never throws: what keeps it from an answer is a value. */
export async function askAt(path: string, request: Request, timeoutMs: number): Promise<Response | Unreached> {
  let way: ReturnType<typeof reachable>
  try {
    way = reachable(path)
  } catch (error) {
    return unreached(error)
  }
  return new Promise((resolve) => {
    const socket = connect(way.path)
    const pieces: Buffer[] = []
    let length = 0
    const finish = (outcome: Response | Unreached) => {
      clearTimeout(deadline)
      way.release()
      socket.destroy()
      resolve(outcome)
    }
    const deadline = setTimeout(() => finish({ at: 'silent', afterMs: timeoutMs }), timeoutMs)
    socket.on('connect', () => {
      way.release()
      socket.write(encodeRequest(request))
    })
    socket.on('data', (bytes: Buffer) => {
      pieces.push(bytes)
      length += bytes.length
      if (length > RESPONSE_BYTES_MAX) return finish({ at: 'nonsense', why: 'an answer without end' })
      if (bytes[bytes.length - 1] !== 0x0a) return
      const response = decodeResponse(Buffer.concat(pieces).toString('utf8'))
      finish(response ?? { at: 'nonsense', why: 'an answer of another version' })
    })
    socket.on('end', () => finish({ at: 'nonsense', why: 'no answer' }))
    socket.on('error', (error) => finish(unreached(error)))
  })
}

function unreached(error: unknown): Unreached {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') return { at: 'absent' }
  if (code === 'EACCES' || code === 'EPERM') return { at: 'denied' }
  return { at: 'nonsense', why: code }
}

/** Asks the daemon of `places`; every way it can fail ends the command with what to type. */
export async function ask(
  places: Places,
  request: Request,
  options: { readonly everybody: boolean; readonly timeoutMs: number },
): Promise<unknown> {
  const sockets = options.everybody ? [places.statusSocket, places.controlSocket] : [places.controlSocket]
  let outcome: Response | Unreached = { at: 'absent' }
  for (const socket of sockets) {
    outcome = await askAt(socket, request, options.timeoutMs)
    if (!('at' in outcome) || outcome.at !== 'absent') break
  }
  if ('at' in outcome) throw ending(outcome, places)
  if (!outcome.ok) throw new Ending(Exit.unexpected, outcome.error)
  return outcome.result
}

/** How a command ends that got no answer: exit status, what happened, what to type. */
export function ending(outcome: Unreached, places: Places): Ending {
  switch (outcome.at) {
    case 'absent':
      return new Ending(
        Exit.unavailable,
        `the daemon is not running here: nobody answers at ${places.controlSocket}\n` +
          (places.reachedBy === ''
            ? '  start the service:   sudo systemctl start edge-mqtt\n' +
              '  why did it stop?     journalctl -u edge-mqtt -n 50\n' +
              '  a daemon elsewhere:  repeat the command with --data-dir DIR, as it was started'
            : `  start it:            edge-mqtt start${places.reachedBy}`),
      )
    case 'denied':
      return new Ending(
        Exit.notPermitted,
        `not permitted to use ${places.controlSocket}\n` +
          '  once:      repeat the command with sudo\n' +
          '  for good:  sudo usermod -aG edge-mqtt "$USER", then log in again',
      )
    case 'silent':
      return new Ending(
        Exit.unavailable,
        `the daemon at ${places.controlSocket} did not answer within ${outcome.afterMs / 1000} s\n` +
          '  what is it doing?  journalctl -u edge-mqtt -n 50',
      )
    case 'nonsense':
      return new Ending(
        Exit.unavailable,
        `${places.controlSocket}: ${outcome.why}\n` +
          '  is the daemon older or newer than this command? restart it:  sudo systemctl restart edge-mqtt',
      )
  }
}
