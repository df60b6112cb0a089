// The kinds of values a configuration key can have. Each says in words what would be right, and reads what YAML, `--set`
// and the environment give: a value, or a refusal.

import { isIP } from 'node:net'
import type { Endpoint } from '../../base/ports/streams.ts'
import { ipv4 } from '../../cluster/discovery/interfaces.ts'
import { Leaf } from './pieces.ts'
import { durationText, parseDuration, parseSize, sizeText } from './units.ts'

/** `take` returns undefined for what it refuses; absent keys take `fallback`, read likewise. */
function leaf<T>(
  fallback: unknown,
  right: string,
  verbatim: boolean,
  take: (found: unknown) => T | undefined,
): Leaf<T> {
  return new Leaf({ right, verbatim }, typeof fallback === 'function' ? () => fallback() : () => fallback, take)
}

export const flag = (fallback: boolean) =>
  leaf(fallback, 'true or false', false, (found) => (typeof found === 'boolean' ? found : undefined))

export const whole = (fallback: number, least: number, most: number, note = '') =>
  leaf(fallback, `a whole number from ${least} to ${most}${note}`, false, (found) =>
    typeof found === 'number' && Number.isInteger(found) && found >= least && found <= most ? found : undefined,
  )

export const port = (fallback: number, least: 0 | 1 = 0) =>
  least === 0
    ? whole(fallback, 0, 65_535, ' (0: any free port)')
    : whole(fallback, 1, 65_535, ' (the same on every box, so never 0)')

export const choice = <const T extends string | number>(fallback: T, ...known: readonly T[]) =>
  leaf(fallback, `one of ${known.join(', ')}`, false, (found) => known.find((each) => each === found))

export function duration(fallback: string, least: string, most: string): Leaf<number> {
  const [leastMs, mostMs] = [parseDuration(least)!, parseDuration(most)!]
  const right = `a duration from ${durationText(leastMs)} to ${durationText(mostMs)} with its unit, such as ${fallback}`
  return leaf(fallback, right, true, (found) => {
    const ms = typeof found === 'string' ? parseDuration(found) : null
    return ms === null || ms < leastMs || ms > mostMs ? undefined : ms
  })
}

export function size(fallback: string, least: string, most: string): Leaf<number> {
  const [leastBytes, mostBytes] = [parseSize(least)!, parseSize(most)!]
  const right = `a size from ${sizeText(leastBytes)} to ${sizeText(mostBytes)}, such as ${fallback}`
  return leaf(fallback, right, true, (found) => {
    const bytes = typeof found === 'string' || typeof found === 'number' ? parseSize(found) : null
    return bytes === null || bytes < leastBytes || bytes > mostBytes ? undefined : bytes
  })
}

/** A name shown to people: printable, and short enough for a line of `status` and a DNS label. */
export const name = (fallback: string | (() => string)) =>
  leaf(fallback, 'a name of 1 to 63 printable characters (quoted, if it looks like a number)', true, (found) =>
    typeof found === 'string' && /^[^\p{C}\p{Z}](?:[^\p{C}\p{Zl}\p{Zp}]{0,61}[^\p{C}\p{Z}])?$/u.test(found)
      ? found
      : undefined,
  )

/** A file, absolute: what is relative depends on who starts us. */
export const path = () =>
  leaf<string | null>(null, 'the absolute path of a file, or null', false, (found) =>
    found === null ? null : typeof found === 'string' && /^\/[^\0]*[^\0/]$/.test(found) ? found : undefined,
  )

/** Of an HTTP request, or of a unix socket. */
export const listenerPath = () =>
  leaf<string | null>(null, 'a path that begins with /, at most 100 bytes, or null', false, (found) => {
    if (found === null) return null
    const good = typeof found === 'string' && /^\/[\x21-\x7e]*$/.test(found) && !/[?#]/.test(found)
    return good && found.length <= 100 ? found : undefined
  })

/** What stands before topics: no wildcards, and not among the topics that begin with $. */
export const mountPoint = () =>
  leaf<string | null>(null, 'a text like site-1/ without +, #, and $ at its start, or null', false, (found) => {
    if (found === null) return null
    return typeof found === 'string' && /^[^$+#\p{C}][^+#\p{C}]{0,255}$/u.test(found) ? found : undefined
  })

export const wholeOrNull = (least: number, most: number, note: string) =>
  leaf<number | null>(null, `a whole number from ${least} to ${most}, or null${note}`, false, (found) =>
    found === null || (typeof found === 'number' && Number.isInteger(found) && found >= least && found <= most)
      ? found
      : undefined,
  )

export const choiceOrNull = <const T extends string>(...known: readonly T[]) =>
  leaf<T | null>(null, `one of ${known.join(', ')}, or null`, false, (found) =>
    found === null ? null : known.find((each) => each === found),
  )

export const bind = (fallback: string) =>
  leaf(fallback, 'an IP address of this machine, or 0.0.0.0 or "::" for all of them', true, (found) =>
    typeof found === 'string' && isIP(found) !== 0 ? found : undefined,
  )

const HOST_AND_PORT = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+))(?::(\d{1,5}))?$/

/** `host`, `host:port`, `[v6]:port` or a bare IPv6 address. */
export function parseEndpoint(text: string, defaultPort: number): Endpoint | null {
  if (isIP(text) === 6) return { address: text, port: defaultPort }
  const match = HOST_AND_PORT.exec(text)
  if (match === null || (match[1] !== undefined && isIP(match[1]) !== 6)) return null
  const address = match[1] ?? match[2]!
  // Digits and dots alone are meant as an IPv4 address: 192.168.1.300 is a slip, not a host name.
  if (/^[\d.]+$/.test(address) && isIP(address) !== 4) return null
  if (match[1] === undefined && !/^[A-Za-z0-9_.-]{1,253}$/.test(address)) return null
  const port = match[3] === undefined ? defaultPort : Number(match[3])
  return port > 65_535 || (match[3] !== undefined && port === 0) ? null : { address, port }
}

/** Where others reach this node; null: where they see it come from. Port 0: the one it listens on. */
export const advertised = () =>
  leaf<Endpoint | null>(null, 'address or address:port, or null', false, (found) =>
    found === null ? null : typeof found === 'string' ? (parseEndpoint(found, 0) ?? undefined) : undefined,
  )

/** An address beside those that the boxes have, with the bits of its network; null: none. */
export const floatingAddress = () =>
  leaf<string | null>(
    null,
    'a free IPv4 address of the LAN with its network, such as 192.168.1.50/24, or null',
    false,
    (found) => {
      if (found === null) return null
      const [, address, bits] = (typeof found === 'string' && /^([\d.]+)\/(\d{1,2})$/.exec(found)) || []
      if (address === undefined || isIP(address) !== 4) return undefined
      const [number, prefix] = [ipv4(address)!, Number(bits)]
      // Neither the network itself nor its broadcast address, and no multicast.
      const host = number % 2 ** (32 - prefix)
      const good = prefix >= 8 && prefix <= 30 && host !== 0 && host !== 2 ** (32 - prefix) - 1
      return good && number >= 0x0100_0000 && number < 0xe000_0000 ? (found as string) : undefined
    },
  )

/** Characters that nobody tries out. */
export const PASSWORD_CHARACTERS_MIN = 12

/** A password for boxes; null: none. */
export const clusterPassword = () =>
  leaf<string | null>(
    null,
    `a text of ${PASSWORD_CHARACTERS_MIN} characters or more (at most 1024), or null`,
    true,
    (found) => {
      if (found === null || found === 'null') return null
      const length = typeof found === 'string' ? [...found].length : 0
      return length >= PASSWORD_CHARACTERS_MIN && length <= 1024 ? (found as string) : undefined
    },
  )

/** What `inner` takes, or null, which is the default: none. */
export function orNone<T>(inner: Leaf<T>): Leaf<T | null> {
  const { right, verbatim } = inner.kind
  return leaf<T | null>(null, `${right}, or null`, verbatim, (found) =>
    found === null || (verbatim && found === 'null') ? null : inner.take(found),
  )
}

/** A list whose items are texts; one text with commas is such a list too, for the environment's sake. */
function list<T>(right: string, item: (text: string) => T | undefined): Leaf<readonly T[]> {
  return leaf([], right, false, (found) => {
    const texts: readonly unknown[] | null = Array.isArray(found)
      ? found
      : typeof found === 'string'
        ? found
            .split(',')
            .map((each) => each.trim())
            .filter((each) => each !== '')
        : null
    const items = texts?.map((each) => (typeof each === 'string' ? item(each) : undefined))
    return items?.some((each) => each === undefined) ? undefined : (items as T[] | undefined)
  })
}

export const endpoints = (defaultPort: number) =>
  list(
    `a list of host or host:port (${defaultPort} when left out), such as [192.168.7.10, "gw-4.lan:${defaultPort}"]`,
    (text) => parseEndpoint(text, defaultPort) ?? undefined,
  )

export const interfaceNames = () =>
  list('a list of network interface names, such as [eth0, wlan0]; empty: all but container and tunnel ones', (text) =>
    /^[^\s/:]{1,15}$/.test(text) ? text : undefined,
  )
