// From configuration keys to the settings a node is composed of.

import { hostname } from 'node:os'
import type { GrantedRule } from '../../broker/accountfile.ts'
import { type ListenerSettings, type ListenerTls, NO_TLS } from '../../broker/listeners.ts'
import type { Bundle, HardwareTies } from '../../cluster/settings.ts'
import type { NodeSettings } from '../../compose.ts'
import { PROTOCOL } from '../../wire/link/hello.ts'
import type { ListenerFiles } from '../listenerfiles.ts'
import type { Configuration } from './schema.ts'

export interface Circumstances {
  readonly version: string
  readonly newCluster: boolean
  readonly bundle: Bundle | null
  readonly hardware: HardwareTies
  readonly fileRules: readonly GrantedRule[] | null
  /** By the listener's name, where it has an acl_file of its own. */
  readonly listenerRules?: ReadonlyMap<string, readonly GrantedRule[]>
  /** By the listener's name. */
  readonly listenerFiles?: ListenerFiles
}

export function nodeSettings(configuration: Configuration, circumstances: Circumstances): NodeSettings {
  const { cluster, limits, sessions } = configuration
  return {
    broker: {
      sessions: {
        maxExpirySec: Math.min(0xffff_fffe, Math.floor(sessions.max_expiry / 1000)),
        queue: {
          maxMessages: sessions.queue.max_messages,
          maxBytes: sessions.queue.max_bytes,
          qos0: sessions.queue.qos0,
          whenFull: sessions.queue.when_full,
        },
      },
      limits: {
        maxConnections: limits.max_connections,
        maxPacketSize: limits.max_packet_size,
        maxQoS: limits.max_qos,
        retain: limits.retain,
        maxInflight: limits.max_inflight,
        maxTopicLevels: limits.max_topic_levels,
        maxTopicAlias: limits.max_topic_alias,
        maxKeepAliveSec: limits.max_keepalive,
        connectTimeoutMs: limits.connect_timeout,
        messagesPerSecond: limits.messages_per_second,
        bytesPerSecond: limits.bytes_per_second,
      },
    },
    cluster: {
      enabled: cluster.enabled,
      name: cluster.name,
      nodeName: configuration.node.name,
      version: circumstances.version,
      protocol: PROTOCOL,
      bind: cluster.bind,
      port: cluster.port,
      advertise: cluster.advertise,
      password: cluster.password,
      address: cluster.address,
      beacon: {
        enabled: cluster.discovery.beacon.enabled,
        port: cluster.discovery.beacon.port,
        intervalMs: cluster.discovery.beacon.interval,
      },
      mdns: { enabled: cluster.discovery.mdns.enabled },
      interfaces: cluster.discovery.interfaces,
      peers: cluster.discovery.peers,
      heartbeatMs: cluster.heartbeat,
      deadAfterMs: cluster.dead_after,
      willAfterMs: cluster.will_after,
      linkQueue: {
        maxMessages: cluster.link_queue.max_messages,
        maxBytes: cluster.link_queue.max_bytes,
        whenFull: cluster.link_queue.when_full,
      },
      sharedSubscriptions: cluster.shared_subscriptions,
      copies: sessions.copies,
      newCluster: circumstances.newCluster,
    },
    store: { durability: configuration.store.durability },
    listeners: Object.entries(configuration.listeners)
      .filter(([, listener]) => listener.enabled)
      .map(([name, listener]) => listenerSettings(name, listener, circumstances.listenerFiles?.get(name))),
    bundle: circumstances.bundle,
    hardware: circumstances.hardware,
    hostName: hostname().split('.', 1)[0]!,
    fileRules: circumstances.fileRules,
    ...(circumstances.listenerRules === undefined ? {} : { listenerRules: circumstances.listenerRules }),
  }
}

function listenerSettings(
  name: string,
  listener: Configuration['listeners'][string],
  files: ListenerTls = NO_TLS,
): ListenerSettings {
  const { type, bind, port, path, tls } = listener
  return {
    name,
    type,
    bind,
    port,
    path,
    maxConnections: listener.max_connections,
    mountPoint: listener.mount_point ?? '',
    allowEmptyClientId: listener.allow_empty_client_id,
    certificateNames: tls.username_from === 'common_name',
    proxyProtocol: listener.proxy_protocol,
    tls: { ...files, clientCertificates: tls.client_certificates },
  }
}
