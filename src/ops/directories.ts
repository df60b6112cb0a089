// The directories a daemon needs, made where they are missing, and tried: better one clear word at start than a failure
// to write the node's key later.

import { accessSync, constants, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { Ending, Exit } from './exit.ts'
import type { Places } from './places.ts'

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)

function user(): string {
  try {
    return userInfo().username
  } catch {
    // A user without a name, as in a container.
    return `user ${process.getuid?.()}`
  }
}

/** Makes the state and run directories; what cannot be made or written ends the start and says what to type. */
export function prepareDirectories(places: Places): void {
  prepareState(places)
  // The sockets in it guard themselves by their own modes.
  writable(places.runDir, 0o755, 'the control sockets')
}

/** The state directory alone: all that first setup writes. Keys lie in it. */
export function prepareState(places: Places): void {
  writable(places.stateDir, 0o700, 'what the node keeps')
}

function writable(directory: string, mode: number, what: string): void {
  try {
    mkdirSync(dirname(directory), { recursive: true })
    if (!existsSync(directory)) mkdirSync(directory, { mode })
    if (!statSync(directory).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' })
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new Ending(Exit.notPermitted, `cannot write ${directory} (${what}): ${remedy(codeOf(error), directory)}`)
  }
}

/** What to type about a directory that cannot be written. */
export function remedy(code: string, directory: string): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return (
        `permission denied for ${user()}\n` +
        `  give it to ${user()}:       sudo install -d -o ${process.getuid?.() ?? 0} ${directory}\n` +
        `  or keep things elsewhere:   edge-mqtt start --data-dir DIRECTORY\n` +
        `  or start it as a service:   sudo systemctl start edge-mqtt`
      )
    case 'EROFS':
      return 'the file system is read-only\n  keep things elsewhere: edge-mqtt start --data-dir DIRECTORY'
    case 'ENOTDIR':
    case 'EEXIST':
      return 'something on the way there is not a directory\n  choose another place: edge-mqtt start --data-dir DIRECTORY'
    case 'ENOSPC':
      return 'no space left on the device\n  make room (df -h), then start again'
    default:
      return code
  }
}

/** Whether everybody on this machine can read the file. */
export const readByAll = (file: string): boolean =>
  ((statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o004) !== 0

/** A small file's text, or null when there is none; `wrong` makes the ending for one that cannot be read. */
export function readText(file: string, bytesMax: number): string | null {
  let bytes: number
  try {
    bytes = statSync(file).size
    if (bytes > bytesMax)
      throw new Ending(Exit.configuration, `${file}: ${bytes} bytes, more than ${bytesMax} make sense`)
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Ending) throw error
    const code = codeOf(error)
    if (code === 'ENOENT') return null
    const why = code === 'EACCES' ? `permission denied for ${user()}` : code === 'EISDIR' ? 'it is a directory' : code
    throw new Ending(Exit.configuration, `${file}: cannot be read: ${why}`)
  }
}
