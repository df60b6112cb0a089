// Installed gateways that come in without the folder of the first: by a code, by a look, in the place of a dead one.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Box, boxesLeftOut } from './box.ts'
import { Lan, until } from './lan.ts'
import { release } from './release.ts'

const inviteOf = (box: Box): string =>
  (JSON.parse(box.exec('edge-mqtt', 'invite', '--json')) as { readonly code: string }).code

describe.skipIf(boxesLeftOut('joinboxes.test.ts'))('install.sh on a LAN with a cluster', () => {
  let folder: string
  let lan: Lan
  let tree: string
  const boxes: Box[] = []

  /** A fresh box with the folder of a release, and no CA in it. */
  const fresh = async (place: number): Promise<Box> => {
    const box = new Box(lan, place)
    boxes.push(box)
    await box.boot()
    box.push(tree, '/root/edge-mqtt')
    return box
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-release-'))
    tree = release(folder)
    lan = new Lan({ gateways: 4 })
    const first = await fresh(1)
    first.exec('/root/edge-mqtt/install.sh')
  })

  afterAll(async () => {
    for (const box of boxes) await box.destroy()
    lan?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  test('--join CODE makes a member, a wrong code leaves nothing behind', async () => {
    const [first] = boxes as [Box]
    const second = await fresh(2)
    const wrong = second.try('/root/edge-mqtt/install.sh', '--join', '2222-2222-2222-2222-2222-2222')
    expect(wrong.status).toBe(1)
    expect(wrong.output).toMatch(/no member of the cluster that the code is for is heard here/)
    expect(second.try('test', '-e', '/opt/edge-mqtt').status).toBe(1)
    const said = second.exec('/root/edge-mqtt/install.sh', '--join', inviteOf(first))
    expect(said).toContain(`this node is a member of cluster ${first.status().cluster.id}`)
    await until('both are linked', 20_000, () => first.links() === 1 && second.links() === 1)
    await second.reboot()
    await until('and again after a reboot', 30_000, () => first.links() === 1 && second.links() === 1)
  })

  test('without one, systemctl status says what to type on a member', async () => {
    const [first, second] = boxes as [Box, Box]
    const third = await fresh(3)
    expect(third.exec('/root/edge-mqtt/install.sh')).toContain('it shows four words')
    const typed = await until('the Status line', 20_000, () =>
      /edge-mqtt cluster approve ([0-9a-f]{16}) \((\w+ \w+ \w+ \w+)\)/.exec(third.property('StatusText')),
    )
    expect(second.exec('edge-mqtt', 'cluster', 'status')).toContain(typed[2]!)
    second.exec('edge-mqtt', 'cluster', 'approve', typed[1]!)
    await until('all are linked', 20_000, () => [first, second, third].every((box) => box.links() === 2))
  })

  test('--replace NAME puts it in the place of a dead one', async () => {
    const [first, second, third] = boxes as [Box, Box, Box]
    await second.crash()
    await until('it is dead', 20_000, () => first.status().cluster.members.some(({ state }) => state === 'dead'))
    const card = await fresh(4)
    card.exec('/root/edge-mqtt/install.sh', '--join', inviteOf(first), '--replace', 'gw-2')
    // The dead box had the CA's key: while the CA is replaced the others link for a minute with nobody they do not know.
    await until('all are linked', 150_000, () => [first, third, card].every((box) => box.links() === 2))
    expect(card.status().node.name).toBe('gw-2')
    const named = first.status().cluster.members.filter(({ name, state }) => name === 'gw-2' && state === 'alive')
    expect(named.map(({ id }) => id)).toEqual([card.status().node.id])
  })
})
