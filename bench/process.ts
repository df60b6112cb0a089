// What the kernel says of a process: CPU time and memory.

import { readFileSync } from 'node:fs'

/** USER_HZ: what Linux counts CPU time of other processes in, on every architecture Node runs on. */
const TICK_MS = 10

/** User and system time of `/proc/PID/stat`; the name in brackets may hold blanks and brackets itself. */
export function cpuMsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  if (!Number.isFinite(ticks)) throw new Error(`not a line of /proc/PID/stat: ${stat}`)
  return ticks * TICK_MS
}

export function rssBytesOf(status: string): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  if (kib === undefined) throw new Error('no VmRSS in /proc/PID/status: has the process ended?')
  return Number(kib) * 1024
}

/** A line of `/proc/PID/io`. */
export function ioBytesOf(io: string, name: 'wchar' | 'write_bytes'): number {
  const bytes = new RegExp(`^${name}: (\\d+)$`, 'm').exec(io)?.[1]
  if (bytes === undefined) throw new Error(`no ${name} in /proc/PID/io: has the process ended?`)
  return Number(bytes)
}

const ioBytes = (pid: number, name: 'wchar' | 'write_bytes') => ioBytesOf(readFileSync(`/proc/${pid}/io`, 'utf8'), name)
/** Handed to the kernel by any write: to sockets and files alike. */
export const saidBytes = (pid: number): number => ioBytes(pid, 'wchar')
/** What has made its way to the disk, or will. */
export const writtenBytes = (pid: number): number => ioBytes(pid, 'write_bytes')

export const cpuMs = (pid: number): number => cpuMsOf(readFileSync(`/proc/${pid}/stat`, 'utf8'))
export const rssBytes = (pid: number): number => rssBytesOf(readFileSync(`/proc/${pid}/status`, 'utf8'))
