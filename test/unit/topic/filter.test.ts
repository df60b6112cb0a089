import { describe, expect, test } from 'vitest'
import { ProtocolError } from '../../../src/base/errors.ts'
import { Reason } from '../../../src/base/reasons.ts'
import { parseTopicFilter } from '../../../src/topic/filter.ts'
import { parseTopicName } from '../../../src/topic/name.ts'

const LEVELS = 10

describe('parseTopicFilter', () => {
  test.each([
    ['a', false],
    ['/', false],
    ['a//b', false],
    ['$SYS/x', false],
    ['$share', false],
    ['$shared/a', false],
    ['#', true],
    ['+', true],
    ['+/+', true],
    ['/+', true],
    ['a/+/#', true],
    ['+/a/#', true],
    ['$SYS/#', true],
    [' a/é', false],
  ])('takes %s', (text, wildcard) => {
    expect(parseTopicFilter(text, LEVELS)).toEqual({ filter: text, share: null, text, wildcard })
  })

  test.each([
    ['$share/g/a', 'g', 'a', false],
    ['$share/g/#', 'g', '#', true],
    ['$share/g//', 'g', '/', false],
    ['$share/a b/+/c', 'a b', '+/c', true],
    ['$share/g/$share/g/a', 'g', '$share/g/a', false],
  ])('[MQTT-4.8.2-1] takes %s', (text, share, filter, wildcard) => {
    expect(parseTopicFilter(text, LEVELS)).toEqual({ filter, share, text, wildcard })
  })

  test.each([
    ['[MQTT-4.7.3-1] empty', ''],
    ['[MQTT-4.7.1-1] # not last', 'a/#/b'],
    ['# not last', '#/'],
    ['# within a level', 'a#'],
    ['# before text', '#a'],
    ['##', '##'],
    ['[MQTT-4.7.1-2] + within a level', 'a+'],
    ['+ before text', '+a'],
    ['++', 'a/++'],
    ['+#', '+#'],
    ['[MQTT-4.7.3-2] null', 'a\0'],
    ['too many levels', '/'.repeat(LEVELS)],
    ['[MQTT-4.7.3-3] too long', 'é'.repeat(32_768)],
    ['share without filter', '$share/g'],
    ['share with empty filter', '$share/g/'],
    ['share without name', '$share//a'],
    ['share without anything', '$share/'],
    ['share name with +', '$share/+/a'],
    ['share name with #', '$share/g#/a'],
    ['share name with null', '$share/\0/a'],
    ['shared filter with a bad wildcard', '$share/g/a#'],
    ['shared filter with too many levels', `$share/g/${'/'.repeat(LEVELS)}`],
  ])('refuses: %s', (_why, text) => {
    const error = parseTopicFilter(text, LEVELS)
    expect(error).toBeInstanceOf(ProtocolError)
    expect((error as ProtocolError).reason).toBe(Reason.topicFilterInvalid)
  })

  test('the levels of $share/group/ do not count', () => {
    expect(parseTopicFilter(`$share/g/${'a/'.repeat(LEVELS - 1)}a`, LEVELS)).toMatchObject({ share: 'g' })
  })
})

describe('parseTopicName', () => {
  test.each(['a', '/', 'a/b', '//', '$SYS/a', 'é', ' ', `${'/'.repeat(LEVELS - 1)}`])('takes %j', (text) => {
    expect(parseTopicName(text, LEVELS)).toBe(text)
  })

  test.each([
    ['[MQTT-4.7.3-1] empty', ''],
    ['[MQTT-4.7.1-1] #', 'a/#'],
    ['# within a level', 'a#b'],
    ['+', '+/a'],
    ['+ within a level', 'a+'],
    ['[MQTT-4.7.3-2] null', 'a\0b'],
    ['too many levels', '/'.repeat(LEVELS)],
    ['[MQTT-4.7.3-3] too long', 'x'.repeat(65_536)],
  ])('refuses: %s', (_why, text) => {
    const error = parseTopicName(text, LEVELS)
    expect(error).toBeInstanceOf(ProtocolError)
    expect((error as ProtocolError).reason).toBe(Reason.topicNameInvalid)
  })

  test('65,535 bytes are not too long', () => {
    expect(parseTopicName('x'.repeat(65_535), LEVELS)).toHaveLength(65_535)
  })
})
