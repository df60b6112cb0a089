// The configuration as users write it: every error has its place, its key, what was found and what would be right.

import { describe, expect, test } from 'vitest'
import { plainListener } from '../../../src/broker/listeners.ts'
import { defaultBrokerSettings } from '../../../src/broker/settings.ts'
import { defaultClusterSettings } from '../../../src/cluster/settings.ts'
import { problemText } from '../../../src/ops/config/layers.ts'
import { loadConfiguration, type Sources } from '../../../src/ops/config/load.ts'
import type { Configuration } from '../../../src/ops/config/schema.ts'
import { nodeSettings } from '../../../src/ops/config/settings.ts'
import { leafPaths } from '../../../src/ops/config/shape.ts'

interface Given {
  readonly file?: string
  readonly environment?: Sources['environment']
  readonly settings?: readonly string[]
}

const load = ({ file, environment = {}, settings = [] }: Given) =>
  loadConfiguration({ file: file === undefined ? null : { name: 'gw.yaml', text: file }, environment, settings })

function good(given: Given): Configuration {
  const loaded = load(given)
  expect(loaded.ok ? [] : loaded.problems.map(problemText)).toEqual([])
  return (loaded as { configuration: Configuration }).configuration
}

function problems(given: Given): readonly string[] {
  const loaded = load(given)
  expect(loaded.ok).toBe(false)
  return loaded.ok ? [] : loaded.problems.map(problemText)
}

describe('defaults', () => {
  const circumstances = {
    version: defaultClusterSettings.version,
    newCluster: false,
    bundle: null,
    hardware: { machineId: '', boardSerial: '', firstMac: '' },
    fileRules: null,
  }

  test('no file, no variables, no flags: everything has a value, and it is the code its own default', () => {
    const settings = nodeSettings(good({ settings: ['node.name=edge-mqtt'] }), circumstances)
    expect(settings.broker).toEqual(defaultBrokerSettings)
    expect(settings.cluster).toEqual(defaultClusterSettings)
    const others = { mqtts: 8883, ws: 8083, wss: 8084 } as const
    expect(settings.listeners).toEqual([
      plainListener('mqtt', '0.0.0.0', 1883),
      ...Object.entries(others).map(([type, port]) => ({ ...plainListener(type, '0.0.0.0', port), type })),
    ])
  })

  test('the node is named after the machine', () => {
    expect(good({}).node.name).toMatch(/^[A-Za-z0-9][A-Za-z0-9-]*$/)
  })

  for (const file of ['', '# nothing\n', '---\n', 'null\n', 'cluster:\nlisteners:\n  mqtt:\n', 'cluster: {}\n']) {
    test(`a file that says nothing is fine: ${JSON.stringify(file)}`, () => {
      expect(good({ file })).toEqual(good({}))
    })
  }
})

describe('precedence', () => {
  const file = 'cluster:\n  port: 1\n  heartbeat: 2s\n  dead_after: 9s\nlog: { level: warn }\n'

  test('flags beat the environment, which beats the file, which beats the defaults', () => {
    const environment = { EDGE_MQTT_CLUSTER_PORT: '2', EDGE_MQTT_CLUSTER_DEAD_AFTER: '8s' }
    const { cluster, log } = good({ file, environment, settings: ['cluster.port=3'] })
    expect([cluster.port, cluster.dead_after, cluster.heartbeat, log.level, cluster.name]).toEqual([
      3,
      8000,
      2000,
      'warn',
      'default',
    ])
  })

  test('of two flags the later counts', () => {
    expect(good({ settings: ['cluster.port=3', 'cluster.port=4'] }).cluster.port).toBe(4)
  })

  test('a wrong value does not hide behind a right one', () => {
    expect(problems({ file: 'cluster: { port: no }', settings: ['cluster.port=3'] })).toEqual([
      'gw.yaml:1: cluster.port: found "no"; right would be a whole number from 0 to 65535 (0: any free port)',
    ])
  })

  test('listeners come beside those that are always there, which can be taken away', () => {
    const { listeners } = good({ file: 'listeners:\n  second: { port: 1884 }\n  mqtt: { enabled: false }' })
    expect(Object.keys(listeners)).toEqual(['mqtt', 'mqtts', 'ws', 'wss', 'second'])
    expect(listeners['second']).toMatchObject({ type: 'mqtt', enabled: true, bind: '0.0.0.0', port: 1884 })
    expect(listeners['mqtt']!.enabled).toBe(false)
  })

  test('a list is replaced, not joined', () => {
    const { discovery } = good({
      file: 'cluster: { discovery: { peers: [10.0.0.1, 10.0.0.2] } }',
      settings: ['cluster.discovery.peers=[10.0.0.3]'],
    }).cluster
    expect(discovery.peers).toEqual([{ address: '10.0.0.3', port: 4883 }])
  })
})

describe('values', () => {
  const at = (setting: string) => nodeSettingsOf(good({ settings: [setting] }))
  const nodeSettingsOf = (configuration: Configuration) =>
    nodeSettings(configuration, {
      version: '1',
      newCluster: true,
      bundle: null,
      hardware: { machineId: '', boardSerial: '', firstMac: '' },
      fileRules: null,
    })

  test('durations, sizes, lists and endpoints reach the settings in the units of the code', () => {
    expect(at('sessions.max_expiry=90m').broker.sessions.maxExpirySec).toBe(5400)
    expect(at('limits.connect_timeout=1500ms').broker.limits.connectTimeoutMs).toBe(1500)
    expect(at('limits.max_packet_size=128KiB').broker.limits.maxPacketSize).toBe(131_072)
    expect(at('limits.max_packet_size=65536').broker.limits.maxPacketSize).toBe(65_536)
    expect(at('limits.max_qos=1').broker.limits.maxQoS).toBe(1)
    expect(at('cluster.discovery.beacon.interval=2.5s').cluster.beacon.intervalMs).toBe(2500)
    expect(at('cluster.discovery.interfaces=[eth0, wlan0]').cluster.interfaces).toEqual(['eth0', 'wlan0'])
    expect(at('cluster.discovery.interfaces=eth0,wlan0').cluster.interfaces).toEqual(['eth0', 'wlan0'])
    expect(at('cluster.discovery.peers=[gw-2.lan, "10.0.0.1:99", "[fd77::1]:7", "fd77::2"]').cluster.peers).toEqual([
      { address: 'gw-2.lan', port: 4883 },
      { address: '10.0.0.1', port: 99 },
      { address: 'fd77::1', port: 7 },
      { address: 'fd77::2', port: 4883 },
    ])
    expect(at('cluster.advertise=203.0.113.5').cluster.advertise).toEqual({ address: '203.0.113.5', port: 0 })
    expect(at('cluster.advertise=null').cluster.advertise).toBe(null)
    expect(at('cluster.address=192.168.1.50/24').cluster.address).toBe('192.168.1.50/24')
    expect(at('cluster.address=null').cluster.address).toBe(null)
    expect(at('cluster.discovery={ mdns: { enabled: false } }').cluster.mdns.enabled).toBe(false)
    expect(at('node.name=007').cluster.nodeName).toBe('007')
    expect(at('cluster.enabled=false').cluster.newCluster).toBe(true)
  })

  // [key, value in YAML, what was found, what would be right]
  const wrong: readonly (readonly [string, string, string, RegExp])[] = [
    ['cluster.port', '70000', '70000', /^a whole number from 0 to 65535 \(0: any free port\)$/],
    ['cluster.port', '-1', '-1', /^a whole number/],
    ['cluster.port', '18.5', '18.5', /^a whole number/],
    ['cluster.port', '"1883"', '"1883"', /^a whole number/],
    ['cluster.port', 'null', 'nothing', /^a whole number/],
    ['cluster.port', '[1]', '[1]', /^a whole number/],
    ['cluster.port', '{ a: 1 }', 'a section', /^a whole number/],
    ['cluster.discovery.beacon.port', '0', '0', /from 1 to 65535 \(the same on every box, so never 0\)$/],
    ['cluster.enabled', '"yes"', '"yes"', /^true or false$/],
    ['cluster.heartbeat', '5', '5', /^a duration from 100ms to 1m with its unit, such as 1s$/],
    ['cluster.heartbeat', '5 minutes', '"5 minutes"', /^a duration/],
    ['cluster.heartbeat', '1ms', '"1ms"', /^a duration/],
    ['limits.max_packet_size', '4mb', '"4mb"', /^a size from 1KiB to 256MiB, such as 4MiB$/],
    ['limits.max_packet_size', '1GiB', '"1GiB"', /^a size/],
    ['limits.max_qos', '3', '3', /^one of 0, 1, 2$/],
    ['auth.anonymous', 'maybe', '"maybe"', /^one of never, loopback, always$/],
    ['auth.anonymous', 'true', 'true', /^one of never/],
    ['node.name', '42', '42', /^a name of 1 to 63 printable characters/],
    ['node.name', '""', '""', /^a name/],
    ['node.name', '"a\\nb"', '"a\\nb"', /^a name/],
    ['cluster.bind', 'eth0', '"eth0"', /^an IP address of this machine/],
    ['cluster.discovery.peers', '[192.168.1.300]', '["192.168.1.300"]', /^a list of host or host:port/],
    ['cluster.discovery.peers', '["gw:0"]', '["gw:0"]', /^a list of host/],
    ['cluster.discovery.peers', '[1, 2, 3, 4]', 'a list of 4', /^a list of host/],
    ['cluster.discovery.interfaces', '["eth 0"]', '["eth 0"]', /^a list of network interface names/],
    [
      'cluster.password',
      'hunter2hunt',
      'a text of 11 characters',
      /^a text of 12 characters or more \(at most 1024\), or null$/,
    ],
    ['cluster.advertise', '"a b"', '"a b"', /^address or address:port, or null$/],
    ['cluster.address', '192.168.1.50', '"192.168.1.50"', /such as 192.168.1.50\/24, or null$/],
    ['cluster.address', '192.168.1.0/24', '"192.168.1.0/24"', /such as 192.168.1.50\/24, or null$/],
    ['cluster.address', '192.168.1.255/24', '"192.168.1.255/24"', /such as 192.168.1.50\/24, or null$/],
    ['cluster.address', '192.168.1.5/31', '"192.168.1.5/31"', /such as 192.168.1.50\/24, or null$/],
    ['cluster.address', '192.168.1.300/24', '"192.168.1.300/24"', /such as 192.168.1.50\/24, or null$/],
    ['cluster.address', '224.0.0.9/24', '"224.0.0.9/24"', /such as 192.168.1.50\/24, or null$/],
    ['cluster.address', 'fd00::1/64', '"fd00::1/64"', /such as 192.168.1.50\/24, or null$/],
    ['cluster', '3', '3', /^a section with the keys enabled, name, bind, port/],
    ['cluster.discovery', '[eth0]', '["eth0"]', /^a section with the keys beacon, mdns/],
    ['listeners', '1883', '1883', /^a map of name to listener/],
    ['listeners.mqtt', '1883', '1883', /^a section with the keys type, enabled, bind, port, path,/],
    ['listeners.mqtt.type', 'tls', '"tls"', /^one of mqtt, mqtts, ws, wss, unix$/],
  ]
  for (const [key, value, found, right] of wrong) {
    test(`${key}: ${value}`, () => {
      const nested = key
        .split('.')
        .map((word, depth, words) => `${'  '.repeat(depth)}${word}:${depth === words.length - 1 ? ` ${value}` : ''}`)
      const text = problems({ file: `# one\n# two\n${nested.join('\n')}\n` })
      const line = 2 + nested.length
      expect(text).toHaveLength(1)
      expect(text[0]!.startsWith(`gw.yaml:${line}: ${key}: found ${found}; right would be `)).toBe(true)
      expect(text[0]!.split('right would be ')[1]).toMatch(right)
    })
  }
})

describe('keys', () => {
  // [file, the whole problem or its beginning]
  const wrong: readonly (readonly [string, string])[] = [
    [
      'cluster:\n  prot: 1',
      'gw.yaml:2: cluster.prot: unknown key; did you mean cluster.port?; known here: enabled, name, bind, port,',
    ],
    ['cluster: { deadAfter: 5s }', 'gw.yaml:1: cluster.deadAfter: unknown key; did you mean cluster.dead_after?'],
    ['log: { dead-after: 5s }', 'gw.yaml:1: log.dead-after: unknown key; did you mean cluster.dead_after?'],
    ['heartbeat: 5s', 'gw.yaml:1: heartbeat: unknown key; did you mean cluster.heartbeat?; known here: node, cluster,'],
    ['cluster.port: 4884', 'gw.yaml:1: cluster.port: unknown key; a file nests its keys: write cluster: { port: ... }'],
    ['xylophone: 1', 'gw.yaml:1: xylophone: unknown key; known here: node, cluster, listeners, auth,'],
    ['bridges: {}', 'gw.yaml:1: bridges: unknown key; '],
    ['__proto__: { a: 1 }', 'gw.yaml:1: __proto__: unknown key; '],
    ['listeners:\n  "a b": { port: 1 }', 'gw.yaml:2: listeners.a b: found the name "a b"; right would be a name of'],
    ['listeners: { a: { way: /x } }', 'gw.yaml:1: listeners.a.way: unknown key; '],
  ]
  for (const [file, problem] of wrong) {
    test(file, () => {
      const found = problems({ file })
      expect(found).toHaveLength(1)
      expect(found[0]!.slice(0, problem.length)).toBe(problem)
    })
  }

  test('a flag that looks like an alias is a text', () => {
    expect(problems({ settings: ['cluster.port=*x'] })[0]).toMatch(/cluster\.port: found "\*x"; right would be a whole/)
  })

  test('a flag names itself', () => {
    const found = problems({ settings: ['cluster.prot=1', 'log.level=loud', 'port'] })
    expect(found).toEqual([
      '--set port: found no key and value; right would be key.path=value, such as --set cluster.port=4884',
      expect.stringMatching(/^--set cluster\.prot=1: cluster\.prot: unknown key; did you mean cluster\.port\?/),
      '--set log.level=loud: log.level: found "loud"; right would be one of debug, info, warn, error',
    ])
  })

  test('all problems come at once, each with its line', () => {
    const file = 'node:\n  nme: x\ncluster:\n  port: a\n  heartbeat: 1\nlog:\n  level: loud\n'
    const found = problems({ file, settings: ['auth.anonymous=yes please'] })
    expect(found.map((text) => text.split(': ').slice(0, 2).join(' ')).sort()).toEqual([
      '--set auth.anonymous=yes please auth.anonymous',
      'gw.yaml:2 node.nme',
      'gw.yaml:4 cluster.port',
      'gw.yaml:5 cluster.heartbeat',
      'gw.yaml:7 log.level',
    ])
  })
})

describe('YAML', () => {
  /** Nine levels of nine: a line each, 387 million values. */
  const levels = Array.from({ length: 9 }, (_, level) => level)
  const bomb = levels
    .map((level) => `a${level}: &a${level} [${Array(9).fill(level === 0 ? 1 : `*a${level - 1}`)}]`)
    .join('\n')
  // [file, the problem]
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['node:\n\tname: a\n', /^gw\.yaml:2: not YAML: a tab at the start of the line; right would be spaces$/],
    ['log: {}\nlog: {}\n', /^gw\.yaml:2: not YAML: this key stands here for the second time; right would be once$/],
    ['log: {}\n---\nlog: {}\n', /^gw\.yaml:2: not YAML: a second document begins here/],
    ['log: {\n', /^gw\.yaml:\d: not YAML: /],
    ['node:\n  name: "a\n', /^gw\.yaml:\d: not YAML: /],
    ['node: { name: !!nonsense x }\n', /^gw\.yaml:1: not YAML: /],
    ['- a\n- b\n', /^gw\.yaml:1: found a plain value; right would be keys and values/],
    ['just words\n', /^gw\.yaml:1: found a plain value/],
    ['{ [a]: 1 }\n', /^gw\.yaml:1: a key that is not a plain word$/],
    ['log: { level: *nobody }\n', /^gw\.yaml:1: log\.level: \*nobody has no &nobody before it$/],
    [bomb, /^gw\.yaml:\d+: .*more than 20000 values: not a configuration$/],
    [`log: &a { level: *a }\n`, /nested deeper than 16 levels|not YAML/],
    [`a: ${'#'.repeat(1024 * 1024)}`, /^gw\.yaml: longer than 1024 KiB/],
  ]
  for (const [file, problem] of wrong) {
    test(JSON.stringify(file.slice(0, 40)), () => {
      expect(problems({ file })[0]).toMatch(problem)
    })
  }

  test('anchors and aliases are YAML too', () => {
    const { listeners } = good({ file: 'listeners:\n  a: &all { bind: 127.0.0.1, port: 0 }\n  b: *all\n' })
    expect(listeners['b']).toMatchObject({ type: 'mqtt', enabled: true, bind: '127.0.0.1', port: 0 })
  })
})

describe('sums', () => {
  test('dead_after is at least three heartbeats', () => {
    expect(problems({ file: 'cluster:\n  dead_after: 2s\n' })).toEqual([
      'gw.yaml:2: cluster.dead_after: found 2s with a heartbeat of 1s; right would be at least three heartbeats, 3s or more',
    ])
    expect(problems({ file: 'cluster:\n  heartbeat: 2s\n' })[0]).toMatch(
      /^gw.yaml:2: cluster\.dead_after: found 5s with/,
    )
  })

  test('two listeners, or a listener and the cluster, do not share a port', () => {
    expect(problems({ file: 'listeners:\n  b:\n    bind: 127.0.0.1\n' })).toEqual([
      'gw.yaml:2: listeners.b.port: found 1883, which is listeners.mqtt.port already; right would be a port of its own',
    ])
    expect(problems({ settings: ['listeners.mqtt.port=4883'] })).toEqual([
      '--set listeners.mqtt.port=4883: listeners.mqtt.port: found 4883, which is cluster.port already; ' +
        'right would be a port of its own',
    ])
  })

  test('what a listener has fits its type', () => {
    const tls = 'tls: { cert: /a.crt, key: /a.key'
    const wrong: readonly (readonly [string, string])[] = [
      ['type: unix', 'listeners.a.path: a unix socket needs its path'],
      ['port: 1, path: /x', 'listeners.a.path: only ws, wss and unix have a path, and this one is of type mqtt'],
      ['type: mqtts, port: 1, tls: { cert: /a.crt }', 'listeners.a.tls.key: a certificate and its key come together'],
      ['type: mqtts, port: 1, tls: { key: /a.key }', 'listeners.a.tls.cert: a certificate and its key come together'],
      [`type: ws, port: 1, ${tls} }`, 'listeners.a.type: found ws with tls settings; right would be mqtts or wss'],
      [`type: wss, port: 1, ${tls}, ca: /ca.crt }`, 'listeners.a.tls.client_certificates: found none; '],
    ]
    for (const [listener, what] of wrong) {
      expect(problems({ file: `listeners: { a: { ${listener} } }` })[0]).toContain(what)
      good({ file: `listeners: { a: { enabled: false, ${listener} } }` })
    }
    good({ file: 'listeners: { a: { type: unix, path: /run/mqtt.sock } }' })
    good({ file: `listeners: { a: { type: wss, port: 1, path: /, ${tls}, client_certificates: required } } }` })
  })

  test('ports apart by address, free ports and listeners that are off do not clash', () => {
    const a = '{ port: 1, bind: 127.0.0.1 }'
    good({ file: `listeners: { a: ${a}, b: { port: 1, bind: 127.0.0.2 }, c: { enabled: false } }` })
    good({ settings: ['listeners.a.port=0', 'listeners.b.port=0', 'cluster.port=0'] })
    good({ settings: ['listeners.mqtt.port=4883', 'cluster.enabled=false'] })
  })

  test('a queue that cannot hold one message is allowed, with a warning', () => {
    const loaded = load({ settings: ['sessions.queue.max_bytes=1MiB'] })
    expect(loaded.ok).toBe(true)
    expect(loaded.warnings).toEqual([
      'sessions.queue.max_bytes: 1MiB cannot hold one message of limits.max_packet_size (4MiB)',
    ])
  })
})

describe('environment', () => {
  const at = (environment: Sources['environment'], file?: string) =>
    good({ environment, ...(file === undefined ? {} : { file }) })

  test('the path in capitals, with the underscores of keys', () => {
    const configuration = at({
      EDGE_MQTT_CLUSTER_DEAD_AFTER: '7s',
      EDGE_MQTT_CLUSTER_LINK_QUEUE_MAX_BYTES: '8MiB',
      EDGE_MQTT_CLUSTER_DISCOVERY_BEACON_ENABLED: 'false',
      EDGE_MQTT_CLUSTER_DISCOVERY_PEERS: '10.0.0.1, 10.0.0.2:5',
      EDGE_MQTT_NODE_NAME: '12',
      EDGE_MQTT_LISTENERS_MQTT_PORT: '1999',
      OTHER: '1',
    })
    expect(configuration.cluster.dead_after).toBe(7000)
    expect(configuration.cluster.link_queue.max_bytes).toBe(8 * 1024 * 1024)
    expect(configuration.cluster.discovery.beacon.enabled).toBe(false)
    expect(configuration.cluster.discovery.peers.map(({ port }) => port)).toEqual([4883, 5])
    expect(configuration.node.name).toBe('12')
    expect(configuration.listeners['mqtt']!.port).toBe(1999)
  })

  test('the names of a map: those known first, then new ones', () => {
    const file = 'listeners: { iot-lan: { port: 1 } }'
    const { listeners } = at({ EDGE_MQTT_LISTENERS_IOT_LAN_PORT: '5', EDGE_MQTT_LISTENERS_TWO_WORDS_PORT: '6' }, file)
    expect(Object.entries(listeners).map(([name, { port }]) => [name, port])).toEqual([
      ['mqtt', 1883],
      ['mqtts', 8883],
      ['ws', 8083],
      ['wss', 8084],
      ['iot-lan', 5],
      ['two_words', 6],
    ])
  })

  test('an unknown one is a warning, an empty one is none', () => {
    const loaded = load({
      environment: { EDGE_MQTT_CLUSTER_PROT: '1', EDGE_MQTT_ZZZZZZZ: '1', EDGE_MQTT_LOG_LEVEL: '' },
    })
    expect(loaded.ok).toBe(true)
    expect(loaded.warnings).toEqual([
      'EDGE_MQTT_CLUSTER_PROT: no such key, so it has no effect; did you mean EDGE_MQTT_CLUSTER_PORT?',
      'EDGE_MQTT_ZZZZZZZ: no such key, so it has no effect',
    ])
  })

  test('a wrong value names the variable', () => {
    expect(problems({ environment: { EDGE_MQTT_CLUSTER_PORT: 'x' } })[0]).toMatch(
      /^EDGE_MQTT_CLUSTER_PORT: cluster\.port: found "x"; right would be a whole number/,
    )
  })

  test('every key of the schema has exactly one variable', () => {
    for (const path of leafPaths()) {
      const concrete = path.replace('*', 'mqtt')
      const name = `EDGE_MQTT_${concrete.toUpperCase().replace(/\./g, '_')}`
      const loaded = load({ environment: { [name]: '{ wrong: [value] }' } })
      const found = loaded.ok ? [] : loaded.problems.map(({ where, key }) => `${where} ${key}`)
      // Texts are taken as written, and a name or a password may look like anything.
      if (!/\.(name|password)$/.test(path)) expect(found).toEqual([`${name} ${concrete}`])
      expect(loaded.warnings).toEqual([])
    }
  })
})
