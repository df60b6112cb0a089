// What every Trust must do: keys, certificates, and the upgrade of a stream with both certificates required.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../src/base/errors.ts'
import type { ClusterId, NodeId } from '../../src/base/ids.ts'
import type { ByteStream } from '../../src/base/ports/streams.ts'
import type {
  CertificateAuthority,
  Credentials,
  KeyPair,
  SecuredPeer,
  SecureFailure,
  Trust,
} from '../../src/base/ports/trust.ts'
import { connectedPair, Notes, type StreamsWorld } from './streams.ts'

export interface TrustWorld extends StreamsWorld {
  readonly trust: Trust
}

type Upgraded = { stream: ByteStream; peer: SecuredPeer } | SecureFailure

const CLUSTER = '0123456789abcdef' as ClusterId
const OTHER = 'fedcba9876543210' as ClusterId
const ONE = 'aaaaaaaaaaaaaaa1' as NodeId
const TWO = 'bbbbbbbbbbbbbbb2' as NodeId

export function trustContract(name: string, make: () => TrustWorld): void {
  describe(`Trust of ${name}`, () => {
    let world: TrustWorld
    const streams: ByteStream[] = []

    beforeEach(() => {
      world = make()
    })
    afterEach(() => {
      for (const stream of streams.splice(0)) stream.destroy()
      world.close()
    })

    async function answer<T>(ask: (done: (result: T | HostError) => void) => void): Promise<T> {
      const answers: (T | HostError)[] = []
      ask((result) => answers.push(result))
      await world.until(() => answers.length > 0, 'an answer')
      expect(answers.length).toBe(1)
      if (answers[0] instanceof HostError) throw answers[0]
      return answers[0] as T
    }
    const keys = () => answer<KeyPair>((done) => world.trust.makeKeys(done))
    const authority = (id: ClusterId) => answer<CertificateAuthority>((done) => world.trust.makeAuthority(id, done))
    const issue = (ca: CertificateAuthority, id: NodeId, publicKey: string) =>
      answer<string>((done) => world.trust.issue(ca, id, publicKey, done))

    async function credentials(ca: CertificateAuthority, id: NodeId, anchors = [ca.certificate]): Promise<Credentials> {
      const { publicKey, privateKey } = await keys()
      return { certificate: await issue(ca, id, publicKey), privateKey, anchors }
    }

    async function upgrade(
      server: Credentials,
      client: Credentials,
    ): Promise<{ server: Upgraded; client: Upgraded; notes: { server: Notes; client: Notes } }> {
      const { accepted, dialled } = await connectedPair(world)
      const results: { server?: Upgraded; client?: Upgraded } = {}
      const notes = { server: new Notes(), client: new Notes() }
      const take = (side: 'server' | 'client') => (result: Upgraded) => {
        expect(results[side]).toBeUndefined()
        results[side] = result
        if (typeof result === 'string') return
        streams.push(result.stream)
        result.stream.open(notes[side])
        result.stream.write(Buffer.from(`from the ${side}`))
      }
      // Who dialled TCP is the TLS server between our boxes; the roles are the caller's choice.
      world.trust.secure(dialled, 'server', server, 2000, take('server'))
      world.trust.secure(accepted, 'client', client, 2000, take('client'))
      await world.until(() => results.server !== undefined && results.client !== undefined, 'both sides to answer')
      return { server: results.server!, client: results.client!, notes }
    }

    test('a CA carries its cluster id, and signs itself', async () => {
      const ca = await authority(CLUSTER)
      expect(world.trust.read(ca.certificate)).toMatchObject({ kind: 'ca', clusterId: CLUSTER })
      expect(world.trust.matches(ca.certificate, ca.privateKey)).toBe(true)
      expect(world.trust.signedBy(ca.certificate, ca.certificate)).toBe(true)
    })

    test('two CAs of one cluster are told apart by their fingerprints and signatures', async () => {
      const [one, two] = [await authority(CLUSTER), await authority(CLUSTER)]
      const fingerprint = (ca: CertificateAuthority) => {
        const facts = world.trust.read(ca.certificate)
        return facts instanceof HostError || facts.kind !== 'ca' ? null : facts.fingerprint
      }
      expect(fingerprint(one)).not.toBe(fingerprint(two))
      const { publicKey } = await keys()
      const certificate = await issue(one, ONE, publicKey)
      expect(world.trust.signedBy(certificate, one.certificate)).toBe(true)
      expect(world.trust.signedBy(certificate, two.certificate)).toBe(false)
    })

    test('a node certificate carries the node id and belongs to its key', async () => {
      const ca = await authority(CLUSTER)
      const [mine, yours] = [await keys(), await keys()]
      const certificate = await issue(ca, ONE, mine.publicKey)
      expect(world.trust.read(certificate)).toMatchObject({ kind: 'node', nodeId: ONE })
      expect(world.trust.matches(certificate, mine.privateKey)).toBe(true)
      expect(world.trust.matches(certificate, yours.privateKey)).toBe(false)
    })

    test('the fingerprint of the key stays when the certificate is renewed', async () => {
      const ca = await authority(CLUSTER)
      const { publicKey } = await keys()
      const fingerprints = [await issue(ca, ONE, publicKey), await issue(ca, ONE, publicKey)].map((certificate) => {
        const facts = world.trust.read(certificate)
        return facts instanceof HostError || facts.kind !== 'node' ? null : facts.keyFingerprint
      })
      expect(fingerprints[0]).not.toBeNull()
      expect(fingerprints[0]).toBe(fingerprints[1])
    })

    test('what is no certificate, or no key, is said to be so', async () => {
      const ca = await authority(CLUSTER)
      expect(world.trust.read('gibberish')).toMatchObject({ kind: 'invalid' })
      expect(world.trust.matches(ca.certificate, 'gibberish')).toMatchObject({ kind: 'invalid' })
      expect(world.trust.matches('gibberish', ca.privateKey)).toMatchObject({ kind: 'invalid' })
      expect(world.trust.signedBy('gibberish', ca.certificate)).toBe(false)
    })

    test('a certificate is not issued with the key of another CA', async () => {
      const [one, two] = [await authority(CLUSTER), await authority(CLUSTER)]
      const { publicKey } = await keys()
      const mixed = { certificate: one.certificate, privateKey: two.privateKey }
      await expect(issue(mixed, ONE, publicKey)).rejects.toMatchObject({ kind: 'invalid' })
    })

    test('two members know each other by id and key, and bytes pass both ways', async () => {
      const ca = await authority(CLUSTER)
      const [one, two] = [await credentials(ca, ONE), await credentials(ca, TWO)]
      const { server, client, notes } = await upgrade(one, two)
      expect(server).toMatchObject({ peer: { nodeId: TWO } })
      expect(client).toMatchObject({ peer: { nodeId: ONE } })
      const fingerprint = typeof server === 'string' ? '' : server.peer.keyFingerprint
      expect(world.trust.read(two.certificate)).toMatchObject({ keyFingerprint: fingerprint })
      await world.until(() => notes.server.bytes === 15 && notes.client.bytes === 15, 'the greetings')
      expect([notes.server.text, notes.client.text]).toEqual(['from the client', 'from the server'])
    })

    test('a megabyte passes whole, and the end is an orderly one', async () => {
      const ca = await authority(CLUSTER)
      const { client, notes } = await upgrade(await credentials(ca, ONE), await credentials(ca, TWO))
      if (typeof client === 'string') throw new Error(client)
      for (let index = 0; index < 64; index++) client.stream.write(Buffer.alloc(16 * 1024, index))
      client.stream.end()
      await world.until(() => notes.server.ends.length === 1 && notes.client.ends.length === 1, 'both ends to close')
      expect(notes.server.bytes).toBe(15 + 1024 * 1024)
      expect(notes.server.chunks.at(-1)?.at(-1)).toBe(63)
      expect([notes.server.ends, notes.client.ends]).toEqual([[null], [null]])
    })

    test('strangers to each other both see a foreign CA', async () => {
      const one = await credentials(await authority(CLUSTER), ONE)
      const two = await credentials(await authority(OTHER), TWO)
      const { server, client } = await upgrade(one, two)
      expect([server, client]).toEqual(['foreign CA', 'foreign CA'])
    })

    test('a TLS client of a foreign CA is refused, and hears that only when it is up', async () => {
      const ca = await authority(CLUSTER)
      const one = await credentials(ca, ONE)
      const two = await credentials(await authority(CLUSTER), TWO, [ca.certificate])
      const { server, client, notes } = await upgrade(one, two)
      expect(server).toBe('foreign CA')
      if (client === 'refused by peer') return
      expect(client).toMatchObject({ peer: { nodeId: ONE } })
      await world.until(() => notes.client.ends.length === 1, 'the refusal')
      expect(notes.client.ends).toEqual(['refused by peer'])
      expect(notes.client.bytes).toBe(0)
    })

    test('a TLS server of a foreign CA is refused, and never hears a byte', async () => {
      const ca = await authority(CLUSTER)
      const one = await credentials(await authority(CLUSTER), ONE, [ca.certificate])
      const two = await credentials(ca, TWO)
      const { server, client, notes } = await upgrade(one, two)
      expect(client).toBe('foreign CA')
      if (typeof server !== 'string') await world.until(() => notes.server.ends.length === 1, 'the refusal')
      expect(notes.server.bytes).toBe(0)
    })

    test('a second anchor is as good as the first: members of two CAs link while one replaces the other', async () => {
      const [before, after] = [await authority(CLUSTER), await authority(CLUSTER)]
      const anchors = [after.certificate, before.certificate]
      const { server, client } = await upgrade(
        await credentials(before, ONE, anchors),
        await credentials(after, TWO, anchors),
      )
      expect(server).toMatchObject({ peer: { nodeId: TWO } })
      expect(client).toMatchObject({ peer: { nodeId: ONE } })
    })

    test('a CA signed by another: who believes that one links with who has a certificate of the new one', async () => {
      const [first, second, third] = [await authority(CLUSTER), await authority(CLUSTER), await authority(CLUSTER)]
      const cross = (by: CertificateAuthority, of: CertificateAuthority) =>
        answer<string>((done) => world.trust.crossSign(by, of.certificate, done))
      const toSecond = await cross(first, second)
      const toThird = await cross(second, third)
      expect(world.trust.read(toSecond)).toMatchObject({ kind: 'ca', clusterId: CLUSTER })
      expect(world.trust.signedBy(toSecond, first.certificate)).toBe(true)
      expect(world.trust.signedBy(toSecond, third.certificate)).toBe(false)
      // The key is the same one: what it signed itself is signed by the cross certificate's key too.
      expect(world.trust.signedBy(second.certificate, toSecond)).toBe(true)
      expect(world.trust.matches(toSecond, second.privateKey)).toBe(true)
      const before = await credentials(first, ONE)
      const anchors = [third.certificate, second.certificate, first.certificate]
      const after = { ...(await credentials(third, TWO, anchors)), chain: [toThird, toSecond] }
      for (const [server, client] of [
        [before, after],
        [after, before],
      ] as const) {
        const result = await upgrade(server, client)
        expect([result.server, result.client]).toMatchObject([
          { peer: { nodeId: server === before ? TWO : ONE } },
          { peer: { nodeId: server === before ? ONE : TWO } },
        ])
      }
      // Without the way from the one to the other it is a stranger.
      const { client } = await upgrade({ ...after, chain: [toThird] }, before)
      expect(client).toBe('foreign CA')
      // Two with certificates of the new CA need no way back.
      const both = await upgrade(after, await credentials(third, ONE))
      expect(both.server).toMatchObject({ peer: { nodeId: ONE } })
    })

    test('the public key of a private one is the one that was made with it', async () => {
      const pair = await keys()
      expect(world.trust.publicKey(pair.privateKey)).toBe(pair.publicKey)
      expect(world.trust.publicKey('nonsense')).toBeInstanceOf(HostError)
    })

    test('the certificate of a CA is nobody`s identity', async () => {
      const ca = await authority(CLUSTER)
      const impostor = { certificate: ca.certificate, privateKey: ca.privateKey, anchors: [ca.certificate] }
      const asClient = await upgrade(await credentials(ca, ONE), impostor)
      expect(asClient.server).toBe('bad certificate')
      const asServer = await upgrade(impostor, await credentials(ca, TWO))
      expect(asServer.client).toBe('bad certificate')
    })

    test('a silent peer is a timeout, on either side', async () => {
      const ca = await authority(CLUSTER)
      const one = await credentials(ca, ONE)
      for (const role of ['server', 'client'] as const) {
        const { accepted, dialled } = await connectedPair(world)
        streams.push(dialled)
        let result: Upgraded | null = null
        world.trust.secure(accepted, role, one, 100, (upgraded) => {
          result = upgraded
        })
        await world.until(() => result !== null, 'the timeout')
        expect(result).toBe('timeout')
      }
    })

    test('a peer that hangs up has closed; a peer that speaks plainly does not speak TLS', async () => {
      const ca = await authority(CLUSTER)
      const one = await credentials(ca, ONE)
      for (const role of ['server', 'client'] as const) {
        for (const speech of [null, 'GET / HTTP/1.0\r\n\r\n', 'x'.repeat(100)]) {
          const { accepted, dialled } = await connectedPair(world)
          streams.push(dialled)
          dialled.open(new Notes())
          let result: Upgraded | null = null
          world.trust.secure(accepted, role, one, 2000, (upgraded) => {
            result = upgraded
          })
          if (speech === null) dialled.end()
          else dialled.write(Buffer.from(speech))
          await world.until(() => result !== null, 'the failure')
          expect([role, speech, result]).toEqual([role, speech, speech === null ? 'closed' : 'not TLS'])
        }
      }
    })

    test('a stream that is closed already cannot be upgraded', async () => {
      const ca = await authority(CLUSTER)
      const one = await credentials(ca, ONE)
      const { accepted, dialled } = await connectedPair(world)
      const notes = new Notes()
      accepted.open(notes)
      dialled.destroy()
      await world.until(() => notes.ends.length === 1, 'the close')
      let result: Upgraded | null = null
      world.trust.secure(accepted, 'server', one, 2000, (upgraded) => {
        result = upgraded
      })
      expect(result).toBeNull()
      await world.until(() => result !== null, 'the failure')
      expect(result).toBe('closed')
    })

    test('the plain handler hears nothing of what comes under TLS', async () => {
      const ca = await authority(CLUSTER)
      const [one, two] = [await credentials(ca, ONE), await credentials(ca, TWO)]
      const { accepted, dialled } = await connectedPair(world)
      const plain = [new Notes(), new Notes()]
      const secured = [new Notes(), new Notes()]
      const up = (notes: Notes) => (result: Upgraded) => {
        if (typeof result === 'string') throw new Error(result)
        streams.push(result.stream)
        result.stream.open(notes)
        result.stream.write(Buffer.from('secret'))
      }
      // As two boxes do: the one who accepts says hello in the clear, the other answers, then both upgrade.
      plain[1]!.onBytes = () => {
        dialled.write(Buffer.from('hello too'))
        world.trust.secure(dialled, 'server', one, 2000, up(secured[1]!))
      }
      plain[0]!.onBytes = () => world.trust.secure(accepted, 'client', two, 2000, up(secured[0]!))
      accepted.open(plain[0]!)
      dialled.open(plain[1]!)
      accepted.write(Buffer.from('hello'))
      await world.until(() => secured[0]!.bytes === 6 && secured[1]!.bytes === 6, 'the secrets')
      expect(plain.map((notes) => [notes.text, notes.ends])).toEqual([
        ['hello too', []],
        ['hello', []],
      ])
    })
  })
}
