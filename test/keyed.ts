// Shared keys for worlds without TLS: real digests, and a handshake on any stream that goes as the real one does. The
// server is ready first, the client proves first, and both have proven when it is over.
//
//   server -> ready       client -> name, proof       server -> its own proof, or the end with a reason

import { createHash, hkdfSync } from 'node:crypto'
import type { Clock } from '../src/base/ports/clock.ts'
import { KEY_BYTES, type KeyedFailure, type KeySide } from '../src/base/ports/keyed.ts'
import type { ByteStream } from '../src/base/ports/streams.ts'

export const digest = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()

export const secretKey = (secret: Buffer, salt: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, salt, 'test', KEY_BYTES))

/** Quick: what makes it slow is not what is tested with it. */
export const passwordKey = (password: string, cluster: string): Buffer =>
  secretKey(Buffer.from(password.normalize('NFC')), cluster)

export type Keyed = { readonly stream: ByteStream; readonly identity: string }

const proof = (who: 'client' | 'server', key: Buffer): string =>
  digest(Buffer.concat([Buffer.from(who), key])).toString('hex')

/** `release` hands the stream on with what was read too much. */
export function secureByKey(
  clock: Clock,
  stream: ByteStream,
  side: KeySide,
  timeoutMs: number,
  release: (rest: Buffer) => void,
  done: (result: Keyed | KeyedFailure) => void,
): void {
  let heard = ''
  let over = false
  const finish = (result: Keyed | KeyedFailure, rest = '') => {
    if (over) return
    over = true
    timer.cancel()
    if (typeof result === 'string') stream.end()
    else release(Buffer.from(rest, 'latin1'))
    done(result)
  }
  const timer = clock.after(timeoutMs, 'keyed.timeout', () => finish('timeout'))
  const say = (text: string) => stream.write(Buffer.from(`${text}\n`))
  const asServer = (line: string, rest: string, keyOf: (identity: string) => Buffer | null) => {
    const [word, identity, shown] = line.split(' ')
    if (word !== 'client' || identity === undefined || rest !== '') return finish('not TLS')
    const key = keyOf(identity)
    if (key === null || shown !== proof('client', key)) {
      const why = key === null ? 'unknown key' : 'wrong key'
      say(why)
      return finish(why)
    }
    say(`server ${proof('server', key)}`)
    finish({ stream, identity })
  }
  const asClient = (line: string, rest: string, identity: string, key: Buffer) => {
    if (line === 'ready') return say(`client ${identity} ${proof('client', key)}`)
    if (line === 'unknown key' || line === 'wrong key') return finish(line)
    if (line.startsWith('certificate')) return finish('bad certificate')
    if (!line.startsWith('server ')) return finish('not TLS')
    if (line !== `server ${proof('server', key)}`) return finish('wrong key')
    finish({ stream, identity }, rest)
  }
  stream.open({
    received: (bytes, start, end) => {
      if (over) return
      heard += bytes.toString('latin1', start, end)
      const at = heard.indexOf('\n')
      if (at < 0) return heard.length > 200 ? finish('not TLS') : undefined
      const line = heard.slice(0, at)
      const rest = heard.slice(at + 1)
      heard = ''
      if (side.role === 'server') asServer(line, rest, side.keyOf)
      else asClient(line, rest, side.identity, side.key)
    },
    drained: () => {},
    closed: () => finish('closed'),
  })
  if (side.role === 'server') say('ready')
}
