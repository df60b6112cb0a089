import { expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'

const ID = '0123456789abcdef'

test('the layout of every field', () => {
  const bytes = new ByteWriter(1)
    .u8(1)
    .u16(0x0203)
    .u32(0xfffefdfc)
    .u48(0xffffffffffff)
    .id(ID)
    .text('é')
    .raw(Buffer.from('xabx'), 1, 3)
    .done()
  expect(bytes.toString('hex')).toBe(`01 0203 fffefdfc ffffffffffff ${ID} 0002c3a9 6162`.replaceAll(' ', ''))
  const reader = new ByteReader(bytes)
  expect([reader.u8(), reader.u16(), reader.u32(), reader.u48()]).toEqual([1, 0x0203, 0xfffefdfc, 0xffffffffffff])
  expect([reader.id(), reader.text(), reader.view(1).toString(), reader.finished()]).toEqual([ID, 'é', 'a', false])
  expect([reader.rest().toString(), reader.remaining, reader.finished()]).toEqual(['b', 0, true])
})

test.each<[name: string, length: number, read: (reader: ByteReader) => unknown, nothing: unknown]>([
  ['u8', 0, (reader) => reader.u8(), 0],
  ['u16', 1, (reader) => reader.u16(), 0],
  ['u32', 3, (reader) => reader.u32(), 0],
  ['u48', 5, (reader) => reader.u48(), 0],
  ['id', 7, (reader) => reader.id(), ''],
  ['view', 7, (reader) => reader.view(8).length, 0],
  ['text without length', 1, (reader) => reader.text(), ''],
  ['text cut short', 2, (reader) => reader.text(), ''],
])('%s past the end reads as nothing, and so does everything after it', (_name, length, read, nothing) => {
  const reader = new ByteReader(Buffer.alloc(20, 1), 5, 5 + length)
  expect(read(reader)).toBe(nothing)
  expect([reader.broken, reader.remaining, reader.u8(), reader.finished()]).toEqual([true, 0, 0, false])
})

test('a reader keeps to its bounds', () => {
  const reader = new ByteReader(Buffer.from([9, 1, 2, 9]), 1, 3)
  expect([reader.u8(), reader.u8(), reader.finished(), reader.u8(), reader.broken]).toEqual([1, 2, true, 0, true])
})

test('a text that does not fit its length is not written', () => {
  const writer = new ByteWriter()
  expect(() => writer.text('x'.repeat(65_536))).toThrow(RangeError)
  expect(writer.length).toBe(0)
  expect(writer.text('x'.repeat(65_535)).length).toBe(65_537)
})

test.each([0, 1, 47, 48, 5000])('%d bytes that are written in place have their length before them', (length) => {
  const writer = new ByteWriter(8).u8(7)
  const at = writer.length32()
  expect(writer.raw(Buffer.alloc(length + 2, 'x'), 1, length + 1).behind(at)).toBe(length)
  const reader = new ByteReader(writer.u8(9).done())
  expect([reader.u8(), reader.view(reader.u32()).toString(), reader.u8()]).toEqual([7, 'x'.repeat(length), 9])
  expect(reader.finished()).toBe(true)
})
