// Listeners behind which there is more than plain TCP: a unix socket, or a reception with TLS, WebSocket, PROXY headers.

import { lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { HostError } from '../base/errors.ts'
import {
  type ByteStream,
  type Endpoint,
  endpointText,
  type ListenHow,
  type Listening,
  type Visitor,
} from '../base/ports/streams.ts'
import { errorCode, hostError } from './host-errors.ts'
import { portHolder } from './port-holder.ts'
import { Reception } from './reception.ts'

export const BACKLOG = 1024

export const isPlain = ({ unixPath, proxy, tls, websocket }: ListenHow): boolean =>
  unixPath === null && !proxy && tls === null && websocket === null

export function listenThrough(
  at: Endpoint,
  how: ListenHow,
  accepted: (stream: ByteStream, visitor: Visitor) => void,
  refused: (from: string, why: string) => void,
  done: (result: Listening | HostError) => void,
): void {
  let reception: Reception
  try {
    reception = new Reception(how, accepted, refused)
  } catch (error) {
    if (!(error instanceof HostError)) throw error
    setImmediate(() => done(error))
    return
  }
  const listening = (server: Server): Listening => {
    const bound = server.address()
    return {
      port: typeof bound === 'object' && bound !== null ? bound.port : 0,
      close: () => server.close(),
      renew: (renewed) => reception.renew(renewed),
    }
  }
  const begin = (leftBehind: boolean): void => {
    const server = createServer({ pauseOnConnect: true }, (socket) => reception.take(socket))
    let told = false
    const fail = (error: unknown): void => {
      // Once it listens only accepting can fail (too many open files): that connection is lost, the listener goes on.
      if (told) return
      told = true
      const { unixPath } = how
      if (unixPath === null) return done(listenError(at, error))
      if (errorCode(error) !== 'EADDRINUSE' || !leftBehind) return done(hostError(unixPath, error))
      whenNobodyAnswers(unixPath, (free) =>
        free ? begin(false) : done(new HostError('unavailable', `${unixPath}: something else is there`)),
      )
    }
    server.on('error', fail)
    const succeed = (): void => {
      told = true
      done(listening(server))
    }
    try {
      // Who may connect is the broker's to say; the file system says it too, by the directory.
      if (how.unixPath === null) server.listen({ host: at.address, port: at.port, backlog: BACKLOG }, succeed)
      else server.listen({ path: how.unixPath, readableAll: true, writableAll: true, backlog: BACKLOG }, succeed)
    } catch (error) {
      // A port that is no port, a path that no socket can have.
      told = true
      const failure = new HostError('invalid', `${how.unixPath ?? endpointText(at)}: ${(error as Error).message}`)
      setImmediate(() => done(failure))
    }
  }
  begin(true)
}

/** A socket file outlives a process that was killed. Removed only when it is a socket that nobody answers at. */
function whenNobodyAnswers(path: string, done: (free: boolean) => void): void {
  const probe = connect(path)
  probe.once('connect', () => {
    probe.destroy()
    done(false)
  })
  probe.once('error', (error) => {
    if (errorCode(error) !== 'ECONNREFUSED') return done(false)
    try {
      if (!lstatSync(path).isSocket()) return done(false)
      unlinkSync(path)
      done(true)
    } catch {
      done(false)
    }
  })
}

export function listenError(at: Endpoint, error: unknown): HostError {
  const what = `port ${at.port} on ${at.address}`
  if (errorCode(error) !== 'EADDRINUSE') return hostError(what, error)
  const holder = portHolder(at.port)
  return new HostError('unavailable', `${what} is taken${holder === null ? '' : ` by ${holder}`}`)
}
