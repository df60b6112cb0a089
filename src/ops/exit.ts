// Exit statuses that people, scripts and systemd rely on (sysexits.h where it has one).

import type { HostError } from '../base/errors.ts'

export const Exit = {
  asAsked: 0,
  unexpected: 1,
  usage: 64,
  unavailable: 69,
  notPermitted: 77,
  configuration: 78,
} as const

export type ExitStatus = (typeof Exit)[keyof typeof Exit]

/** A command that ends here: the text for people, and the status. Thrown by commands, printed once at the top. */
export class Ending extends Error {
  override readonly name = 'Ending'
  readonly status: ExitStatus
  constructor(status: ExitStatus, message: string) {
    super(message)
    this.status = status
  }
}

/** What the world's refusal means for the exit status. */
export function exitStatusOf(error: HostError): ExitStatus {
  switch (error.kind) {
    case 'unavailable':
      return Exit.unavailable
    case 'denied':
      return Exit.notPermitted
    case 'invalid':
      return Exit.configuration
    case 'failed':
      return Exit.unexpected
  }
}
