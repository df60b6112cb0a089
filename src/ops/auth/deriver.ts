// Slow hashes in a thread of their own, one at a time: not on the main thread, which has messages to carry, and not in
// libuv's four, which the disk needs. The thread is niced, so that on a small box it takes what others leave.

import { Worker } from 'node:worker_threads'
import { HostError } from '../../base/errors.ts'

export type Derivation =
  | {
      readonly kind: 'scrypt'
      readonly password: Buffer
      readonly salt: Buffer
      readonly cost: number
      readonly blockSize: number
      readonly parallel: number
      readonly bytes: number
    }
  | {
      readonly kind: 'pbkdf2'
      readonly digest: 'sha256' | 'sha512'
      readonly password: Buffer
      readonly salt: Buffer
      readonly iterations: number
      readonly bytes: number
    }

/** Answers in order. */
export interface Deriver {
  derive(derivation: Derivation, done: (bytes: Buffer | HostError) => void): void
}

const NICENESS = 10

/** Given as text, because a thread's file would be another one in the tests than in the package. */
const PROGRAM = `
const { parentPort } = require('node:worker_threads')
const { pbkdf2Sync, scryptSync } = require('node:crypto')
try {
  const thread = Number(require('node:fs').readlinkSync('/proc/thread-self').split('/').pop())
  require('node:os').setPriority(thread, ${NICENESS})
} catch {
  // As fast as everybody else, then.
}
parentPort.on('message', (job) => {
  try {
    const { password, salt, bytes } = job
    const derived =
      job.kind === 'scrypt'
        ? scryptSync(password, salt, bytes, {
            N: job.cost, r: job.blockSize, p: job.parallel, maxmem: 256 * job.cost * job.blockSize + 1048576,
          })
        : pbkdf2Sync(password, salt, job.iterations, bytes, job.digest)
    parentPort.postMessage({ derived })
  } catch (error) {
    parentPort.postMessage({ error: String(error.message) })
  }
})
`

type Answer = { readonly derived: Uint8Array } | { readonly error: string }

export class ThreadDeriver implements Deriver {
  #worker: Worker | null = null
  readonly #waiting: ((bytes: Buffer | HostError) => void)[] = []

  derive(derivation: Derivation, done: (bytes: Buffer | HostError) => void): void {
    this.#waiting.push(done)
    const worker = (this.#worker ??= this.#start())
    worker.ref()
    worker.postMessage(derivation)
  }

  close(): void {
    const worker = this.#worker
    this.#worker = null
    void worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(PROGRAM, {
      eval: true,
      name: 'passwords',
      resourceLimits: { maxOldGenerationSizeMb: 16 },
    })
    worker.on('message', (answer: Answer) => {
      const done = this.#waiting.shift()
      // An idle thread keeps nobody from ending.
      if (this.#waiting.length === 0) worker.unref()
      done?.('derived' in answer ? Buffer.from(answer.derived) : new HostError('failed', answer.error))
    })
    worker.on('error', (error) => this.#failed(worker, error.message))
    worker.on('exit', () => this.#failed(worker, 'the thread for passwords has ended'))
    return worker
  }

  /** The next wish starts another one. */
  #failed(worker: Worker, why: string): void {
    if (this.#worker === worker) this.#worker = null
    for (const done of this.#waiting.splice(0)) done(new HostError('failed', why))
  }
}
