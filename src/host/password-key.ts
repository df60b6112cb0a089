// A password made into a key, slowly: in a thread of its own for the one time, because libuv's four have the disk to
// write and the main thread has messages to carry.

import { Worker } from 'node:worker_threads'
import { HostError } from '../base/errors.ts'
import { KEY_BYTES } from '../base/ports/keyed.ts'

/** CLUSTER 2: 32 MiB and a tenth of a second on a PC, a second on a small box, for each password that is tried. */
const COST = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }

/** Given as text, because a thread's file would be another one in the tests than in the package. */
const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads')
const { password, salt, bytes, cost } = workerData
parentPort.postMessage(require('node:crypto').scryptSync(password, salt, bytes, cost))
`

export function passwordKey(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const workerData = { password: password.normalize('NFC'), salt, bytes: KEY_BYTES, cost: COST }
    const worker = new Worker(PROGRAM, { eval: true, name: 'cluster password', workerData })
    worker.once('message', (key: Uint8Array) => resolve(Buffer.from(key)))
    worker.once('error', (error) => reject(new HostError('failed', error.message)))
    worker.once('exit', () => reject(new HostError('failed', 'the thread for the password has ended')))
  })
}
