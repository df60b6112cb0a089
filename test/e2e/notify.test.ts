// The voice towards systemd, heard at a real datagram socket. perl hears: Node has no such sockets.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '../../src/base/ports/log.ts'
import { openVoice } from '../../src/ops/notify.ts'
import { program } from './gateway.ts'
import { until } from './lan.ts'

const EAR = `use Socket; $| = 1;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_un($ARGV[0])) or die;
while (defined recv($s, my $heard, 65536, 0)) { $heard =~ tr/\\n/|/; print "$heard\\n" }`

const perl = (() => {
  try {
    return execFileSync('sh', ['-c', 'command -v perl'], { encoding: 'utf8' }).trim()
  } catch {
    console.warn('\n*** notify.test.ts: end-to-end tests SKIPPED: perl is not installed ***\n')
    return null
  }
})()

describe.skipIf(perl === null)('the voice', () => {
  let directory: string
  let socket: string
  let ear: ChildProcess
  let heard: string

  const helpersOf = (pid: number): string[] =>
    execFileSync('sh', ['-c', `pgrep -P ${pid} -f '^edge-mqtt notify' || true`], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean)
  const lines = () => heard.split('\n').filter(Boolean)

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-notify-'))
    socket = join(directory, 'notify')
    heard = ''
    ear = spawn('perl', ['-e', EAR, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
    ear.stdout!.on('data', (bytes: Buffer) => {
      heard += bytes.toString()
    })
    await until('somebody listens', 5_000, () => existsSync(socket))
  })

  afterEach(() => {
    ear.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  })

  test('says each word as one datagram, in order and whole, by one helper that ends with us', async () => {
    const voice = openVoice({ ...process.env, NOTIFY_SOCKET: socket }, silentLog)
    voice.say('READY=1', 'STATUS=gw-1: alone')
    voice.say('STATUS=höhe\n1\tREADY=0')
    voice.say('WATCHDOG=1')
    await until('one helper speaks', 5_000, () => helpersOf(process.pid).length === 1)
    await voice.close()
    await until('all is heard', 5_000, () => lines().length === 3)
    expect(lines()).toEqual(['READY=1|STATUS=gw-1: alone', 'STATUS=höhe 1 READY=0', 'WATCHDOG=1'])
    expect(helpersOf(process.pid)).toEqual([])
  })

  test('calls systemd-notify where there is no perl', async () => {
    const bin = join(directory, 'bin')
    mkdirSync(bin)
    symlinkSync('/bin/sh', join(bin, 'sh'))
    writeFileSync(join(bin, 'systemd-notify'), `#!/bin/sh\necho "$@" >>${directory}/called\n`, { mode: 0o755 })
    const voice = openVoice({ PATH: bin, NOTIFY_SOCKET: socket }, silentLog)
    voice.say('READY=1', 'STATUS=gw-1: alone')
    await voice.close()
    expect(execFileSync('cat', [join(directory, 'called')], { encoding: 'utf8' })).toBe('READY=1 STATUS=gw-1: alone\n')
  })

  test('a daemon says ready, reloads, stops, and leaves no helper behind when it is killed', async () => {
    const start = () =>
      spawn(
        process.execPath,
        [
          program,
          'start',
          '--data-dir',
          join(directory, 'data'),
          ...['cluster.enabled=false', 'listeners.mqtt.port=0'].flatMap((set) => ['--set', set]),
          '--set',
          'node.name=gw-1',
        ],
        { stdio: 'ignore', env: { ...process.env, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' } },
      )
    const first = start()
    await until('ready', 15_000, () => heard.includes('READY=1|STATUS=gw-1: single node, 0 clients, 0 msg/s in, 0 out'))
    await until('signs of life', 5_000, () => lines().filter((line) => line === 'WATCHDOG=1').length >= 3)
    first.kill('SIGHUP')
    await until('reloaded', 5_000, () => /RELOADING=1\|MONOTONIC_USEC=\d+\n[\s\S]*READY=1\n/.test(heard))
    first.kill('SIGTERM')
    await until('stopped', 5_000, () => first.exitCode === 0)
    expect(lines()).toContain('STOPPING=1|STATUS=stopping')

    heard = ''
    const second = start()
    await until('ready again', 15_000, () => heard.includes('READY=1|'))
    const [helper] = await until('it has a helper', 5_000, () => {
      const helpers = helpersOf(second.pid!)
      return helpers.length === 1 && helpers
    })
    second.kill('SIGKILL')
    await until('the helper has ended', 5_000, () => !existsSync(`/proc/${helper}`))
  })
})
