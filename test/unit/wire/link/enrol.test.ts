import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { ClusterId, NodeId } from '../../../../src/base/ids.ts'
import {
  decodeGrant,
  decodeOffer,
  decodeRefusal,
  decodeRequest,
  decodeReveal,
  encodeGrant,
  encodeOffer,
  encodeRefusal,
  encodeRequest,
} from '../../../../src/wire/link/enrol.ts'
import {
  decodeInvite,
  encodeInvite,
  INVITE_BYTES_MAX,
  type Invite,
  USES_MAX,
} from '../../../../src/wire/link/invite.ts'
import {
  checkWaiting,
  decodeApprove,
  decodeWaiting,
  encodeApprove,
  encodeWaiting,
} from '../../../../src/wire/link/waiting.ts'

const COMMITMENT = Buffer.alloc(32, 0xcc)
const NODE = '0011223344556677' as NodeId
const whole = <T>(decode: (bytes: Buffer, start: number, end: number) => T, bytes: Buffer): T =>
  decode(bytes, 0, bytes.length)

describe('the formats as they are handed out', () => {
  const request = {
    ...{ givesUp: '0123456789abcdef' as ClusterId, commitment: COMMITMENT },
    ...{ publicKey: 'KEY', replaces: 'gw-2' },
  }
  const grant = { certificate: 'OWN', anchors: ['CA', 'CB'], caKey: 'K', generation: 3 }
  const offer = { commitment: COMMITMENT, anchors: ['CA'] }
  const refusal = { reason: 'used up', words: 'no' } as const
  const invite: Invite = {
    ...{ issuer: true, uses: 2, endMs: 0x010203040506, key: Buffer.alloc(32, 0xaa) },
    ...{ by: NODE, used: ['8899aabbccddeeff' as NodeId] },
  }
  const waiting = { address: 'a', name: 'n', words: 'w', replaces: '' }
  const approve = { kind: 'approve', number: 7, node: NODE, words: 'w' } as const

  test('are these bytes', () => {
    const c = 'cc'.repeat(32)
    expect(encodeRequest(request).toString('hex')).toBe(`0123456789abcdef${c}00034b4559000467772d32`)
    expect(encodeOffer(offer).toString('hex')).toBe(`${c}0100024341`)
    expect(encodeGrant(grant).toString('hex')).toBe('00034f574e02000243410002434200014b00000003')
    expect(encodeRefusal(refusal).toString('hex')).toBe('0200026e6f')
    expect(encodeInvite(invite).toString('hex')).toBe(
      `01010002010203040506${'aa'.repeat(32)}0011223344556677018899aabbccddeeff`,
    )
    expect(encodeWaiting(waiting).toString('hex')).toBe('0001610001' + '6e000177' + '0000')
    expect(encodeApprove(approve).toString('hex')).toBe('01000000070011223344556677000177')
    expect(encodeApprove({ kind: 'answer', number: 7, wrong: 'x' }).toString('hex')).toBe('0200000007000178')
  })

  test('are read back, whatever a later version puts behind', () => {
    const more = (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('more')])
    expect(whole(decodeRequest, more(encodeRequest(request)))).toEqual(request)
    expect(whole(decodeRequest, encodeRequest({ ...request, givesUp: null }))).toMatchObject({ givesUp: null })
    expect(whole(decodeOffer, more(encodeOffer(offer)))).toEqual(offer)
    expect(whole(decodeGrant, more(encodeGrant(grant)))).toEqual(grant)
    expect(whole(decodeGrant, encodeGrant({ ...grant, caKey: null }))).toMatchObject({ caKey: null })
    expect(whole(decodeRefusal, more(encodeRefusal(refusal)))).toEqual(refusal)
    expect(whole(decodeReveal, more(Buffer.alloc(16, 1)))).toEqual(Buffer.alloc(16, 1))
    expect(decodeInvite(more(encodeInvite(invite)))).toEqual(invite)
    expect(decodeWaiting(more(encodeWaiting(waiting)))).toEqual(waiting)
    expect(decodeApprove(more(encodeApprove(approve)))).toEqual(approve)
  })

  test('of a reason or kind of a later version are no error', () => {
    const later = Buffer.from(encodeRefusal(refusal))
    later[0] = 200
    expect(whole(decodeRefusal, later)).toEqual({ reason: 'unknown', words: 'no' })
    expect(decodeApprove(Buffer.from('09000000070011', 'hex'))).toBeNull()
  })

  test('cut short anywhere are refused', () => {
    const cuts: [Buffer, (bytes: Buffer) => unknown][] = [
      [encodeRequest(request), (bytes) => whole(decodeRequest, bytes)],
      [encodeOffer(offer), (bytes) => whole(decodeOffer, bytes)],
      [encodeGrant(grant), (bytes) => whole(decodeGrant, bytes)],
      [encodeRefusal(refusal), (bytes) => whole(decodeRefusal, bytes)],
      [Buffer.alloc(16), (bytes) => whole(decodeReveal, bytes)],
      [encodeInvite(invite), decodeInvite],
      [encodeWaiting(waiting), decodeWaiting],
      [encodeApprove(approve), decodeApprove],
    ]
    for (const [bytes, decode] of cuts) {
      for (let length = 1; length < bytes.length; length++) {
        expect(() => decode(bytes.subarray(0, length)), `${length} of ${bytes.length}`).toThrow(PeerError)
      }
    }
  })

  test('keep their bounds', () => {
    const none = Buffer.from(encodeOffer(offer))
    none[32] = 0
    expect(() => whole(decodeOffer, none)).toThrow('bad number of CA certificates')
    none[32] = 9
    expect(() => whole(decodeOffer, none)).toThrow('bad number of CA certificates')
    const long = { ...request, publicKey: 'x'.repeat(12_001) }
    expect(() => whole(decodeRequest, encodeRequest(long))).toThrow('text too long')
    expect(() => whole(decodeRequest, encodeRequest({ ...request, replaces: 'x'.repeat(256) }))).toThrow(
      'text too long',
    )
    const used = Array.from({ length: USES_MAX }, () => NODE)
    expect(encodeInvite({ ...invite, used })).toHaveLength(INVITE_BYTES_MAX)
    const many = Buffer.from(encodeInvite({ ...invite, used }))
    many[50] = USES_MAX + 1
    expect(() => decodeInvite(Buffer.concat([many, Buffer.alloc(8)]))).toThrow('a broken invite')
    many[0] = 2
    expect(() => decodeInvite(many)).toThrow('of another format')
    expect(() => checkWaiting('gw-3', encodeWaiting(waiting))).toThrow('without an id')
    expect(() => checkWaiting(NODE, encodeWaiting(waiting))).not.toThrow()
  })

  test('show no control characters, whoever sends them', () => {
    const evil = '\u001b[2Jroot'
    expect(whole(decodeRefusal, encodeRefusal({ reason: 'failed', words: evil })).words).toBe('?[2Jroot')
    expect(decodeWaiting(encodeWaiting({ ...waiting, name: evil })).name).toBe('?[2Jroot')
    expect(whole(decodeRequest, encodeRequest({ ...request, replaces: evil })).replaces).toBe('?[2Jroot')
  })
})

test('any bytes are read or refused, and nothing else', () => {
  const decoders: ((bytes: Buffer) => unknown)[] = [
    (bytes) => whole(decodeRequest, bytes),
    (bytes) => whole(decodeOffer, bytes),
    (bytes) => whole(decodeGrant, bytes),
    (bytes) => whole(decodeRefusal, bytes),
    (bytes) => whole(decodeReveal, bytes),
    decodeInvite,
    decodeWaiting,
    decodeApprove,
  ]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (array) => {
      for (const decode of decoders) {
        try {
          decode(Buffer.from(array))
        } catch (error) {
          expect(error).toBeInstanceOf(PeerError)
        }
      }
    }),
  )
})
