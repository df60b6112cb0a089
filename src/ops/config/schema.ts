// Every configuration key this version serves, with its default and its range. What is not here does not exist: a key
// without an effect would be a promise without a keeper.

import { hostname } from 'node:os'
import { limits } from '../../base/limits.ts'
import {
  advertised,
  bind,
  choice,
  choiceOrNull,
  clusterPassword,
  duration,
  endpoints,
  flag,
  floatingAddress,
  interfaceNames,
  listenerPath,
  mountPoint,
  name,
  orNone,
  path,
  port,
  size,
  whole,
  wholeOrNull,
} from './kinds.ts'
import { Names, section, type ValueOf } from './pieces.ts'

export const CLUSTER_PORT = 4883

/** This machine's name without its domain, or the product's where it has none that can be shown. */
const machineName = (): string => /^[A-Za-z0-9][A-Za-z0-9-]{0,62}/.exec(hostname())?.[0] ?? 'edge-mqtt'

const listener = section({
  type: choice('mqtt', 'mqtt', 'mqtts', 'ws', 'wss', 'unix'),
  enabled: flag(true),
  bind: bind('0.0.0.0'),
  port: port(1883),
  path: listenerPath(),
  mount_point: mountPoint(),
  max_connections: wholeOrNull(1, 1_000_000, ' (no bound of its own)'),
  allow_empty_client_id: flag(true),
  proxy_protocol: flag(false),
  auth: section({
    anonymous: choiceOrNull('never', 'loopback', 'always'),
    password_file: path(),
    acl_file: path(),
  }),
  tls: section({
    cert: path(),
    key: path(),
    ca: path(),
    crl: path(),
    client_certificates: choice('none', 'none', 'optional', 'required'),
    username_from: choiceOrNull('common_name'),
  }),
})

export const schema = section({
  node: section({ name: name(machineName) }),
  cluster: section({
    enabled: flag(true),
    name: name('default'),
    bind: bind('0.0.0.0'),
    port: port(CLUSTER_PORT),
    advertise: advertised(),
    password: clusterPassword(),
    address: floatingAddress(),
    discovery: section({
      beacon: section({ enabled: flag(true), port: port(CLUSTER_PORT, 1), interval: duration('5s', '500ms', '1h') }),
      mdns: section({ enabled: flag(true) }),
      interfaces: interfaceNames(),
      peers: endpoints(CLUSTER_PORT),
    }),
    heartbeat: duration('1s', '100ms', '1m'),
    dead_after: duration('5s', '300ms', '1h'),
    will_after: duration('30s', '0s', '1h'),
    shared_subscriptions: choice('local', 'local', 'round-robin'),
    link_queue: section({
      max_messages: whole(100_000, 1, 10_000_000),
      max_bytes: size('64MiB', '64KiB', '4GiB'),
      when_full: choice('drop-oldest', 'drop-oldest', 'drop-newest'),
    }),
  }),
  listeners: new Names(listener, 'a map of name to listener, such as { mqtt: { port: 1883 } }', {
    pattern: /^[A-Za-z][A-Za-z0-9_-]{0,31}$/,
    right: 'a name of letters, digits, - and _ that starts with a letter',
  }),
  auth: section({
    anonymous: choice('loopback', 'never', 'loopback', 'always'),
    password_file: path(),
    acl_file: path(),
  }),
  sessions: section({
    copies: whole(2, 1, 2),
    max_expiry: duration('7d', '0s', '36500d'),
    queue: section({
      max_messages: whole(10_000, 1, 10_000_000),
      max_bytes: size('64MiB', '1KiB', '4GiB'),
      qos0: flag(false),
      when_full: choice('drop-oldest', 'drop-oldest', 'drop-newest', 'disconnect'),
    }),
  }),
  limits: section({
    max_connections: whole(20_000, 1, 1_000_000),
    max_packet_size: size('4MiB', '1KiB', '256MiB'),
    max_qos: choice(2, 0, 1, 2),
    retain: flag(true),
    max_inflight: whole(64, 1, 65_535),
    max_topic_levels: whole(200, 1, limits.topicLevels),
    max_topic_alias: whole(64, 0, 65_535),
    max_keepalive: whole(65_535, 1, 65_535, ' (seconds)'),
    connect_timeout: duration('10s', '1s', '10m'),
    messages_per_second: orNone(whole(1, 1, 10_000_000)),
    bytes_per_second: orNone(size('1KiB', '64B', '4GiB')),
  }),
  store: section({ durability: choice('disk', 'disk', 'memory') }),
  log: section({
    level: choice('info', 'debug', 'info', 'warn', 'error'),
    format: choice('auto', 'auto', 'pretty', 'journald', 'json'),
  }),
})

export type Configuration = ValueOf<typeof schema>

/** The listeners that are there when nobody names one; others come beside them, `enabled: false` takes one away. */
export const alwaysThere = {
  listeners: {
    mqtt: {},
    mqtts: { type: 'mqtts', port: 8883 },
    ws: { type: 'ws', port: 8083 },
    wss: { type: 'wss', port: 8084 },
  },
}
