// What `edge-mqtt invite --list` prints.

import { expect, test } from 'vitest'
import { invitesText } from '../../../src/ops/cli/enrolment.ts'

test('which are good, until when, who has come in by them, and where they were made', () => {
  expect(invitesText([])).toBe('there are no invites: edge-mqtt invite makes one')
  const good = {
    id: '2AZZ',
    state: 'good',
    endMs: Date.UTC(2026, 0, 2),
    uses: 2,
    used: ['gw-4'],
    issuer: true,
    by: 'gw-1',
  }
  const ended = { ...good, id: '7QRS', state: 'expired', used: [], issuer: false }
  const at = new Date(good.endMs).toLocaleString()
  expect(invitesText([good as never, ended as never]).split('\n')).toEqual([
    `2AZZ  good     until ${at}  used 1 of 2: gw-4  made on gw-1, --issuer`,
    `7QRS  expired  ended ${at}  used 0 of 2  made on gw-1`,
  ])
})
