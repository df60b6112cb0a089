#!/bin/sh
# Installs edge-mqtt on this gateway from a clone of the repository and starts it as a service. A second run upgrades in
# place and keeps configuration and state. Needs root, systemd, and Node.js 20.19 or newer.
set -eu

PROGRAM=/opt/edge-mqtt
CONFIG=/etc/edge-mqtt
STATE=/var/lib/edge-mqtt
UNIT=/etc/systemd/system/edge-mqtt.service
COMMAND=/usr/local/bin/edge-mqtt
HERE=$(cd "$(dirname "$0")" && pwd)

fail() {
  echo "install.sh: $1" >&2
  shift
  for line in "$@"; do echo "  $line" >&2; done
  exit 1
}

usage() {
  cat <<END
usage: sudo ./install.sh [--new-cluster]      install or upgrade, and start
       sudo ./install.sh --uninstall [--purge] remove the program; with --purge also configuration and state

A folder certs/ beside this script with ca.crt and ca.key makes this box a member of the cluster they come from. On the
first box of a cluster they are made, and laid into that folder: copy the folder to the next box.
END
}

new_cluster=
uninstall=
purge=
for argument in "$@"; do
  case $argument in
    --new-cluster) new_cluster=--new-cluster ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 64 ;;
  esac
done
[ -z "$purge" ] || [ -n "$uninstall" ] || fail '--purge goes with --uninstall'

[ "$(id -u)" = 0 ] || fail 'must be run as root' 'type: sudo ./install.sh'
[ -d /run/systemd/system ] || fail 'systemd is not running here' 'to try it in the foreground: npm ci && npm start'

if [ -n "$uninstall" ]; then
  systemctl disable --now edge-mqtt 2>/dev/null || true
  rm -f "$UNIT" "$COMMAND"
  rm -rf "$PROGRAM" "$PROGRAM.new" "$PROGRAM.old"
  systemctl daemon-reload
  if [ -n "$purge" ]; then
    rm -rf "$CONFIG" "$STATE"
    ! id edge-mqtt >/dev/null 2>&1 || userdel edge-mqtt
    ! getent group edge-mqtt >/dev/null || groupdel edge-mqtt
    echo 'edge-mqtt is gone, with its configuration and state.'
  else
    echo "edge-mqtt is gone; $CONFIG and $STATE are still there (--purge removes them too)."
  fi
  exit 0
fi

# What is needed, before anything is changed.

node=$(command -v node) || fail 'Node.js is not installed' 'type: apt install nodejs'
node=$(readlink -f "$node")
"$node" -e '
  const [major, minor] = process.versions.node.split(".").map(Number)
  process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)
' || fail "Node.js is $("$node" --version), 20.19 or newer is needed" 'Debian 13 and Raspberry Pi OS (trixie) have it: apt install nodejs'
case $node in
  /home/* | /root/*) fail "Node.js lies in $node, where the service cannot read it" 'type: apt install nodejs' ;;
esac
for tool in systemd-notify runuser useradd; do
  command -v "$tool" >/dev/null || fail "$tool is missing" 'it is part of every Debian with systemd'
done

if [ -e "$HERE/certs/ca.crt" ] || [ -e "$HERE/certs/ca.key" ]; then
  for file in ca.crt ca.key; do
    [ -r "$HERE/certs/$file" ] || fail "certs/ has half a CA: $file is missing" 'copy both from the first box, or neither'
  done
  if [ -e "$CONFIG/certs/ca.crt" ] && ! cmp -s "$HERE/certs/ca.crt" "$CONFIG/certs/ca.crt"; then
    fail "certs/ca.crt is not the CA that this box has in $CONFIG/certs" \
      'to keep the present cluster: take the folder certs/ away' \
      'to change clusters: ./install.sh --uninstall --purge first'
  fi
fi

if [ ! -e "$HERE/dist/main.js" ] || [ ! -d "$HERE/node_modules/commander" ]; then
  command -v npm >/dev/null || fail 'npm is needed to build from a clone, and is not installed' 'type: apt install npm'
  echo 'building...'
  (cd "$HERE" && npm ci --no-audit --no-fund && npm run build) || fail 'the build failed: see above'
fi

# The new program, whole, beside the old one; then tried; then in its place.

rm -rf "$PROGRAM.new"
mkdir -p "$PROGRAM.new"
trap 'rm -rf "$PROGRAM.new"' EXIT
cp -R "$HERE/dist" "$HERE/node_modules" "$HERE/package.json" "$HERE/package-lock.json" "$PROGRAM.new/"
if command -v npm >/dev/null; then
  (cd "$PROGRAM.new" && npm prune --omit=dev --offline --no-audit --no-fund --loglevel=error) ||
    fail 'the development packages could not be left out' 'nothing was changed'
fi
chown -R root:root "$PROGRAM.new"
chmod -R u=rwX,go=rX "$PROGRAM.new"
check() {
  CONFIGURATION_DIRECTORY=$1 "$node" "$PROGRAM.new/dist/main.js" start --check >/dev/null ||
    fail "what lies in $1 does not fit this version: see above" 'nothing was changed'
}
check "$CONFIG"
check "$HERE"

getent group edge-mqtt >/dev/null || groupadd --system edge-mqtt
id edge-mqtt >/dev/null 2>&1 ||
  useradd --system --gid edge-mqtt --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin edge-mqtt
if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then usermod -aG edge-mqtt "$SUDO_USER"; fi

install -d -m 0755 "$CONFIG"
install -d -m 0750 -g edge-mqtt "$CONFIG/certs"
install -d -m 0700 -o edge-mqtt -g edge-mqtt "$STATE"
if [ -e "$HERE/certs/ca.crt" ] && [ ! -e "$CONFIG/certs/ca.crt" ]; then
  install -m 0640 -g edge-mqtt "$HERE/certs/ca.key" "$CONFIG/certs/ca.key"
  install -m 0644 -g edge-mqtt "$HERE/certs/ca.crt" "$CONFIG/certs/ca.crt"
fi

rm -rf "$PROGRAM.old"
[ ! -e "$PROGRAM" ] || mv "$PROGRAM" "$PROGRAM.old"
mv "$PROGRAM.new" "$PROGRAM"
trap - EXIT
cat >"$COMMAND" <<END
#!/bin/sh
exec "$node" $PROGRAM/dist/main.js "\$@"
END
chmod 0755 "$COMMAND"
sed "s|^ExecStart=/usr/bin/node |ExecStart=$node |" "$HERE/systemd/edge-mqtt.service" >"$UNIT"
chmod 0644 "$UNIT"
systemctl daemon-reload

# First setup, as the service's user: an identity, and the CA when this is the first box. Listening for a cluster takes
# eight seconds.

if [ ! -e "$STATE/node.crt" ] && ! systemctl is-active --quiet edge-mqtt; then
  echo 'first setup...'
  runuser -u edge-mqtt -- "$COMMAND" setup $new_cluster || fail 'first setup failed: see above' 'mend it, then run this again'
fi
# What was made here is all that the next box needs.
if [ -s "$STATE/ca.key" ] && [ ! -e "$CONFIG/certs/ca.crt" ]; then
  install -m 0640 -g edge-mqtt "$STATE/ca.key" "$CONFIG/certs/ca.key"
  install -m 0644 -g edge-mqtt "$STATE/ca.crt" "$CONFIG/certs/ca.crt"
fi
if [ -e "$CONFIG/certs/ca.key" ] && [ ! -e "$HERE/certs/ca.key" ]; then
  mkdir -p "$HERE/certs"
  install -m 0600 "$CONFIG/certs/ca.key" "$HERE/certs/ca.key"
  install -m 0644 "$CONFIG/certs/ca.crt" "$HERE/certs/ca.crt"
  if [ -n "${SUDO_UID:-}" ]; then chown "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$HERE/certs/ca.key" "$HERE/certs/ca.crt"; fi
fi

systemctl enable --quiet edge-mqtt
# Waits until it says that it is ready.
if ! systemctl restart edge-mqtt; then
  journalctl -u edge-mqtt -n 20 --no-pager -o cat >&2 || true
  if [ -e "$PROGRAM.old" ]; then
    rm -rf "$PROGRAM"
    mv "$PROGRAM.old" "$PROGRAM"
    systemctl restart edge-mqtt || true
    fail 'the new version does not start: see above; the old one is back in its place'
  fi
  fail 'the service does not start: see above' 'mend it, then: sudo systemctl start edge-mqtt'
fi
rm -rf "$PROGRAM.old"

"$COMMAND" status
echo
echo "edge-mqtt runs on $(hostname) and will at every boot."
if [ -e "$HERE/certs/ca.key" ]; then
  echo "The next box: copy this folder ($HERE) there, with certs/ in it, and run sudo ./install.sh"
fi
echo 'Clients of other machines are let in with auth.anonymous: always in /etc/edge-mqtt/edge-mqtt.yaml, then:'
echo '  sudo systemctl reload edge-mqtt'
