// install.sh and what can be wrong: it stops with what, why and what to type, and leaves the box as it was. And its ways
// that are not the plain one: into an image, without a start, in mosquitto's place.

import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Box, boxesLeftOut } from './box.ts'
import { makeCerts } from './certs.ts'
import { Lan, until } from './lan.ts'
import { release, rewrite } from './release.ts'

/** Everything that an installation could have touched, but for the backups that useradd keeps and the daemon's own segments. */
const stateOf = (box: Box): string =>
  box.sh(
    [
      `find /opt /etc /usr/local /var/lib/edge-mqtt -not -name '*-' -not -name .pwd.lock -not -path '*/store/*' -printf '%p %m %u:%g %l\\n' 2>/dev/null | sort`,
      'sort /etc/passwd /etc/group',
      'systemctl is-active edge-mqtt mosquitto',
      'true',
    ].join('; '),
  )

/** Somebody else at a port, as a service. */
const holder = (port: number): string =>
  `[Service]\nExecStart=/usr/bin/perl -MIO::Socket::INET -e 'my $$s = IO::Socket::INET->new(LocalPort => ${port}, Listen => 1, ReuseAddr => 1) or die; sleep'\n[Install]\nWantedBy=multi-user.target\n`

/** A program that answers every question but does not start. */
const UNWILLING = `if (process.argv.length === 3 && process.argv[2] === 'start') process.exit(1)\nawait import('./willing.js')\n`

describe.skipIf(boxesLeftOut('badinstall.test.ts'))('install.sh', () => {
  let folder: string
  let tree: string
  let lan: Lan
  let box: Box
  let before: string

  const install = (...options: readonly string[]) => box.try('/srv/case/install.sh', ...options)

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'edge-mqtt-release-'))
    tree = release(folder)
    for (const name of ['one', 'two']) makeCerts(folder, name)
    lan = new Lan({ gateways: 2 })
    box = await new Box(lan, 1).boot()
    box.push(tree, '/srv/release')
    for (const name of ['one', 'two']) box.push(join(folder, name), `/srv/${name}`)
  })

  afterAll(async () => {
    await box?.destroy()
    lan?.down()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  // Links, so that each case costs nothing: what a case changes it must write anew.
  beforeEach(() => {
    box.sh('rm -rf /srv/case && cp -al /srv/release /srv/case')
  })

  describe('before the first installation', () => {
    // [what is wrong, how it becomes so, what install.sh says, how it is mended]
    test.each<[string, string, RegExp, string]>([
      [
        'a damaged file',
        'cp dist/main.js m; echo >>m; mv m dist/main.js',
        /damaged[\s\S]*dist\/main\.js: FAILED[\s\S]*copy the tarball again/,
        '',
      ],
      ['a file that is missing', 'rm -r dist/ops', /damaged[\s\S]*FAILED open or read/, ''],
      ['no checksums', 'rm SHA256SUMS', /not whole: SHA256SUMS is missing[\s\S]*unpack the tarball again/, ''],
      [
        'another architecture',
        `cp node/bin/node n; printf '\\267' | dd of=n bs=1 seek=18 conv=notrunc status=none; mv n node/bin/node
         grep -v node/bin/node SHA256SUMS >s; sha256sum node/bin/node >>s; mv s SHA256SUMS`,
        /made for arm64, this system is x64[\s\S]*take the release for linux-x64/,
        '',
      ],
      ['a CA without its key', 'cp /srv/one/ca.crt certs/', /half a CA: ca\.key is missing[\s\S]*copy both/, ''],
      ['a key without its CA', 'cp /srv/one/ca.key certs/', /half a CA: ca\.crt is missing[\s\S]*copy both/, ''],
      [
        'a key of another CA',
        'cp /srv/one/ca.crt /srv/two/ca.key certs/',
        /not the key of \S*ca\.crt[\s\S]*cannot be used/,
        '',
      ],
      [
        'a CA that is none',
        'cp README.md certs/ca.crt; cp /srv/one/ca.key certs/',
        /ca\.crt: [\s\S]*cannot be used/,
        '',
      ],
      [
        'a wrong configuration',
        'mkdir /etc/edge-mqtt; echo "listeners: { mqtt: { prot: 1 } }" >/etc/edge-mqtt/edge-mqtt.yaml',
        /edge-mqtt\.yaml[\s\S]*prot[\s\S]*does not fit this version/,
        'rm -r /etc/edge-mqtt',
      ],
      [
        'a port that is taken',
        'systemctl start holder; until ss -Hltn | grep -q :1883; do :; done',
        /listeners\.mqtt\.port: [\s\S]*1883[\s\S]*a port that edge-mqtt needs is taken[\s\S]*choose other ones/,
        'systemctl stop holder',
      ],
      [
        'mosquitto at the port',
        'systemctl start mosquitto; until ss -Hltn | grep -q :1883; do :; done',
        /1883[\s\S]*mosquitto runs here[\s\S]*sudo \.\/install\.sh --replace-mosquitto/,
        'systemctl stop mosquitto',
      ],
      [
        'no space for what it keeps',
        'mount -t tmpfs -o size=5M none /var/lib',
        /no space in \/var\/lib: \d+ MiB are free, 10 MiB are needed[\s\S]*make room/,
        'umount /var/lib',
      ],
      [
        'no space',
        'mount -t tmpfs -o size=20M none /opt',
        /no space in \/opt: \d+ MiB are free, \d+ MiB are needed/,
        'umount /opt',
      ],
    ])('%s: nothing is changed', (_what, spoil, says, mend) => {
      for (const unit of ['holder', 'mosquitto']) box.write(`/etc/systemd/system/${unit}.service`, holder(1883))
      box.sh('systemctl daemon-reload')
      try {
        box.sh(`cd /srv/case; ${spoil}`)
        before = stateOf(box)
        const { status, output } = install()
        expect(output).toMatch(says)
        expect(status).toBe(1)
        expect(stateOf(box)).toBe(before)
      } finally {
        if (mend !== '') box.sh(mend)
      }
    })

    test('options that are none, or not yet', () => {
      expect(install('--jion')).toMatchObject({ status: 64, output: expect.stringContaining('unknown option --jion') })
      for (const [words, ...args] of [
        ['needs a code', '--join'],
        ['go with --join CODE', '--replace', 'gw-2'],
        ['goes neither with --new-cluster', '--join', 'abc', '--new-cluster'],
        ['not the name of a box', '--join', 'abc', '--replace', 'a b'],
      ]) {
        expect(install(...args)).toMatchObject({ status: 1, output: expect.stringContaining(words!) })
      }
      expect(install('--purge')).toMatchObject({ status: 1, output: expect.stringContaining('goes with --uninstall') })
      expect(install('--prefix', '/srv')).toMatchObject({
        status: 1,
        output: expect.stringContaining('holds no system'),
      })
      const asNobody = box.try('setpriv', '--reuid=65534', '--clear-groups', '/srv/case/install.sh')
      expect(asNobody).toMatchObject({ status: 1, output: expect.stringContaining('type: sudo ./install.sh') })
      const bare = box.try('unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /run/systemd && /srv/case/install.sh')
      expect(bare).toMatchObject({ status: 1, output: expect.stringContaining('systemd is not running here') })
    })

    test('an interruption is taken back', async () => {
      before = stateOf(box)
      box.sh('setsid /srv/case/install.sh >/srv/said 2>&1 & echo $! >/srv/pid')
      await until('it is in the midst of it', 20_000, () => box.sh('cat /srv/said').includes('listening for a cluster'))
      box.sh('kill -TERM -$(cat /srv/pid)')
      await until('it has ended', 20_000, () => box.sh('cat /srv/said').includes('what was changed has been put back'))
      expect(box.sh('cat /srv/said')).toContain('install.sh: interrupted')
      expect(stateOf(box)).toBe(before)
    })

    test('a service that does not start is taken back whole', () => {
      unwilling()
      before = stateOf(box)
      const { status, output } = install('--new-cluster')
      expect(status).toBe(1)
      expect(output).toMatch(/the service does not start[\s\S]*what was changed has been put back/)
      expect(stateOf(box)).toBe(before)
    })
  })

  /** Makes the case a release whose daemon ends at once. */
  const unwilling = (): void => {
    const outside = join(box.root, 'srv/case')
    execFileSync('cp', [join(outside, 'dist/main.js'), join(outside, 'dist/willing.js')])
    rewrite(outside, 'dist/main.js', UNWILLING)
  }

  describe("in mosquitto's place", () => {
    test('with --replace-mosquitto, and --uninstall puts it back', async () => {
      box.sh('systemctl enable --now mosquitto')
      const said = box.exec('/srv/case/install.sh', '--new-cluster', '--replace-mosquitto')
      expect(said).toContain('mosquitto is stopped and disabled')
      expect(box.try('systemctl', 'is-enabled', 'mosquitto').output.trim()).toBe('disabled')
      expect(box.property('ActiveState')).toBe('active')
      // An upgrade remembers it.
      box.exec('/srv/case/install.sh')
      box.exec('/srv/case/install.sh', '--uninstall', '--purge')
      expect(box.exec('systemctl', 'is-enabled', 'mosquitto').trim()).toBe('enabled')
      await until('mosquitto runs', 5_000, () => box.property('ActiveState', 'mosquitto') === 'active')
    })

    test('a failure puts it back at once', () => {
      unwilling()
      before = stateOf(box)
      expect(install('--replace-mosquitto', '--new-cluster').status).toBe(1)
      expect(stateOf(box)).toBe(before)
      box.sh('systemctl disable --now mosquitto')
    })
  })

  describe('over an installation', () => {
    beforeAll(() => {
      box.sh('rm -rf /srv/case && cp -al /srv/release /srv/case')
      box.sh('SUDO_USER=games SUDO_UID=5 SUDO_GID=60 /srv/case/install.sh --new-cluster')
      box.sh('cp -a /srv/case/certs /srv/certs')
    })

    test('whoever called sudo may use all commands, and owns the CA in the folder', () => {
      expect(box.sh('id -nG games')).toContain('edge-mqtt')
      expect(box.sh('stat -c "%a %u:%g" /srv/certs/ca.key')).toBe('600 5:60\n')
    })

    test('another CA is refused, and the running one left alone', () => {
      box.sh('cp /srv/one/* /srv/case/certs/')
      before = stateOf(box)
      expect(install()).toMatchObject({ status: 1, output: expect.stringContaining('is not the CA that this box has') })
      expect(stateOf(box)).toBe(before)
      expect(box.property('ActiveState')).toBe('active')
    })

    test('a version that does not start gives way to the one before, which runs again', async () => {
      unwilling()
      before = stateOf(box)
      const { status, output } = install()
      expect(status).toBe(1)
      expect(output).toContain('the version that ran before runs again')
      await until('it runs', 10_000, () => box.property('ActiveState') === 'active')
      expect(stateOf(box)).toBe(before)
      box.exec('edge-mqtt', 'status')
    })

    test('two at a time are one too many', () => {
      const output = box.sh('flock /run/edge-mqtt-install.lock /srv/case/install.sh 2>&1 || true')
      expect(output).toContain('another install.sh is at work here')
    })

    test('--no-start leaves the running one alone; after a purge it only enables', () => {
      const pid = box.property('MainPID')
      expect(box.exec('/srv/case/install.sh', '--no-start')).toContain('sudo systemctl restart edge-mqtt')
      expect(box.property('MainPID')).toBe(pid)
      box.exec('/srv/case/install.sh', '--uninstall', '--purge')
      expect(box.exec('/srv/case/install.sh', '--no-start')).toContain('It starts at the next boot')
      expect(box.property('ActiveState')).toBe('inactive')
      expect(box.exec('systemctl', 'is-enabled', 'edge-mqtt').trim()).toBe('enabled')
      expect(box.sh('ls -A /var/lib/edge-mqtt')).toBe('')
    })
  })

  describe('with the Node.js of the distribution', () => {
    // What a clone has after it was built: no Node of its own, and no checksums.
    const built = (at: Box): void => {
      at.sh('rm -rf /srv/case && cp -al /srv/release /srv/case && rm -r /srv/case/node /srv/case/SHA256SUMS')
    }

    test('it runs on one that is new enough', () => {
      built(box)
      box.exec('/srv/case/install.sh', '--new-cluster')
      expect(box.property('ActiveState')).toBe('active')
      expect(box.sh('readlink /opt/edge-mqtt/node/bin/node')).toBe('/usr/bin/node\n')
      box.exec('/srv/case/install.sh', '--uninstall', '--purge')
    })

    test('where there is none and none to be had, it says what to take instead', async () => {
      const bare = await new Box(lan, 2, 'bookworm').boot()
      try {
        bare.push(tree, '/srv/release')
        built(bare)
        before = stateOf(bare)
        const { status, output } = bare.try('/srv/case/install.sh')
        expect(status).toBe(1)
        expect(output).toMatch(
          /Node\.js 20\.19 is needed and could not be installed[\s\S]*release tarball: it brings its own/,
        )
        expect(stateOf(bare)).toBe(before)
      } finally {
        await bare.destroy()
      }
    })
  })

  describe('into an image', () => {
    let image: Box

    afterEach(() => image?.destroy())

    test("lays everything in but an identity, and the first boot makes one under the image's CA", async () => {
      image = new Box(lan, 2)
      const installer = join(folder, 'an image')
      execFileSync('cp', ['-al', tree, installer])
      execFileSync('sh', ['-c', `cp '${folder}'/one/ca.* '${installer}/certs/'`])
      const said = execFileSync(join(installer, 'install.sh'), ['--prefix', image.root], { encoding: 'utf8' })
      expect(said).toContain("First setup runs at that system's first boot")
      expect(execFileSync('ls', ['-A', join(image.root, 'var/lib/edge-mqtt')], { encoding: 'utf8' })).toBe('')
      await image.boot()
      await until('it is active', 30_000, () => image.property('ActiveState') === 'active')
      const { cluster } = JSON.parse(image.exec('edge-mqtt', 'status', '--json'))
      expect(new X509Certificate(readFileSync(join(folder, 'one/ca.crt'))).subject).toContain(cluster.id)
      expect(image.sh('cat /etc/edge-mqtt/certs/ca.crt')).toBe(readFileSync(join(folder, 'one/ca.crt'), 'utf8'))
      expect(image.sh('stat -c "%a %U:%G" /etc/edge-mqtt/certs/ca.key /var/lib/edge-mqtt')).toBe(
        '640 root:edge-mqtt\n700 edge-mqtt:edge-mqtt\n',
      )
    })
  })
})
