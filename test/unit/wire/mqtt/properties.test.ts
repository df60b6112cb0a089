import { expect, test } from 'vitest'
import { Reason } from '../../../../src/base/reasons.ts'
import { allow, Property, PropertyCursor } from '../../../../src/wire/mqtt/properties.ts'
import { hex, join, properties, text } from './bytes.ts'

const everything = allow(...Object.values(Property))

/** All properties as [id, number or bytes], or the reason they are refused for. */
function walk(bytes: Buffer, allowed = everything) {
  const cursor = new PropertyCursor()
  const found: [number, number | string][] = []
  if (!cursor.open(bytes, 0, bytes.length, allowed)) return cursor.error!.reason
  for (let id = cursor.next(); id !== 0; id = cursor.next()) {
    if (id === -1) return cursor.error!.reason
    const value = bytes.toString('latin1', cursor.valueStart, cursor.valueEnd)
    found.push([id, [1, 0x21, 0x11, 0x0b].includes(id) ? cursor.number : value])
  }
  return found
}

test('every type of property', () => {
  const bytes = properties(
    hex('01 01  21 1234  11 fedcba98  0b 8001'),
    join([0x1f, text('why'), 0x09, text(hex('ff 00')), 0x26, text('a'), text('b'), 0x26, text('a'), text('b')]),
  )
  expect(walk(bytes)).toEqual([
    [0x01, 1],
    [0x21, 0x1234],
    [0x11, 0xfedcba98],
    [0x0b, 128],
    [0x1f, 'why'],
    [0x09, '\xff\0'],
    [0x26, '\0\x01a\0\x01b'],
    [0x26, '\0\x01a\0\x01b'],
  ])
})

test('text of the present property', () => {
  const bytes = properties(0x1f, text('é'))
  const cursor = new PropertyCursor()
  cursor.open(bytes, 0, bytes.length, everything)
  expect([cursor.next(), cursor.text(), cursor.next()]).toEqual([Property.reasonString, 'é', 0])
})

test('each property but the user property stands once, in the low and in the high half of the ids', () => {
  expect(walk(properties(hex('01 00 01 00')))).toBe(Reason.protocolError)
  expect(walk(properties(hex('21 0001 21 0001')))).toBe(Reason.protocolError)
  expect(walk(properties(hex('01 00 21 0001')))).toEqual([
    [0x01, 0],
    [0x21, 1],
  ])
})

test.each(Object.entries(Property))('%s is refused where it does not belong, and cut short', (_name, id) => {
  const refused = id === Property.subscriptionId ? Reason.protocolError : Reason.malformedPacket
  expect(walk(properties(id, hex('00 00 00 00')), allow())).toBe(refused)
  expect(walk(properties(id))).toBe(Reason.malformedPacket)
})
