// Which process holds a TCP port, as far as /proc lets us see: told when a port we need is taken.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

const LISTEN = '0A'

/** `mosquitto (pid 812)`, or null when it cannot be told: other users' processes show their files to root only. */
export function portHolder(port: number, proc = '/proc'): string | null {
  const inodes = listeningInodes(port, proc)
  if (inodes.size === 0) return null
  for (const pid of entries(proc)) {
    if (!/^\d+$/.test(pid)) continue
    for (const fd of entries(`${proc}/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`${proc}/${pid}/fd/${fd}`))?.[1]
      if (inode !== undefined && inodes.has(inode)) return `${text(`${proc}/${pid}/comm`).trim()} (pid ${pid})`
    }
  }
  return null
}

/** sl, local address:port in hexadecimal, remote, state, queues, timers, retransmits, uid, timeout, inode */
export function listeningInodes(port: number, proc = '/proc'): Set<string> {
  const inodes = new Set<string>()
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  for (const table of ['tcp', 'tcp6']) {
    for (const line of text(`${proc}/net/${table}`).split('\n').slice(1)) {
      const field = line.trim().split(/\s+/)
      if (field[3] === LISTEN && field[1]?.endsWith(wanted) && field[9] !== undefined) inodes.add(field[9])
    }
  }
  return inodes
}

// A process may be gone between two looks, or be none of our business: then there is nothing to read.
function entries(directory: string): string[] {
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

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
