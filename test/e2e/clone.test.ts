// A gateway installed from a clone of the repository, with the distribution's Node.js: built on the box itself by whoever
// called sudo; and a 32-bit system, for which there is no release. The boxes have no network, so that npm is given its
// packages in a cache.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Box, boxCache, boxesLeftOut } from './box.ts'
import { Lan, until } from './lan.ts'
import { release } from './release.ts'

const repository = resolve(import.meta.dirname, '../..')
const CLONE = '/home/pi/edge-mqtt'

const sh = (script: string, ...args: readonly string[]): string =>
  execFileSync('sh', ['-ec', script, 'sh', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** This tree as a repository of its own, with what is not committed yet. */
function repositoryOf(folder: string): string {
  const origin = join(folder, 'origin')
  sh(
    `cd "$1"; git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null >"$2.files" || true
     mkdir "$2"; tar -cf - -T "$2.files" | tar -xf - -C "$2"
     cd "$2"; git init -q; git add -A; git -c user.name=test -c user.email=test@localhost commit -qm 'as it is'`,
    repository,
    origin,
  )
  return origin
}

/** npm's cache with all that the lock names for this machine; kept between runs. */
function packages(folder: string): string {
  const cache = join(boxCache(), 'npm')
  sh(
    `mkdir "$1/packages"; cp "$2/package.json" "$2/package-lock.json" "$1/packages/"; cd "$1/packages"
     npm ci --cache "$3" --prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error`,
    folder,
    repository,
    cache,
  )
  return cache
}

describe.skipIf(boxesLeftOut('clone.test.ts'))('a gateway with the Node.js of its distribution', () => {
  let folder: string
  let lan: Lan
  let box: Box
  let small: Box

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-clone-'))
    lan = new Lan({ gateways: 2 })
    box = await new Box(lan, 1, 'trixie-npm').boot()
    box.push(repositoryOf(folder), '/srv/edge-mqtt')
    box.sh('useradd --create-home pi && git config --system --add safe.directory "*"')
    box.sh(`runuser -u pi -- git clone -q /srv/edge-mqtt ${CLONE}`)
  })

  afterAll(async () => {
    await small?.destroy()
    await box?.destroy()
    lan?.down()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  /** As sudo calls it: root's HOME, and who it was. */
  const install = (...options: readonly string[]) =>
    box.try('env', 'HOME=/root', 'SUDO_USER=pi', 'SUDO_UID=1000', 'SUDO_GID=1000', `${CLONE}/install.sh`, ...options)

  test('without network: says what could not be had, and changes nothing', () => {
    const { status, output } = install('--new-cluster')
    expect(output).toMatch(/building[\s\S]*the packages could not be fetched: see above\n {2}nothing was changed/)
    expect(status).toBe(1)
    expect(box.sh('ls -d /opt/edge-mqtt* /etc/edge-mqtt /var/lib/edge-mqtt 2>/dev/null; true')).toBe('')
  })

  test('is built by whoever called sudo, and installed without what only building takes', () => {
    box.push(packages(folder), '/home/pi/packages')
    const registry = execFileSync('npm', ['config', 'get', 'registry'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    box.write('/home/pi/.npmrc', `offline=true\ncache=/home/pi/packages\nregistry=${registry}`)
    box.sh('chown -R pi:pi /home/pi')
    const { status, output } = install('--new-cluster')
    expect(output).toContain('edge-mqtt runs on gw-1 and will at every boot')
    expect(status).toBe(0)
    expect(box.property('StatusText')).toMatch(/^gw-1: alone/)
    expect(box.sh(`stat -c %U ${CLONE}/dist ${CLONE}/node_modules ${CLONE}/certs/ca.key`)).toBe('pi\npi\npi\n')
    expect(box.sh('find /opt/edge-mqtt ! -user root | head')).toBe('')
    expect(box.sh('ls /opt/edge-mqtt/node_modules | grep -E "^(typescript|vitest|mqtt|pino)$"')).toBe('pino\n')
    expect(box.sh('readlink -f /proc/$(systemctl show -p MainPID --value edge-mqtt)/exe')).toBe('/usr/bin/node\n')
    expect(box.sh(`cd ${CLONE} && runuser -u pi -- git status --short`)).toBe('')
  })

  test('git pull and a second run upgrade it in place', () => {
    const before = box.status()
    box.sh(
      `cd /srv/edge-mqtt && sed -i 's/"version": "${before.node.version}"/"version": "99.0.1"/' package.json &&
       git -c user.name=test -c user.email=test@localhost commit -qam newer && runuser -u pi -- git -C ${CLONE} pull -q`,
    )
    expect(install()).toMatchObject({ status: 0 })
    const after = box.status()
    expect([after.node.version, after.node.id]).toEqual(['99.0.1', before.node.id])
  })

  describe('with 32 bits, under a kernel with 64', () => {
    beforeAll(async () => {
      small = await new Box(lan, 2, 'trixie-i386').boot()
      expect(small.sh('uname -m; getconf LONG_BIT; node -p process.arch')).toBe('x86_64\n32\nia32\n')
      small.push(release(folder), '/root/release')
    })

    test('refuses the release, and says what to take instead', () => {
      const { status, output } = small.try('/root/release/install.sh')
      expect(output).toMatch(/made for x64, this system is ia32\n.*on a 32-bit system install from a clone/)
      expect(status).toBe(1)
      expect(small.sh('ls -d /opt/edge-mqtt* /etc/edge-mqtt 2>/dev/null; true')).toBe('')
    })

    test('needs nothing that was compiled: what was built elsewhere is installed, and links', async () => {
      // A clone after its build. It is not built here, because the compiler's makers have none for this kind of machine.
      small.sh('cp -a /root/release /root/built && cd /root/built && rm -r node SHA256SUMS')
      expect(small.sh('find /root/built -name "*.node" -o -name "*.wasm"')).toBe('')
      for (const file of ['ca.crt', 'ca.key'])
        small.push(join(box.root, CLONE, 'certs', file), `/root/built/certs/${file}`)
      expect(small.exec('/root/built/install.sh')).toContain('edge-mqtt runs on gw-2 and will at every boot')
      expect(small.sh('readlink -f /proc/$(systemctl show -p MainPID --value edge-mqtt)/exe')).toBe('/usr/bin/node\n')
      await until('both are linked', 20_000, () => box.links() === 1 && small.links() === 1)
      await until('systemctl status says so', 20_000, () => /2 of 2 members linked/.test(small.property('StatusText')))
      expect(small.journal()).not.toMatch(/warn|Failed/i)
    })

    test('keeps what it has acknowledged over a reboot, and passes it on', async () => {
      const local = (place: number, command: string, ...args: readonly string[]) =>
        lan.exec(place, command, '-h', '127.0.0.1', '-q', '1', '-t', 'over/there', ...args)
      local(2, 'mosquitto_sub', '-c', '-i', 'keeper', '-E')
      await until('the route is known', 10_000, () => box.status().routes === 1)
      local(1, 'mosquitto_pub', '-m', 'to 32 bits')
      local(2, 'mosquitto_pub', '-m', 'among them')
      await small.reboot()
      await until('it is active', 20_000, () => small.property('ActiveState') === 'active')
      expect(local(2, 'mosquitto_sub', '-c', '-i', 'keeper', '-C', '2', '-W', '10')).toBe('to 32 bits\namong them\n')
    })
  })
})
