import { expect, test } from 'vitest'
import { isMqttString, utf8Length, writeUtf8 } from '../../../../src/wire/mqtt/utf8.ts'
import { hex } from './bytes.ts'

const good = (bytes: string) => {
  const inside = hex(`ff ${bytes} ff`)
  return isMqttString(inside, 1, inside.length - 1)
}

test.each([
  ['nothing', ''],
  ['ASCII', '20 7e 7f 01'],
  ['the first and last of two bytes', 'c280 dfbf'],
  ['the first and last of three bytes', 'e0a080 efbfbf'],
  ['around the surrogates', 'ed9fbf ee8080'],
  ['the first and last of four bytes', 'f0908080 f48fbfbf'],
  ['[MQTT-1.5.4-3] a byte order mark', 'efbbbf 61'],
])('takes %s', (_what, bytes) => {
  expect(good(bytes)).toBe(true)
})

test.each([
  ['[MQTT-1.5.4-2] U+0000', '61 00 62'],
  ['U+0000 in two bytes', 'c080'],
  ['overlong in two bytes', 'c1bf'],
  ['overlong in three bytes', 'e09fbf'],
  ['overlong in four bytes', 'f08fbfbf'],
  ['[MQTT-1.5.4-1] the first surrogate', 'eda080'],
  ['the last surrogate', 'edbfbf'],
  ['a pair of surrogates', 'eda0bd edb880'],
  ['above U+10FFFF', 'f4908080'],
  ['five bytes', 'f888808080'],
  ['a continuation alone', '61 80'],
  ['FE', 'fe'],
  ['FF', 'ff'],
  ['two bytes cut short', '61 c3'],
  ['three bytes cut short', 'e282'],
  ['four bytes cut short', 'f09f98'],
  ['two bytes interrupted', 'c361'],
  ['three bytes interrupted', 'e28261'],
  ['four bytes interrupted', 'f09f9861'],
])('refuses %s', (_what, bytes) => {
  expect(good(bytes)).toBe(false)
})

test.each(['', 'a/b', 'é', 'x'.repeat(63), 'x'.repeat(65), `${'x'.repeat(60)}é`, '€'.repeat(100), '\u{1F600}\uFEFF'])(
  'writes %j as Buffer does',
  (text) => {
    const wanted = Buffer.from(text)
    const into = Buffer.alloc(wanted.length + 4)
    expect(utf8Length(text)).toBe(wanted.length)
    expect(writeUtf8(text, into, 2)).toBe(2 + wanted.length)
    expect(into).toEqual(Buffer.concat([Buffer.alloc(2), wanted, Buffer.alloc(2)]))
  },
)
