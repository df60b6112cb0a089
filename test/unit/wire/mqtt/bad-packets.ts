// Control packets that a server must refuse, each wrong in one way, with the reason that the client is given.

import { Reason } from '../../../../src/base/reasons.ts'
import type { Version } from '../../../../src/wire/mqtt/packets.ts'
import { hex, join, packet, properties, text, u16 } from './bytes.ts'

export interface BadPacket {
  readonly name: string
  /** Of the connection; null before CONNECT. */
  readonly version: Version | null
  readonly bytes: Buffer
  readonly reason: number
  /** For CONNECT: the version of the CONNACK, null for none. */
  readonly answerAs?: Version | null
}

const MALFORMED = Reason.malformedPacket
const PROTOCOL = Reason.protocolError
const BAD_UTF8 = text(hex('61 c0 80'))
const SURROGATE = text(hex('ed a0 80'))
const NULL = text(hex('61 00'))

const CLEAN = 0x02
const WILL = 0x04

/** Variable header up to the keep alive. */
const head = (level: number, flags: number, name = level === 3 ? 'MQIsdp' : 'MQTT') =>
  join([text(name), level, flags, u16(60)])
const v4 = (flags: number, ...rest: Buffer[]) => packet(0x10, head(4, flags), ...rest)
const v5 = (flags: number, ...rest: Buffer[]) => packet(0x10, head(5, flags), ...rest)
const none = properties()
const id = text('c')

function connect(name: string, bytes: Buffer, reason: number, answerAs: Version | null = null): BadPacket {
  return { name: `CONNECT: ${name}`, version: null, bytes, reason, answerAs }
}

function connect5(name: string, bytes: Buffer, reason: number): BadPacket {
  return connect(`${name} (5)`, bytes, reason, 5)
}

const connects: BadPacket[] = [
  connect('empty', packet(0x10), MALFORMED),
  connect('another protocol name', packet(0x10, head(4, CLEAN, 'MQTU'), id), Reason.unsupportedProtocolVersion),
  connect('name in lower case', packet(0x10, head(4, CLEAN, 'mqtt'), id), Reason.unsupportedProtocolVersion),
  connect('level 0', packet(0x10, head(0, CLEAN), id), Reason.unsupportedProtocolVersion, 4),
  connect('level 6', packet(0x10, head(6, CLEAN), id), Reason.unsupportedProtocolVersion, 5),
  connect('level 0x85', packet(0x10, head(0x85, CLEAN), none, id), Reason.unsupportedProtocolVersion, 5),
  connect('MQTT level 3', packet(0x10, head(3, CLEAN, 'MQTT'), id), Reason.unsupportedProtocolVersion, 4),
  connect('MQIsdp level 4', packet(0x10, head(4, CLEAN, 'MQIsdp'), id), Reason.unsupportedProtocolVersion, 3),
  connect('MQIsdp level 5', packet(0x10, head(5, CLEAN, 'MQIsdp'), none, id), Reason.unsupportedProtocolVersion, 3),
  connect('header flags', packet(0x11, head(4, CLEAN), id), MALFORMED),
  connect('reserved connect flag', v4(CLEAN | 1, id), MALFORMED),
  connect('will QoS without will', v4(CLEAN | 0x08, id), MALFORMED),
  connect('will retain without will', v4(CLEAN | 0x20, id), MALFORMED),
  connect('will QoS 3', v4(CLEAN | WILL | 0x18, id, text('w'), text('')), MALFORMED),
  connect('will without topic', v4(CLEAN | WILL, id), MALFORMED),
  connect('will without payload', v4(CLEAN | WILL, id, text('w')), MALFORMED),
  connect('will topic empty', v4(CLEAN | WILL, id, text(''), text('p')), Reason.topicNameInvalid),
  connect('will topic with wildcard', v4(CLEAN | WILL, id, text('w/#'), text('p')), Reason.topicNameInvalid),
  connect('will topic not UTF-8', v4(CLEAN | WILL, id, BAD_UTF8, text('p')), MALFORMED),
  connect('no client identifier', v4(CLEAN), MALFORMED),
  connect('client identifier cut short', v4(CLEAN, hex('00 05 61')), MALFORMED),
  connect('client identifier not UTF-8', v4(CLEAN, BAD_UTF8), MALFORMED),
  connect('client identifier with a surrogate', v4(CLEAN, SURROGATE), MALFORMED),
  connect('client identifier with U+0000', v4(CLEAN, NULL), MALFORMED),
  connect('empty client identifier, session kept', v4(0, text('')), Reason.clientIdentifierNotValid, 4),
  connect('user name flag without user name', v4(CLEAN | 0x80, id), MALFORMED),
  connect('user name without its flag', v4(CLEAN, id, text('u')), MALFORMED),
  connect('user name not UTF-8', v4(CLEAN | 0x80, id, BAD_UTF8), MALFORMED),
  connect('password flag without password', v4(CLEAN | 0xc0, id, text('u')), MALFORMED),
  connect('password without its flag', v4(CLEAN | 0x80, id, text('u'), text('p')), MALFORMED),
  connect('password without user name', v4(CLEAN | 0x40, id, text('p')), MALFORMED),
  connect('bytes at the end', v4(CLEAN, id, hex('00')), MALFORMED),
  connect('3.1, empty client identifier', packet(0x10, head(3, CLEAN), text('')), Reason.clientIdentifierNotValid, 3),
  connect(
    '3.1, client identifier of 24 characters',
    packet(0x10, head(3, CLEAN), text('x'.repeat(24))),
    Reason.clientIdentifierNotValid,
    3,
  ),
  connect5('no properties', v5(CLEAN), MALFORMED),
  connect5('properties past the end', v5(CLEAN, hex('05 11'), id), MALFORMED),
  connect5('unknown property', v5(CLEAN, properties(0x7f, 0), id), MALFORMED),
  connect5('property of another packet', v5(CLEAN, properties(0x01, 0), id), MALFORMED),
  connect5('property twice', v5(CLEAN, properties(0x21, u16(1), 0x21, u16(2)), id), PROTOCOL),
  connect5('property twice, first 0', v5(CLEAN, properties(0x22, u16(0), 0x22, u16(2)), id), PROTOCOL),
  connect5('property cut short', v5(CLEAN, properties(0x11, 0, 0), id), MALFORMED),
  connect5('receive maximum 0', v5(CLEAN, properties(0x21, u16(0)), id), PROTOCOL),
  connect5('maximum packet size 0', v5(CLEAN, properties(0x27, u16(0), u16(0)), id), PROTOCOL),
  connect5('request problem information 2', v5(CLEAN, properties(0x17, 2), id), PROTOCOL),
  connect5('request response information 2', v5(CLEAN, properties(0x19, 2), id), PROTOCOL),
  connect5('authentication data without method', v5(CLEAN, properties(0x16, text('d')), id), PROTOCOL),
  connect5('user property not UTF-8', v5(CLEAN, properties(0x26, text('a'), BAD_UTF8), id), MALFORMED),
  connect5('user property without value', v5(CLEAN, properties(0x26, text('a')), id), MALFORMED),
  connect5('will without properties', v5(CLEAN | WILL, none, id), MALFORMED),
  connect5('will delay twice', will5(properties(0x18, u16(0), u16(1), 0x18, u16(0), u16(1))), PROTOCOL),
  connect5('will with topic alias', will5(properties(0x23, u16(1))), MALFORMED),
  connect5('will payload format 2', will5(properties(0x01, 2)), PROTOCOL),
  connect5('will response topic with wildcard', will5(properties(0x08, text('a/+'))), PROTOCOL),
  connect5('will content type not UTF-8', will5(properties(0x03, BAD_UTF8)), MALFORMED),
  connect5('remaining length too long', join([0x10, 0x8e, 0x00, head(5, CLEAN), none, id]), MALFORMED),
]

function will5(willProperties: Buffer): Buffer {
  return v5(CLEAN | WILL, none, id, willProperties, text('w'), text('p'))
}

const bad = (name: string, version: Version | null, bytes: Buffer, reason: number): BadPacket => ({
  name: `${name} (${version ?? 'before CONNECT'})`,
  version,
  bytes,
  reason,
})

const filter = join([text('a'), 0])

const subscribes: BadPacket[] = [
  bad('SUBSCRIBE: header flags 0', 4, packet(0x80, u16(1), filter), MALFORMED),
  bad('SUBSCRIBE: header flags 3', 5, packet(0x83, u16(1), none, filter), MALFORMED),
  bad('SUBSCRIBE: empty', 4, packet(0x82), MALFORMED),
  bad('SUBSCRIBE: packet identifier 0', 4, packet(0x82, u16(0), filter), PROTOCOL),
  bad('SUBSCRIBE: no filter', 4, packet(0x82, u16(1)), PROTOCOL),
  bad('SUBSCRIBE: no filter', 5, packet(0x82, u16(1), none), PROTOCOL),
  bad('SUBSCRIBE: no properties', 5, packet(0x82, u16(1)), MALFORMED),
  bad('SUBSCRIBE: filter without options', 4, packet(0x82, u16(1), text('a')), MALFORMED),
  bad('SUBSCRIBE: filter cut short', 4, packet(0x82, u16(1), hex('00 09 61')), MALFORMED),
  bad('SUBSCRIBE: filter not UTF-8', 4, packet(0x82, u16(1), BAD_UTF8, 0), MALFORMED),
  bad('SUBSCRIBE: second filter with U+0000', 4, packet(0x82, u16(1), filter, NULL, 0), MALFORMED),
  bad('SUBSCRIBE: QoS 3', 4, packet(0x82, u16(1), text('a'), 3), PROTOCOL),
  bad('SUBSCRIBE: QoS 3', 5, packet(0x82, u16(1), none, text('a'), 3), PROTOCOL),
  bad('SUBSCRIBE: no local', 4, packet(0x82, u16(1), text('a'), 4), MALFORMED),
  bad('SUBSCRIBE: reserved option bits', 5, packet(0x82, u16(1), none, text('a'), 0x40), MALFORMED),
  bad('SUBSCRIBE: retain handling 3', 5, packet(0x82, u16(1), none, text('a'), 0x30), PROTOCOL),
  bad('SUBSCRIBE: shared with no local', 5, packet(0x82, u16(1), none, text('$share/g/a'), 4), PROTOCOL),
  bad('SUBSCRIBE: subscription identifier 0', 5, packet(0x82, u16(1), properties(0x0b, 0), filter), PROTOCOL),
  bad('SUBSCRIBE: two identifiers', 5, packet(0x82, u16(1), properties(0x0b, 1, 0x0b, 2), filter), PROTOCOL),
  bad(
    'SUBSCRIBE: identifier of five bytes',
    5,
    packet(0x82, u16(1), properties(hex('0b ff ff ff ff 01')), filter),
    MALFORMED,
  ),
  bad('SUBSCRIBE: property of another packet', 5, packet(0x82, u16(1), properties(0x21, u16(1)), filter), MALFORMED),
]

const others: BadPacket[] = [
  bad('UNSUBSCRIBE: header flags 0', 4, packet(0xa0, u16(1), text('a')), MALFORMED),
  bad('UNSUBSCRIBE: packet identifier 0', 5, packet(0xa2, u16(0), none, text('a')), PROTOCOL),
  bad('UNSUBSCRIBE: no filter', 4, packet(0xa2, u16(1)), PROTOCOL),
  bad('UNSUBSCRIBE: no filter', 5, packet(0xa2, u16(1), none), PROTOCOL),
  bad('UNSUBSCRIBE: filter not UTF-8', 4, packet(0xa2, u16(1), SURROGATE), MALFORMED),
  bad('UNSUBSCRIBE: subscription identifier', 5, packet(0xa2, u16(1), properties(0x0b, 1), text('a')), PROTOCOL),
  bad('UNSUBSCRIBE: a byte at the end', 4, packet(0xa2, u16(1), text('a'), 0), MALFORMED),
  bad('PINGREQ: header flags', 4, packet(0xc1), MALFORMED),
  bad('PINGREQ: a byte', 5, packet(0xc0, 0), MALFORMED),
  bad('DISCONNECT: header flags', 4, packet(0xe1), MALFORMED),
  bad('DISCONNECT: a byte', 4, packet(0xe0, 0), MALFORMED),
  bad('DISCONNECT: reason of a server', 5, packet(0xe0, 0x8b), PROTOCOL),
  bad('DISCONNECT: unlisted reason', 5, packet(0xe0, 0x01), PROTOCOL),
  bad('DISCONNECT: server reference', 5, packet(0xe0, 0, properties(0x1c, text('x'))), MALFORMED),
  bad('DISCONNECT: session expiry twice', 5, packet(0xe0, 0, properties(hex('11 00000000 11 00000001'))), PROTOCOL),
  bad('DISCONNECT: bytes behind the properties', 5, packet(0xe0, 0, none, 0), MALFORMED),
  bad('DISCONNECT: reason string not UTF-8', 5, packet(0xe0, 0, properties(0x1f, BAD_UTF8)), MALFORMED),
  bad('DISCONNECT: remaining length too long', 5, hex('e0 81 00 00'), MALFORMED),
  bad('AUTH: in 3.1.1', 4, packet(0xf0, 0x18), PROTOCOL),
  bad('AUTH: header flags', 5, packet(0xf1, 0x18, properties(0x15, text('m'))), MALFORMED),
  bad('AUTH: empty', 5, packet(0xf0), PROTOCOL),
  bad('AUTH: Success', 5, packet(0xf0, 0, properties(0x15, text('m'))), PROTOCOL),
  bad('AUTH: no method', 5, packet(0xf0, 0x18, none), PROTOCOL),
  bad('AUTH: bytes behind the properties', 5, packet(0xf0, 0x18, properties(0x15, text('m')), 0), MALFORMED),
  bad('PUBACK: header flags', 4, packet(0x41, u16(1)), MALFORMED),
  bad('PUBACK: packet identifier 0', 4, packet(0x40, u16(0)), PROTOCOL),
  bad('PUBACK: one byte', 4, packet(0x40, 1), MALFORMED),
  bad('PUBACK: a reason', 4, packet(0x40, u16(1), 0), MALFORMED),
  bad('PUBREC: unlisted reason', 5, packet(0x50, u16(1), 0x92), PROTOCOL),
  bad('PUBREL: header flags 0', 4, packet(0x60, u16(1)), MALFORMED),
  bad('PUBREL: unlisted reason', 5, packet(0x62, u16(1), 0x10), PROTOCOL),
  bad('PUBCOMP: property of another packet', 5, packet(0x70, u16(1), 0, properties(0x21, u16(1))), MALFORMED),
  bad('PUBCOMP: bytes behind the properties', 5, packet(0x70, u16(1), 0, none, 0), MALFORMED),
  bad('second CONNECT', 4, v4(CLEAN, id), PROTOCOL),
  bad('CONNACK from a client', 4, packet(0x20, 0, 0), PROTOCOL),
  bad('SUBACK from a client', 5, packet(0x90, u16(1), none, 0), PROTOCOL),
  bad('PINGRESP from a client', 4, packet(0xd0), PROTOCOL),
  bad('packet type 0', 4, packet(0x00), PROTOCOL),
  bad('PINGREQ', null, packet(0xc0), PROTOCOL),
  bad('PUBLISH', null, packet(0x30, text('a')), PROTOCOL),
  bad('packet type 0', null, packet(0x00), PROTOCOL),
]

export const badPackets: readonly BadPacket[] = [...connects, ...subscribes, ...others]
