// The world's errors in our words: what Node and the kernel call by code, people read as a sentence.

import { HostError, type HostErrorKind } from '../base/errors.ts'

const WORDS: Readonly<Record<string, readonly [HostErrorKind, string]>> = {
  EACCES: ['denied', 'permission denied'],
  EPERM: ['denied', 'not permitted'],
  EROFS: ['denied', 'the file system is read-only'],
  EADDRINUSE: ['unavailable', 'the port is taken'],
  EADDRNOTAVAIL: ['unavailable', 'this machine does not have that address'],
  EAFNOSUPPORT: ['unavailable', 'this machine does not speak that address family'],
  ECONNREFUSED: ['unavailable', 'connection refused'],
  ECONNRESET: ['unavailable', 'connection reset'],
  ECONNABORTED: ['unavailable', 'connection aborted'],
  EPIPE: ['unavailable', 'connection closed by the other side'],
  ETIMEDOUT: ['unavailable', 'no answer'],
  EHOSTUNREACH: ['unavailable', 'no route to host'],
  EHOSTDOWN: ['unavailable', 'host is down'],
  ENETUNREACH: ['unavailable', 'network is unreachable'],
  ENETDOWN: ['unavailable', 'network is down'],
  ENODEV: ['unavailable', 'the interface is gone'],
  ENOTFOUND: ['unavailable', 'name not found'],
  EAI_AGAIN: ['unavailable', 'name service does not answer'],
  EMFILE: ['unavailable', 'too many open files'],
  ENFILE: ['unavailable', 'too many open files on this machine'],
  ENOBUFS: ['unavailable', 'no buffer space'],
  ENOSPC: ['failed', 'no space left on the disk'],
  EDQUOT: ['failed', 'disk quota exceeded'],
  EIO: ['failed', 'input/output error'],
  ENOENT: ['failed', 'no such file or directory'],
  EISDIR: ['failed', 'is a directory'],
  ENOTDIR: ['failed', 'not a directory'],
  EMSGSIZE: ['failed', 'datagram too large'],
}

export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** What happened, without saying to what. */
export function errorWords(error: unknown): string {
  const code = errorCode(error)
  // A dial to a name with several addresses fails with all their errors; the first tells the story.
  if (error instanceof AggregateError && error.errors.length > 0) return errorWords(error.errors[0])
  return WORDS[code]?.[1] ?? (error instanceof Error ? error.message || code : String(error))
}

/** `what` says to what it happened: `port 1883`, `/var/lib/edge-mqtt/node.key`. */
export function hostError(what: string, error: unknown): HostError {
  if (error instanceof HostError) return error
  if (error instanceof AggregateError && error.errors.length > 0) return hostError(what, error.errors[0])
  return new HostError(WORDS[errorCode(error)]?.[0] ?? 'failed', `${what}: ${errorWords(error)}`)
}
