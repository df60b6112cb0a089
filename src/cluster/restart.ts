// Which settings of the cluster cannot change while it runs. Pure.

import type { ClusterSettings } from './settings.ts'

const FIXED: readonly (readonly [key: string, of: (settings: ClusterSettings) => unknown])[] = [
  ['node.name', ({ nodeName }) => nodeName],
  ['cluster.enabled', ({ enabled }) => enabled],
  ['cluster.bind', ({ bind }) => bind],
  ['cluster.port', ({ port }) => port],
  ['cluster.discovery.beacon.enabled', ({ beacon }) => beacon.enabled],
  ['cluster.discovery.beacon.port', ({ beacon }) => beacon.port],
  ['cluster.discovery.beacon.interval', ({ beacon }) => beacon.intervalMs],
  ['cluster.discovery.mdns.enabled', ({ mdns }) => mdns.enabled],
  ['cluster.discovery.interfaces', ({ interfaces }) => interfaces.join()],
  ['cluster.link_queue.max_messages', ({ linkQueue }) => linkQueue.maxMessages],
  ['cluster.link_queue.max_bytes', ({ linkQueue }) => linkQueue.maxBytes],
  ['cluster.link_queue.when_full', ({ linkQueue }) => linkQueue.whenFull],
]

/** The keys, as in the configuration file, that differ and take effect only at the next start. */
export const needRestart = (running: ClusterSettings, wanted: ClusterSettings): readonly string[] =>
  FIXED.filter(([, of]) => of(running) !== of(wanted)).map(([key]) => key)
