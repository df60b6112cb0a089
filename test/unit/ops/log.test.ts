import { describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import { chooseFormat, journaldLine, type LogLevel, ProcessLog } from '../../../src/ops/log.ts'

function recorded(level: LogLevel) {
  const lines: string[] = []
  const log = new ProcessLog({ write: (line) => void lines.push(line), flushSync: () => {} }, level)
  return { log, lines, objects: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

describe('the form', () => {
  const [terminal, journal] = [true, true]
  test('is chosen by who reads, unless it was asked for', () => {
    expect(chooseFormat('auto', { terminal, journal: false })).toBe('pretty')
    expect(chooseFormat('auto', { terminal: false, journal })).toBe('journald')
    expect(chooseFormat('auto', { terminal: false, journal: false })).toBe('json')
    expect(chooseFormat('json', { terminal, journal })).toBe('json')
  })
})

describe('lines', () => {
  test('have a level, a message and fields', () => {
    const { log, objects } = recorded('info')
    log.log.info({ peer: 'gw-2', rttMs: 3 }, 'link up')
    expect(objects()).toEqual([{ level: 30, time: expect.any(Number), peer: 'gw-2', rttMs: 3, msg: 'link up' }])
  })

  test("a child's lines carry its fields, and a level set later reaches it", () => {
    const { log, objects } = recorded('warn')
    const child = log.log.child({ room: 'cluster' })
    child.info({}, 'unheard')
    log.setLevel('debug')
    child.debug({}, 'heard')
    log.setLevel('error')
    child.warn({}, 'unheard')
    child.error({}, 'always')
    expect(objects().map(({ room, msg }) => [room, msg])).toEqual([
      ['cluster', 'heard'],
      ['cluster', 'always'],
    ])
  })

  test('secrets are taken out, errors are their words', () => {
    const { log, objects } = recorded('info')
    const secrets = { password: 'p', privateKey: 'k', payload: 'x', client: { password: 'p' } }
    log.log.warn({ ...secrets, error: new HostError('failed', 'no such host') }, 'm')
    expect(objects()[0]).toMatchObject({
      password: '[removed]',
      privateKey: '[removed]',
      payload: '[removed]',
      client: { password: '[removed]' },
      error: 'no such host',
    })
  })

  test('for the journal carry a priority and no time', () => {
    const { log, lines } = recorded('debug')
    log.log.debug({}, 'a')
    log.log.info({ peer: 'gw-2', at: '1.2.3.4:5', words: 'two words', list: [1], empty: '' }, 'b')
    log.log.warn({}, 'c')
    log.log.error({ many: 'a\nb' }, 'd')
    expect(lines.map(journaldLine)).toEqual([
      '<7>a\n',
      '<6>b peer=gw-2 at=1.2.3.4:5 words="two words" list=[1] empty=""\n',
      '<4>c\n',
      '<3>d many="a\\nb"\n',
    ])
  })
})
