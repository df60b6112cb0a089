// What the unit's sandbox lets the daemon write, tried from inside it: an ExecStartPost of the unit is the same user in
// the same name spaces under the same filters.

/** Open to everybody by their modes, so that only the sandbox can refuse. */
const REFUSED = [
  '/etc/open',
  '/etc/edge-mqtt/open',
  '/usr/open',
  '/opt/edge-mqtt/open',
  '/srv/open',
  '/home/open',
  '/root/open',
  '/run/open',
  '/run/lock/open',
  '/var/open',
  '/var/lib/open',
  '/var/log/open',
]
/** Its own: `/tmp` is private, and seen by nobody else. */
const OWN = ['/var/lib/edge-mqtt', '/run/edge-mqtt', '/tmp']

const ANSWERS = '/var/lib/edge-mqtt/tried'
const DROP_IN = '/etc/systemd/system/edge-mqtt.service.d'

/** A shell's lines, as root in the box: `edge-mqtt` is started again and tries every place; prints a line for each. */
export const TRY_SANDBOX = `
set -e
mkdir -p ${REFUSED.join(' ')} ${DROP_IN}
chmod 0777 ${REFUSED.join(' ')}
cat >/usr/local/bin/edge-mqtt-tries <<'END'
#!/bin/sh
id -un
for place in ${[...REFUSED, ...OWN].join(' ')}; do
  if said=$( { echo tried >"$place/of-the-daemon"; } 2>&1 ); then echo "$place: written"; else echo "$place: \${said##*: }"; fi
done
END
chmod 0755 /usr/local/bin/edge-mqtt-tries
printf '[Service]\\nExecStartPost=/bin/sh -c "/usr/local/bin/edge-mqtt-tries >${ANSWERS} 2>&1"\\n' >${DROP_IN}/tries.conf
systemctl daemon-reload
systemctl restart edge-mqtt
cat ${ANSWERS}
for place in /tmp ${REFUSED.join(' ')}; do ! [ -e "$place/of-the-daemon" ] || echo "$place: seen outside"; done
rm -r ${DROP_IN}/tries.conf /usr/local/bin/edge-mqtt-tries ${ANSWERS} ${REFUSED.join(' ')}
systemctl daemon-reload
systemctl restart edge-mqtt
`

/** What it has to print. */
export const SANDBOX_ANSWERS = [
  'edge-mqtt',
  ...REFUSED.map(
    (place) => `${place}: ${/^\/(home|root)\//.test(place) ? 'Permission denied' : 'Read-only file system'}`,
  ),
  ...OWN.map((place) => `${place}: written`),
]
