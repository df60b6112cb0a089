// What `ca rotate`, `ca seal` and `cluster remove` print: whom it reached, whom not, and what is left to do.

import { expect, test } from 'vitest'
import { removalText, rotationText, sealingText } from '../../../src/ops/cli/trust.ts'
import type { ShownRemoval, ShownRotation } from '../../../src/ops/trust.ts'

const node = (digit: string) => ({ id: digit.repeat(16) as never, name: `gw-${digit}` })
const [one, two, three] = [node('1'), node('2'), node('3')] as const
const rotation: ShownRotation = {
  generation: 1,
  fingerprint: 'abcd',
  compromised: false,
  confirmed: [two],
  missing: [three],
  holders: [{ ...one, self: true, linked: true }],
}
const removal: ShownRemoval = { ...three, confirmed: [two], missing: [], keptCa: false, rotation: null }

test('a rotation names who is on the new CA, who is not and what those need, and the key', () => {
  expect(rotationText(rotation)).toBe(
    'the CA was replaced (once until now); its fingerprint: abcd\n' +
      '  members on it:       gw-2 (2222222222222222) and this box\n' +
      '  not yet:             gw-3 (3333333333333333); they need nothing: they follow when they are linked, for 90 days\n' +
      '  its key is on:       gw-1 (1111111111111111)\n' +
      '  for your devices:    edge-mqtt ca show > ca.crt',
  )
})

test('a rotation of a compromised CA says who needs a code, and what the old key was good for', () => {
  const text = rotationText({ ...rotation, generation: 2, compromised: true })
  expect(text).toContain('(2 times until now)')
  expect(text).toContain('they need a code ("edge-mqtt invite")')
  expect(text).toContain('edge-mqtt user passwd devices')
  expect(rotationText({ ...rotation, confirmed: [], missing: [] })).toContain('not yet:             nobody\n')
})

test('a removal says who has confirmed it, and what became of the CA', () => {
  expect(removalText(removal)).toBe(
    'gw-3 (3333333333333333) was removed\n' +
      '  confirmed by:        gw-2 (2222222222222222) and this box\n' +
      '  not yet:             nobody',
  )
  expect(removalText({ ...removal, confirmed: [], missing: [two] })).toContain('they hear of it when they are linked')
  expect(removalText({ ...removal, keptCa: true })).toContain('which stays')
  expect(removalText({ ...removal, rotation })).toContain('it had the key of the CA, so:\nthe CA was replaced')
  expect(removalText({ ...removal, rotation: { failed: 'why' } })).toMatch(
    /could not be replaced: why\n.*--compromised$/,
  )
  // Somebody that only others know has no name here.
  expect(removalText({ ...removal, name: three.id })).toContain('3333333333333333 was removed')
})

test('a sealing says where the key is, and where people have to delete it themselves', () => {
  const sealing = { kept: [one, two], deleted: [three], missing: [], inBundle: [] }
  expect(sealingText(sealing)).toBe(
    'the key of the CA is on gw-1 (1111111111111111), gw-2 (2222222222222222)\n  deleted from:        gw-3 (3333333333333333)',
  )
  expect(sealingText({ ...sealing, missing: [three], inBundle: [three] })).toMatch(
    /not reached: +gw-3 .*say it again when they are linked\n.*certs\/ of: +gw-3 .*rm \/etc\/edge-mqtt\/certs\/ca\.key$/,
  )
})
