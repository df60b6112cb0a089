// A unix socket's address holds 107 bytes of path (unix(7), sun_path). A socket that lies deeper is reached through its
// directory, opened: /proc/self/fd/N/name is short, wherever N leads.

import { closeSync, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'

export const SUN_PATH_MAX = 107

/** A path to the same socket that fits; `release` when it is bound or connected, or has failed. */
export function reachable(path: string): { readonly path: string; release(): void } {
  if (Buffer.byteLength(path) <= SUN_PATH_MAX) return { path, release: () => {} }
  const directory = openSync(dirname(path), 'r')
  let open = true
  const release = () => {
    // Once: the number may already be somebody else's file.
    if (open) closeSync(directory)
    open = false
  }
  return { path: `/proc/self/fd/${directory}/${basename(path)}`, release }
}
