import { expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { RetainedPage, RetainedRow } from '../../../src/broker/retaineddesk.ts'
import { type RetainedShown, retainedCommands } from '../../../src/ops/retained.ts'

/** A desk with these payloads by topic, whatever the filter. */
function over(payloads: ReadonlyMap<string, Buffer>) {
  const asked: string[] = []
  const rows = [...payloads].map(
    ([topic, payload]): RetainedRow => ({
      ...{ topic, qos: 1, bytes: payload.length, publisher: 'p', writtenMs: 5, expiresInMs: null },
    }),
  )
  const retained = {
    list: (filter: string, skip: number, max: number) => {
      asked.push(`${filter} ${skip}`)
      return { total: rows.length, rows: rows.slice(skip, skip + max) }
    },
    payload: (topic: string) => payloads.get(topic) ?? null,
    remove: (filter: string, done: (count: number) => void) => {
      asked.push(`remove ${filter}`)
      done(rows.length)
    },
  }
  const commands = retainedCommands(() => Promise.resolve({ retained: retained as never }))
  const run = async (command: string, args: Record<string, unknown>) => commands[command]!.run(args, false)
  return { run, asked, commands }
}

const many = (count: number, bytes: number) =>
  new Map(Array.from({ length: count }, (_, index) => [`t/${index}`, Buffer.alloc(bytes, 0x61)]))

test('list gives a page, and how many there are in all', async () => {
  const { run, asked } = over(many(12_000, 1))
  const page = (await run('retained list', { filter: 't/#', skip: 5000 })) as RetainedPage<RetainedRow>
  expect([page.total, page.rows.length, page.rows[0]!.topic]).toEqual([12_000, 5000, 't/5000'])
  expect(asked).toEqual(['t/# 5000'])
})

test('get gives as many payloads as one answer should hold, one in any case', async () => {
  const small = (await over(many(3, 2)).run('retained get', { filter: '#' })) as RetainedPage<RetainedShown>
  expect(small.rows.map(({ payload }) => payload)).toEqual(['YWE=', 'YWE=', 'YWE='])
  const large = (await over(many(9, 1_000_000)).run('retained get', { filter: '#' })) as RetainedPage<RetainedShown>
  expect([large.rows.length, large.total]).toEqual([4, 9])
  const huge = (await over(many(2, 33 * 1024 * 1024)).run('retained get', {
    filter: '#',
  })) as RetainedPage<RetainedShown>
  expect(huge.rows.map(({ payload }) => payload)).toEqual([null])
})

test('remove says how many', async () => {
  const { run, asked } = over(many(7, 1))
  expect(await run('retained remove', { filter: 'a/+/b' })).toEqual({ removed: 7 })
  expect(asked).toEqual(['remove a/+/b'])
})

test.each([
  ['', /not a topic filter: ""/],
  ['a/#/b', /not a topic filter: "a\/#\/b"/],
  [7, /not a topic filter: 7/],
  ['$share/g/a', /a shared subscription has no retained messages; right would be "a"/],
])('%j is no filter, and why', async (filter, why) => {
  const { run, asked } = over(many(1, 1))
  for (const command of ['retained list', 'retained get', 'retained remove']) {
    const error = await run(command, { filter }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(HostError)
    expect((error as HostError).message).toMatch(why)
  }
  expect(asked).toEqual([])
})

test('none of it is for everybody', () => {
  expect(Object.values(over(new Map()).commands).some(({ everybody }) => everybody)).toBe(false)
})
