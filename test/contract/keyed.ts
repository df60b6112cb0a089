// What every KeyedTrust must do: keys of secrets and passwords, and streams sealed with a key that both ends know.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../src/base/errors.ts'
import type { ClusterId } from '../../src/base/ids.ts'
import type { KeyedFailure, KeySide } from '../../src/base/ports/keyed.ts'
import type { ByteStream } from '../../src/base/ports/streams.ts'
import { connectedPair, Notes } from './streams.ts'
import type { TrustWorld } from './trust.ts'

type Sealed = { readonly stream: ByteStream; readonly identity: string } | KeyedFailure

const CLUSTER = '0123456789abcdef' as ClusterId
const OTHER = 'fedcba9876543210' as ClusterId

export function keyedContract(name: string, make: () => TrustWorld): void {
  describe(`KeyedTrust of ${name}`, () => {
    let world: TrustWorld
    const streams: ByteStream[] = []

    beforeEach(() => {
      world = make()
    })
    afterEach(() => {
      for (const stream of streams.splice(0)) stream.destroy()
      world.close()
    })

    async function seal(
      server: (identity: string) => Buffer | null,
      client: Omit<KeySide & { role: 'client' }, 'role'>,
      order: 'server first' | 'client first' = 'server first',
    ) {
      const { accepted, dialled } = await connectedPair(world)
      const notes = { server: new Notes(), client: new Notes() }
      const results: { server?: Sealed; client?: Sealed } = {}
      const take = (side: 'server' | 'client') => (result: Sealed) => {
        expect(results[side]).toBeUndefined()
        results[side] = result
        if (typeof result === 'string') return
        streams.push(result.stream)
        result.stream.open(notes[side])
        result.stream.write(Buffer.from(`from the ${side}`))
      }
      // As two boxes do: the one who accepts says hello in the clear, the other answers, then both upgrade.
      const plain = { accepted: new Notes(), dialled: new Notes() }
      accepted.open(plain.accepted)
      dialled.open(plain.dialled)
      accepted.write(Buffer.from('hello'))
      await world.until(() => plain.dialled.bytes > 0, 'the hello')
      dialled.write(Buffer.from('hello too'))
      const asClient = () => world.trust.secureByKey(dialled, { role: 'client', ...client }, 2000, take('client'))
      if (order === 'client first') asClient()
      await world.until(() => plain.accepted.bytes > 0, 'the answer')
      world.trust.secureByKey(accepted, { role: 'server', keyOf: server }, 2000, take('server'))
      if (order === 'server first') asClient()
      await world.until(() => results.server !== undefined && results.client !== undefined, 'both sides to answer')
      return { server: results.server!, client: results.client!, notes, plain }
    }
    const key = (secret = 'a secret'): Buffer => world.trust.secretKey(Buffer.from(secret), 'salt')

    test('keys depend on all they are made of, and on nothing else', async () => {
      const { trust } = world
      const password = async (text: string, cluster = CLUSTER) => {
        const answers: (Buffer | HostError)[] = []
        trust.passwordKey(text, cluster, (made) => answers.push(made))
        await world.until(() => answers.length > 0, 'the key')
        if (answers[0] instanceof HostError) throw answers[0]
        return answers[0]!.toString('hex')
      }
      expect(trust.digest(Buffer.from('abc')).toString('hex')).toBe(
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      )
      const secret = Buffer.from('secret')
      expect(trust.secretKey(secret, 'one')).toEqual(trust.secretKey(secret, 'one'))
      expect(trust.secretKey(secret, 'one')).not.toEqual(trust.secretKey(secret, 'two'))
      expect(trust.secretKey(secret, 'one')).toHaveLength(32)
      const keys = [await password('Küche 1234 Küche'), await password('küche 1234 küche')]
      keys.push(await password('Küche 1234 Küche', OTHER))
      expect(new Set(keys).size).toBe(3)
      // The same letters, typed as letter and accent.
      expect(await password('Küche 1234 Küche'.normalize('NFD'))).toBe(keys[0])
      expect(keys[0]).toHaveLength(64)
    })

    for (const order of ['server first', 'client first'] as const) {
      test(`both know the key: bytes pass both ways, and the name of the key arrives (${order})`, async () => {
        const { server, client, notes, plain } = await seal(
          (identity) => (identity === 'invite-ABCD' ? key() : null),
          { identity: 'invite-ABCD', key: key() },
          order,
        )
        expect(server).toMatchObject({ identity: 'invite-ABCD' })
        expect(client).toMatchObject({ identity: 'invite-ABCD' })
        await world.until(() => notes.client.bytes >= 15 && notes.server.bytes >= 15, 'both texts')
        expect([notes.client.text, notes.server.text]).toEqual(['from the server', 'from the client'])
        expect([plain.accepted.text, plain.dialled.text]).toEqual(['hello too', 'hello'])
      })
    }

    test("the wrong key is 'wrong key' on both ends, and nobody hears a byte", async () => {
      const { server, client, notes } = await seal(() => key(), { identity: 'x', key: key('another') })
      expect([server, client]).toEqual(['wrong key', 'wrong key'])
      expect([notes.server.bytes, notes.client.bytes]).toEqual([0, 0])
    })

    test("a name that the server does not know is 'unknown key' on both ends", async () => {
      const { server, client } = await seal(() => null, { identity: 'x', key: key() })
      expect([server, client]).toEqual(['unknown key', 'unknown key'])
    })

    test('a silent peer is a timeout, on either side', async () => {
      const sides: KeySide[] = [
        { role: 'server', keyOf: () => key() },
        { role: 'client', identity: 'x', key: key() },
      ]
      for (const side of sides) {
        const { accepted, dialled } = await connectedPair(world)
        streams.push(dialled)
        let result: Sealed | null = null
        world.trust.secureByKey(accepted, side, 100, (sealed) => {
          result = sealed
        })
        await world.until(() => result !== null, 'the timeout')
        expect(result).toBe('timeout')
      }
    })

    test('a peer that hangs up has closed; one that speaks plainly does not speak TLS', async () => {
      const sides: KeySide[] = [
        { role: 'server', keyOf: () => key() },
        { role: 'client', identity: 'x', key: key() },
      ]
      for (const side of sides) {
        for (const speech of [null, 'x'.repeat(300)]) {
          const { accepted, dialled } = await connectedPair(world)
          streams.push(dialled)
          dialled.open(new Notes())
          let result: Sealed | null = null
          world.trust.secureByKey(accepted, side, 2000, (sealed) => {
            result = sealed
          })
          if (speech === null) dialled.end()
          else dialled.write(Buffer.from(speech))
          await world.until(() => result !== null, 'the failure')
          expect([side.role, speech, result]).toEqual([side.role, speech, speech === null ? 'closed' : 'not TLS'])
        }
      }
    })

    test('a stream that is closed already cannot be sealed', async () => {
      const { accepted, dialled } = await connectedPair(world)
      const notes = new Notes()
      accepted.open(notes)
      dialled.destroy()
      await world.until(() => notes.ends.length === 1, 'the close')
      let result: Sealed | null = null
      world.trust.secureByKey(accepted, { role: 'server', keyOf: () => key() }, 2000, (sealed) => {
        result = sealed
      })
      expect(result).toBeNull()
      await world.until(() => result !== null, 'the failure')
      expect(result).toBe('closed')
    })
  })
}
