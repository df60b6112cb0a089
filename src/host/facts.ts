// What ties this node to its hardware, to notice a copied card: read from the kernel's own files, which takes a
// millisecond. systeminformation, which runs shell commands, is asked only on machines that have no such files.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Empty text: not known. */
export interface HardwareFacts {
  readonly machineId: string
  readonly boardSerial: string
  readonly firstMac: string
}

/** How long the start may wait for other tools' answers. */
const ASK_MS = 3000
const NO_MAC = '00:00:00:00:00:00'
/** `addr_assign_type` of an address that the hardware has, not one drawn at random at each start. */
const PERMANENT = '0'

export async function hardwareFacts(root = '', askMs = ASK_MS): Promise<HardwareFacts> {
  const facts = readFacts(root)
  return facts.machineId === '' && facts.boardSerial === '' && facts.firstMac === '' ? asked(askMs) : facts
}

/** `root` stands before every path, for tests. */
export function readFacts(root = ''): HardwareFacts {
  return {
    machineId: first(root, '/etc/machine-id', '/var/lib/dbus/machine-id'),
    // A Raspberry Pi and its kin by the device tree; a PC by its firmware, where that is readable.
    boardSerial: first(
      root,
      '/proc/device-tree/serial-number',
      '/sys/firmware/devicetree/base/serial-number',
      '/sys/class/dmi/id/board_serial',
      '/sys/class/dmi/id/product_uuid',
    ),
    firstMac: firstMac(`${root}/sys/class/net`),
  }
}

/** The permanent address of the first network card that is hardware; bridges, tunnels and pairs have no device. */
function firstMac(net: string): string {
  for (const name of names(net).sort()) {
    if (link(`${net}/${name}/device`) === '') continue
    if (text(`${net}/${name}/addr_assign_type`, PERMANENT) !== PERMANENT) continue
    const mac = text(`${net}/${name}/address`).toLowerCase()
    if (mac !== '' && mac !== NO_MAC) return mac
  }
  return ''
}

async function asked(withinMs: number): Promise<HardwareFacts> {
  const nothing = { machineId: '', boardSerial: '', firstMac: '' }
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<HardwareFacts>((resolve) => {
    timer = setTimeout(resolve, withinMs, nothing)
  })
  const answer = import('systeminformation')
    .then(({ default: { uuid } }) => uuid())
    .then(({ os, hardware, macs }) => ({ machineId: os, boardSerial: hardware, firstMac: macs[0] ?? '' }))
    // Not known is an answer here: this is one of three ties, and none of them is needed to run.
    .catch(() => nothing)
  const facts = await Promise.race([answer, late])
  clearTimeout(timer)
  return facts
}

function first(root: string, ...paths: string[]): string {
  for (const path of paths) {
    const found = text(`${root}${path}`)
    if (found !== '') return found
  }
  return ''
}

// What is not there, or not for us to read, is not known.
function text(path: string, otherwise = ''): string {
  try {
    // Texts of the device tree end in a zero byte.
    return readFileSync(path, 'utf8').replaceAll('\0', '').trim()
  } catch {
    return otherwise
  }
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
