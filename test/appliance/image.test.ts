// `npm run image`, flashed and switched on: the card's files become the box's own, and the unit's limits hold in a machine
// where every one of them is enforced.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NodeStatus } from '../../src/compose.ts'
import { SANDBOX_ANSWERS, TRY_SANDBOX } from '../e2e/sandbox.ts'
import { applianceMissing, Machine } from './vm.ts'

const repository = resolve(import.meta.dirname, '../..')
const MINUTE = 60_000
const CARD_MIB = 2048
const CGROUP = '/sys/fs/cgroup/system.slice/edge-mqtt.service'
const FIELDS = '-p ActiveState -p SubState -p NRestarts -p MainPID --value'

const missing = applianceMissing()
if (missing !== null) console.warn(`\n*** image.test.ts: SKIPPED: ${missing} ***\n`)

describe.runIf(missing === null)('a flashed card', () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-image-'))
  const image = join(folder, 'card.img')
  const ca = join(folder, 'data/state')
  let box: Machine
  let cluster: string
  let id: string

  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  const status = async (): Promise<NodeStatus> => JSON.parse(await box.sh('edge-mqtt status --json')) as NodeStatus
  const isUp = async (): Promise<void> => {
    await box.until('systemctl is-active edge-mqtt', /^active$/, 8 * MINUTE)
  }
  /** A line of the CA's key that stands nowhere else. */
  const secret = (): string => readFileSync(join(ca, 'ca.key'), 'utf8').split('\n')[1]!

  beforeAll(async () => {
    const main = join(repository, 'dist/main.js')
    execFileSync(process.execPath, [main, 'setup', '--new-cluster', '--data-dir', join(folder, 'data')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    execFileSync('npm', ['run', '--silent', 'image', '--', '--out', image], { cwd: repository, stdio: 'inherit' })
    box = new Machine(image, CARD_MIB)
    box.putOnCard(file('edge-mqtt.yaml', 'node: { name: gw-flashed }\n'), 'edge-mqtt.yaml')
    box.makeFolderOnCard('certs')
    for (const name of ['ca.crt', 'ca.key']) box.putOnCard(join(ca, name), `certs/${name}`)
    expect(box.cardHolds(secret())).toBe(true)
    const started = performance.now()
    await box.boot(12 * MINUTE)
    await isUp()
    console.log(`switched on to active: ${Math.round((performance.now() - started) / 1000)} s`)
  })

  afterAll(() => {
    box?.destroy()
    rmSync(folder, { recursive: true, force: true })
  })

  test('has the name of its configuration', async () => {
    expect(await box.sh('hostname; cat /etc/hostname')).toBe('gw-flashed\ngw-flashed')
    expect((await status()).node.name).toBe('gw-flashed')
    expect(await box.sh('cat /etc/edge-mqtt/edge-mqtt.yaml')).toBe('node: { name: gw-flashed }')
  })

  test('is alone in the cluster of the CA from the card, with an identity of its own', async () => {
    await box.until('edge-mqtt status --json', /"state": ?"alone"/, MINUTE)
    const found = await status()
    cluster = found.cluster.id!
    id = found.node.id
    expect(await box.sh('cat /etc/edge-mqtt/certs/ca.crt')).toBe(readFileSync(join(ca, 'ca.crt'), 'utf8').trim())
    expect(await box.sh('stat -c "%a %U:%G" /etc/edge-mqtt/certs/ca.key /var/lib/edge-mqtt/node.key')).toBe(
      '640 root:edge-mqtt\n600 edge-mqtt:edge-mqtt',
    )
    expect(id).not.toBe((JSON.parse(readFileSync(join(ca, 'node.json'), 'utf8')) as { id: string }).id)
  })

  test('leaves no key on the partition that anybody can read', async () => {
    expect(await box.sh('ls /boot/firmware | grep -i -E "certs|edge-mqtt" | sort')).toBe(
      'edge-mqtt-README.txt\nedge-mqtt-example.yaml',
    )
    await box.sh('sync')
    expect(box.cardHolds(secret())).toBe(false)
  })

  test('has a root as large as its card, and nothing that failed', async () => {
    expect(Number(await box.sh('df --output=size -m / | tail -1'))).toBeGreaterThan(CARD_MIB - 256 - 150)
    expect(await box.sh('systemctl --failed --no-legend --plain')).toBe('')
  })

  test('systemd calls the unit safe', async () => {
    const said = await box.sh('systemd-analyze security --no-pager edge-mqtt | tail -1')
    expect(Number(/: ([0-9.]+)/.exec(said)![1])).toBeLessThanOrEqual(2)
  })

  test('the file system is as strict as the unit says', async () => {
    expect((await box.sh(TRY_SANDBOX, 6 * MINUTE)).split('\n')).toEqual(SANDBOX_ANSWERS)
    expect(await box.sh('systemctl is-active edge-mqtt')).toBe('active')
  })

  test('a machine in 1970 starts it all the same', async () => {
    await box.sh('systemctl stop systemd-timesyncd; date -s "1970-01-02 00:00:00"')
    await box.sh('systemctl restart edge-mqtt', 3 * MINUTE)
    expect(await box.sh('date +%Y; systemctl show edge-mqtt -p ActiveState -p StatusText --value | sort')).toMatch(
      /^1970\nactive\ngw-flashed: alone/,
    )
    const self = (await status()).cluster.members.find((member) => member.self)
    expect(self!.sinceMs).toBeLessThan(2 * 24 * 60 * MINUTE)
    expect((await status()).node.id).toBe(id)
    await box.sh('systemctl start systemd-timesyncd; systemctl restart edge-mqtt', 3 * MINUTE)
  })

  test('TasksMax holds: no more tasks than the unit may have', async () => {
    const most = Number(await box.sh('systemctl show edge-mqtt -p TasksMax --value'))
    const spawn = `sh -c 'echo $$ >${CGROUP}/cgroup.procs; for i in $(seq ${most + 20}); do sleep 300 >/dev/null 2>&1 & done'`
    expect(await box.sh(`${spawn} || true`)).toMatch(/[Cc]annot fork/)
    expect(await box.sh(`cat ${CGROUP}/pids.max`)).toBe(String(most))
    expect(Number(await box.sh(`sed -n 's/^max //p' ${CGROUP}/pids.events`))).toBeGreaterThan(0)
    expect(await box.sh('systemctl is-active edge-mqtt')).toBe('active')
    await box.sh('systemctl restart edge-mqtt', 3 * MINUTE)
    expect(Number(await box.sh(`cat ${CGROUP}/pids.current`))).toBeLessThan(40)
  })

  test('MemoryMax holds: what grows beyond it is killed, and the broker comes back', async () => {
    const before = Number(await box.sh('systemctl show edge-mqtt -p NRestarts --value'))
    await box.sh(`(sh -c 'echo $$ >${CGROUP}/cgroup.procs; exec tail /dev/zero' || true)`, 3 * MINUTE)
    await box.until('journalctl -u edge-mqtt --no-pager -o cat', /killed by the OOM killer/, 2 * MINUTE)
    await box.until(
      `systemctl show edge-mqtt ${FIELDS} | paste -sd' '`,
      new RegExp(`(^| )${before + 1}( |$)`),
      3 * MINUTE,
    )
    await isUp()
  })

  test(
    'a file on the card that cannot be used stays, with the reason, and the box goes on as it was',
    async () => {
      await box.powerOff()
      box.putOnCard(file('wrong.yaml', 'node: { nome: gw-wrong }\n'), 'edge-mqtt.yaml')
      await box.boot(12 * MINUTE)
      await isUp()
      expect(await box.sh('cat /boot/firmware/edge-mqtt-errors.txt')).toMatch(/node\.nome/)
      expect(await box.sh('cat /boot/firmware/edge-mqtt.yaml')).toContain('gw-wrong')
      const found = await status()
      expect([found.node.id, found.node.name, found.cluster.id]).toEqual([id, 'gw-flashed', cluster])
      await box.powerOff()
    },
    20 * MINUTE,
  )
})
