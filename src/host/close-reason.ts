// Why a stream broke, in a few words for logs and counters: the same words for the same cause, TCP or TLS.

import { errorCode, errorWords } from './host-errors.ts'
import { secureFailure } from './secure-failure.ts'

export function closeReason(error: Error): string {
  return errorCode(error).startsWith('ERR_SSL_') ? secureFailure(error) : errorWords(error)
}
