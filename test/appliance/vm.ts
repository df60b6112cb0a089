// The image as a machine: qemu with the card as its disk, the card's own kernel, and a root shell on the serial line
// that the kernel's command line asks systemd for, so that the image itself holds nothing of the tests.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The FAT partition begins here: as mtools writes it, FILE@@OFFSET. */
const FAT_AT = '@@4M'
const SECOND = 1000
const MINUTE = 60 * SECOND

/** Why no image can be made and booted here, or null when it can. */
export function applianceMissing(): string | null {
  if (process.platform !== 'linux') return 'not Linux'
  if (process.getuid?.() !== 0) return 'not root'
  for (const tool of ['mmdebstrap', 'qemu-aarch64-static', 'mcopy', 'mkfs.vfat', 'sfdisk', 'qemu-system-aarch64']) {
    const found = spawnSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' })
    if (found.status !== 0) return `${tool} is not installed`
  }
  return null
}

export class Machine {
  readonly #directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-appliance-'))
  readonly #card = join(this.#directory, 'card.img')
  #qemu: ChildProcess | null = null
  #serial: Socket | null = null
  #heard = ''
  #wake: () => void = () => {}
  #commands = 0

  /** A card of its own, of `mib`: larger than the image, so that the root has room to grow. */
  constructor(image: string, mib: number) {
    execFileSync('cp', ['--sparse=always', image, this.#card])
    execFileSync('truncate', ['-s', `${mib}M`, this.#card])
  }

  /** What a person does with the card in another computer. */
  putOnCard(file: string, name: string): void {
    execFileSync('mcopy', ['-o', '-i', `${this.#card}${FAT_AT}`, file, `::${name}`])
  }

  makeFolderOnCard(name: string): void {
    execFileSync('mmd', ['-i', `${this.#card}${FAT_AT}`, `::${name}`])
  }

  /** The names on the FAT partition, folders with all that is in them. */
  cardFiles(): string[] {
    const listed = execFileSync('mdir', ['-/', '-b', '-i', `${this.#card}${FAT_AT}`, '::'], { encoding: 'utf8' })
    return listed
      .split('\n')
      .map((name) => name.replace(/^::\//, ''))
      .filter((name) => name !== '')
  }

  /** Whether the bytes are anywhere on the FAT partition, in what it has freed as well. */
  cardHolds(needle: string): boolean {
    const script = 'head -c 260M "$1" | grep -qaF -e "$2" && echo yes || echo no'
    return execFileSync('bash', ['-c', script, '-', this.#card, needle], { encoding: 'utf8' }) === 'yes\n'
  }

  /** Switches on; returns when there is a shell and the boot has come to its end. */
  async boot(timeoutMs: number): Promise<void> {
    for (const name of this.cardFiles().filter((name) => /^(vmlinuz|initrd)/.test(name))) {
      const to = join(this.#directory, name.startsWith('vmlinuz') ? 'vmlinuz' : 'initrd')
      execFileSync('mcopy', ['-o', '-n', '-i', `${this.#card}${FAT_AT}`, `::${name}`, to])
    }
    const serial = join(this.#directory, 'serial')
    const append =
      'root=LABEL=RASPIROOT rw fsck.repair=yes net.ifnames=0 panic=-1 quiet loglevel=1 systemd.show_status=0 ' +
      'systemd.debug_shell=ttyAMA0 systemd.mask=serial-getty@ttyAMA0.service console=ttyAMA0'
    this.#qemu = spawn(
      'qemu-system-aarch64',
      ['-M', 'virt', '-cpu', 'cortex-a72', '-smp', '2', '-m', '1024', '-accel', 'tcg,thread=multi', '-nodefaults']
        .concat(['-display', 'none', '-no-reboot', '-kernel', join(this.#directory, 'vmlinuz')])
        .concat(['-initrd', join(this.#directory, 'initrd'), '-append', append])
        .concat(['-drive', `file=${this.#card},format=raw,if=virtio`])
        .concat(['-netdev', 'user,id=n,restrict=on', '-device', 'virtio-net-pci,netdev=n'])
        .concat(['-chardev', `socket,id=s,path=${serial},server=on,wait=off`, '-serial', 'chardev:s']),
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
    const deadline = performance.now() + timeoutMs
    this.#serial = await connect(serial, deadline)
    this.#heard = ''
    this.#serial.setEncoding('latin1').on('data', (text) => {
      this.#heard += text
      this.#wake()
    })
    await this.#hear(/root@[^\n]*# $/, deadline)
    // While services start, the line is reset under the shell and what was typed is lost: asked until there is an answer.
    for (;;) {
      const state = await this.sh('systemctl is-system-running || true', MINUTE).catch((error: unknown) => {
        if (performance.now() > deadline) throw error
        return 'unanswered'
      })
      if (state === 'running' || state === 'degraded') return
      if (performance.now() > deadline) throw new Error(`the machine has not come up: ${state}`)
      await new Promise((resolve) => setTimeout(resolve, 2 * SECOND))
    }
  }

  /** Runs a command in the machine; its output, when it ended well. */
  async sh(command: string, timeoutMs = 120 * SECOND): Promise<string> {
    const id = `command-${++this.#commands}`
    const script = Buffer.from(command).toString('base64')
    this.#heard = ''
    this.#serial!.write(
      `out=$(echo ${script} | base64 -d | sh 2>&1); echo "${id}" $? "$(echo "$out" | base64 -w 0)" end\n`,
    )
    const found = await this.#hear(new RegExp(`${id} (\\d+) ([A-Za-z0-9+/=]*) end`), performance.now() + timeoutMs)
    const output = Buffer.from(found[2]!, 'base64').toString().trim()
    if (found[1] !== '0') throw new Error(`${command}\nended with ${found[1]}: ${output}`)
    return output
  }

  /** Asks until the command ends well and its output fits. */
  async until(command: string, wanted: RegExp, timeoutMs: number): Promise<string> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const output = await this.sh(`${command} || true`)
      if (wanted.test(output)) return output
      if (performance.now() > deadline) {
        const journal = await this.sh('journalctl -u edge-mqtt --no-pager -n 30')
        throw new Error(`${command} did not come to ${wanted}: ${output}\n${journal}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 2 * SECOND))
    }
  }

  /** An orderly end; afterwards the card can be read. */
  async powerOff(timeoutMs = 120 * SECOND): Promise<void> {
    const qemu = this.#qemu!
    const ended = new Promise<void>((resolve) => qemu.once('exit', () => resolve()))
    const guard = setTimeout(() => qemu.kill('SIGKILL'), timeoutMs)
    this.#serial!.write('systemctl poweroff\n')
    await ended
    clearTimeout(guard)
    this.#serial!.destroy()
    this.#qemu = null
    if (qemu.signalCode !== null) throw new Error('the machine did not switch itself off')
  }

  destroy(): void {
    this.#qemu?.kill('SIGKILL')
    this.#serial?.destroy()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #hear(wanted: RegExp, deadline: number): Promise<RegExpExecArray> {
    for (;;) {
      const found = wanted.exec(this.#heard)
      if (found !== null) return found
      const left = deadline - performance.now()
      if (left <= 0) throw new Error(`not heard: ${wanted}; the serial line said: ${this.#heard.slice(-2000)}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, SECOND))
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}

/** qemu makes the socket in its own time. */
async function connect(path: string, deadline: number): Promise<Socket> {
  for (;;) {
    const socket = createConnection(path)
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    if (open) return socket
    if (performance.now() > deadline) throw new Error('qemu has not opened its serial line')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
