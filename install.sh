#!/bin/sh
# Installs edge-mqtt on this gateway and starts it as a service: from a release tarball without any network, from a clone
# of the repository by building first. A second run upgrades in place and keeps configuration and state. What fails puts
# back what it has changed.
set -eu
umask 022

HERE=$(cd "$(dirname "$0")" && pwd)
NODE_LEAST=20.19

said='' # why this run ends, when we have said it
fail() {
  said=yes
  echo "install.sh: $1" >&2
  shift
  for line in "$@"; do echo "  $line" >&2; done
  exit 1
}

usage() {
  cat <<END
usage: sudo ./install.sh                     install or upgrade, and start
       sudo ./install.sh --uninstall         remove the program; configuration and state stay
       sudo ./install.sh --uninstall --purge remove configuration and state as well

  --join CODE          become a member with a code; on any member type: edge-mqtt invite
  --at ADDRESS         with --join: a member's address, where none is heard (on another subnet)
  --replace NAME       with --join: in the place of the dead box NAME, which is removed; this box takes its name
  --new-cluster        make a new cluster at once, without listening for one
  --no-start           install only; it starts at the next boot, or with: sudo systemctl start edge-mqtt
  --replace-mosquitto  stop and disable the mosquitto that has the port; --uninstall puts it back
  --prefix ROOT        install into the system below ROOT, for example a mounted image: no identity is made, first setup
                       runs at that system's first boot

A folder certs/ beside this script with ca.crt and ca.key makes this box a member of the cluster they come from. On the
first box of a cluster they are made, and laid into that folder: copy the folder to the next box. Without it, and
without a code, a box that hears a cluster waits until somebody approves it on a member.
END
}

new_cluster='' uninstall='' purge='' start=yes replace='' ROOT='' code='' at='' take=''
while [ $# -gt 0 ]; do
  case $1 in
    --new-cluster) new_cluster=--new-cluster ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    --no-start) start='' ;;
    --replace-mosquitto) replace=yes ;;
    --prefix) [ $# -gt 1 ] || fail '--prefix needs a folder' 'type: sudo ./install.sh --prefix /mnt'; ROOT=$2; shift ;;
    --prefix=*) ROOT=${1#*=} ;;
    --join) [ $# -gt 1 ] || fail '--join needs a code' 'on any member type: edge-mqtt invite'; code=$2; shift ;;
    --join=*) code=${1#*=} ;;
    --at) [ $# -gt 1 ] || fail "--at needs a member's address" 'such as --at 192.168.1.20'; at=$2; shift ;;
    --at=*) at=${1#*=} ;;
    --replace) [ $# -gt 1 ] || fail '--replace needs the name of a dead box' 'such as --replace gw-2'; take=$2; shift ;;
    --replace=*) take=${1#*=} ;;
    --help | -h) usage; exit 0 ;;
    *) echo "install.sh: unknown option $1" >&2; usage >&2; exit 64 ;;
  esac
  shift
done
[ -z "$purge" ] || [ -n "$uninstall" ] || fail '--purge goes with --uninstall'
[ -z "$ROOT" ] || [ -z "$uninstall$replace$new_cluster" ] || fail '--prefix goes with --no-start only'
[ -n "$code" ] || [ -z "$at$take" ] || fail '--at and --replace go with --join CODE' 'on any member type: edge-mqtt invite'
[ -z "$code" ] || [ -z "$new_cluster$ROOT$uninstall" ] || fail '--join goes neither with --new-cluster nor with --prefix or --uninstall'
[ -z "$code" ] || [ -n "$start" ] || fail '--join does not go with --no-start' 'the box joins when it is installed'
case $take in *[!A-Za-z0-9._-]*) fail "--replace $take: not the name of a box" ;; esac
[ "$(id -u)" = 0 ] || fail 'must be run as root' 'type: sudo ./install.sh'
if [ -n "$ROOT" ]; then
  [ -d "$ROOT/etc" ] && [ -d "$ROOT/usr" ] || fail "$ROOT holds no system: no etc and usr in it" 'mount the image first'
  ROOT=$(cd "$ROOT" && pwd)
  if [ "$ROOT" = / ]; then ROOT=''; else start=''; fi
fi

PROGRAM=$ROOT/opt/edge-mqtt
CONFIG=$ROOT/etc/edge-mqtt
STATE=$ROOT/var/lib/edge-mqtt
UNIT=$ROOT/etc/systemd/system/edge-mqtt.service
ADDRESS_UNIT=$ROOT/etc/systemd/system/edge-mqtt-address.service
COMMAND=$ROOT/usr/local/bin/edge-mqtt
# Beside the program: what --uninstall gives back.
REPLACED=$PROGRAM/replaced-mosquitto

live() { [ -z "$ROOT" ] && [ -d /run/systemd/system ]; }
active() { live && systemctl is-active --quiet "$1"; }
account() { grep -q "^edge-mqtt:" "$ROOT/etc/$1"; }

if [ -z "$ROOT" ]; then
  live || [ -z "$start" ] ||
    fail 'systemd is not running here' 'to try it in the foreground: npm ci && npm start' \
      'to install into an image: ./install.sh --prefix ROOT'
  command -v systemctl >/dev/null || fail 'systemd is not installed here' 'to try it in the foreground: npm ci && npm start'
  # Two at a time would put back each other's work.
  exec 9>/run/edge-mqtt-install.lock
  flock -n 9 || fail 'another install.sh is at work here' 'wait until it has ended'
fi
if [ -e "$ROOT/var/lib/dpkg/info/edge-mqtt.list" ] && [ -e "$ROOT/usr/lib/systemd/system/edge-mqtt.service" ]; then
  fail 'edge-mqtt is installed here as a Debian package' 'to upgrade it: apt install ./edge-mqtt_VERSION_ARCH.deb' \
    'to remove it: apt remove edge-mqtt (apt purge edge-mqtt: configuration and state too)'
fi

give_back_mosquitto() {
  [ -e "$REPLACED" ] || return 0
  systemctl enable --quiet mosquitto 2>/dev/null && systemctl start mosquitto 2>/dev/null ||
    echo 'mosquitto could not be started again: see systemctl status mosquitto' >&2
}

if [ -n "$uninstall" ]; then
  if [ ! -e "$PROGRAM" ] && [ ! -e "$UNIT" ] && { [ -z "$purge" ] || { [ ! -e "$CONFIG" ] && [ ! -e "$STATE" ]; }; }; then
    echo 'edge-mqtt is not installed here.'
    exit 0
  fi
  systemctl disable --now --quiet edge-mqtt 2>/dev/null || true
  systemctl stop --quiet edge-mqtt-address 2>/dev/null || true
  give_back_mosquitto
  rm -f "$UNIT" "$ADDRESS_UNIT" "$COMMAND"
  rm -rf "$PROGRAM" "$PROGRAM.new" "$PROGRAM.old"
  if live; then
    systemctl daemon-reload
    systemctl reset-failed edge-mqtt edge-mqtt-address 2>/dev/null || true
  fi
  if [ -n "$purge" ]; then
    rm -rf "$CONFIG" "$STATE" /run/edge-mqtt
    ! account passwd || userdel edge-mqtt
    ! account group || groupdel edge-mqtt
    echo 'edge-mqtt is gone, with its configuration, its state and its user.'
  else
    echo "edge-mqtt is gone. Still there: $CONFIG, $STATE and the user and group edge-mqtt that they belong to."
    echo 'To remove these too: sudo ./install.sh --uninstall --purge'
  fi
  exit 0
fi

# What is needed, before anything is changed.

for tool in useradd groupadd usermod sha256sum od; do
  command -v "$tool" >/dev/null || fail "$tool is missing" 'it is part of every Debian: type: apt install passwd coreutils'
done

# The machine that a program is made for, as its ELF header says: a 32-bit system may run under a 64-bit kernel.
machine() {
  case $(od -An -tu2 -j18 -N2 "$1" 2>/dev/null | tr -d ' ') in
    3) echo ia32 ;;
    62) echo x64 ;;
    183) echo arm64 ;;
    40) echo armv7l ;;
    *) uname -m ;;
  esac
}
here=$(machine "$ROOT/usr/bin/env")

new_enough() {
  "$1" -e '
    const [major, minor] = process.versions.node.split(".").map(Number)
    const [least, leastMinor] = process.argv[1].split(".").map(Number)
    process.exit(major > least || (major === least && minor >= leastMinor) ? 0 : 1)
  ' "$NODE_LEAST" 2>/dev/null
}

if [ -e "$HERE/SHA256SUMS" ] || [ -e "$HERE/node" ]; then
  release=yes
  [ -e "$HERE/SHA256SUMS" ] || fail 'this release is not whole: SHA256SUMS is missing' 'unpack the tarball again'
  wrong=$(cd "$HERE" && sha256sum -c --quiet SHA256SUMS 2>/dev/null | head -n 5) || true
  [ -z "$wrong" ] || fail 'this release is damaged:' "$wrong" 'copy the tarball again and unpack it into an empty folder'
  for file in node/bin/node dist/main.js systemd/edge-mqtt.service systemd/edge-mqtt-address node_modules/commander/package.json; do
    [ -e "$HERE/$file" ] || fail "this release is not whole: $file is missing" 'unpack the tarball again'
  done
  made_for=$(machine "$HERE/node/bin/node")
  if [ "$made_for" != "$here" ]; then
    set -- "take the release for linux-$here"
    case $here in
      armv7l | ia32) set -- 'on a 32-bit system install from a clone of the repository, with the Node.js of the distribution' ;;
    esac
    fail "this release is made for $made_for, this system is $here" "$@"
  fi
  node=$HERE/node/bin/node
  [ -n "$ROOT" ] || "$node" --version >/dev/null 2>&1 ||
    fail "the Node.js of this release does not run here: $("$node" --version 2>&1 | head -n 1)" 'Debian 12 or newer is needed'
else
  release=''
  if [ -n "$ROOT" ]; then
    [ -e "$ROOT/usr/bin/node" ] || fail "there is no Node.js in $ROOT" 'install from a release tarball: it brings its own'
  else
    node=$(command -v node || true)
    if [ -z "$node" ] || ! new_enough "$node"; then
      echo 'installing Node.js...'
      { apt-get update -q && apt-get install -y -q nodejs npm; } >/dev/null ||
        fail "Node.js $NODE_LEAST is needed and could not be installed: see above" 'install from a release tarball: it brings its own'
      node=$(command -v node || true)
    fi
    [ -n "$node" ] && new_enough "$node" ||
      fail "Node.js is $("$node" --version), $NODE_LEAST or newer is needed and this distribution has none" \
        'install from a release tarball: it brings its own'
    node=$(readlink -f "$node")
    case $node in
      /home/* | /root/*) fail "Node.js lies in $node, where the service cannot read it" 'type: apt install nodejs' ;;
    esac
  fi
fi

if [ -n "$code" ] && [ ! -e "$STATE/node.crt" ]; then
  for folder in "$HERE/certs" "$CONFIG/certs"; do
    [ ! -e "$folder/ca.key" ] || fail "$folder has a CA, which makes this box a member without any code" \
      'take that folder away to join another cluster, or leave --join out'
  done
elif [ -e "$HERE/certs/ca.crt" ] || [ -e "$HERE/certs/ca.key" ]; then
  for file in ca.crt ca.key; do
    [ -r "$HERE/certs/$file" ] ||
      fail "certs/ has half a CA: $file is missing" 'copy both from the box that has them, or neither'
  done
  if [ -e "$CONFIG/certs/ca.crt" ] && ! cmp -s "$HERE/certs/ca.crt" "$CONFIG/certs/ca.crt"; then
    fail "certs/ca.crt is not the CA that this box has in $CONFIG/certs" \
      'to keep the present cluster: take the folder certs/ away' \
      'to change clusters: ./install.sh --uninstall --purge first'
  fi
fi

# Whoever called sudo owns the clone, and what is built in it. npm looks for its settings and packages in HOME, which sudo
# has made root's.
as_caller() {
  if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ] && [ "$(stat -c %U "$HERE")" = "$SUDO_USER" ]; then
    runuser -u "$SUDO_USER" -- env HOME="$(getent passwd "$SUDO_USER" | cut -d : -f 6)" "$@"
  else
    "$@"
  fi
}
if [ -z "$release" ] && { [ -d "$HERE/src" ] || [ ! -e "$HERE/dist/main.js" ]; }; then
  command -v npm >/dev/null || fail 'npm is needed to build from a clone, and is not installed' 'type: apt install npm'
  echo 'building...'
  cd "$HERE"
  if [ ! -e node_modules/.package-lock.json ] || [ -n "$(find package-lock.json -newer node_modules/.package-lock.json)" ]; then
    # npm would wait for more than a minute before it gives up a network that is not there.
    as_caller npm ci --no-audit --no-fund --loglevel=error --fetch-retries=4 --fetch-retry-factor=2 --fetch-retry-mintimeout=1000 || fail 'the packages could not be fetched: see above' 'nothing was changed'
  fi
  as_caller npm run --silent build || fail 'the build failed: see above' 'nothing was changed'
fi

# From here on every end but the last line's puts back what was changed.

done=''
was_active=''
made='' # what this run has made, a path a line, newest first
changed='' made_user='' made_group='' old_unit='' old_address_unit='' old_command='' swapped='' stopped_mosquitto=''
put_back() {
  status=$?
  trap - EXIT
  rm -rf "$PROGRAM.new"
  [ -z "$done" ] || exit "$status"
  set +e
  case $status in
    130) echo 'install.sh: interrupted' >&2 ;;
    *) [ -n "$said" ] || echo 'install.sh: stopped by the error above: mend it, then run this again' >&2 ;;
  esac
  if [ -n "$swapped" ]; then
    if live; then systemctl stop edge-mqtt 2>/dev/null; fi
    [ -n "$old_unit" ] || rm -f "$ROOT/etc/systemd/system/multi-user.target.wants/edge-mqtt.service"
    rm -rf "$PROGRAM" "$UNIT" "$ADDRESS_UNIT" "$COMMAND"
    [ ! -e "$PROGRAM.old" ] || mv "$PROGRAM.old" "$PROGRAM"
    [ -z "$old_unit" ] || printf '%s\n' "$old_unit" >"$UNIT"
    [ -z "$old_address_unit" ] || printf '%s\n' "$old_address_unit" >"$ADDRESS_UNIT"
    [ -z "$old_command" ] || { printf '%s\n' "$old_command" >"$COMMAND"; chmod 0755 "$COMMAND"; }
    if live; then systemctl daemon-reload; systemctl reset-failed edge-mqtt 2>/dev/null; fi
  fi
  # A path a line: none is split at its blanks.
  printf '%s' "$made" | while IFS= read -r path; do rm -rf "$path"; done
  [ -z "$made_user" ] || userdel ${ROOT:+--prefix "$ROOT"} edge-mqtt >/dev/null 2>&1
  [ -z "$made_group" ] || ! account group || groupdel ${ROOT:+--prefix "$ROOT"} edge-mqtt >/dev/null 2>&1
  [ -z "$stopped_mosquitto" ] || systemctl enable --now --quiet mosquitto 2>/dev/null
  if [ -z "$changed" ]; then
    echo '  nothing was changed' >&2
  elif [ -n "$was_active" ]; then
    systemctl start edge-mqtt && echo '  the version that ran before runs again' >&2
  else
    echo '  what was changed has been put back' >&2
  fi
  exit "$status"
}
trap put_back EXIT
trap 'exit 130' INT TERM HUP
if active edge-mqtt; then was_active=yes; fi

# Is there room, does it run here, and is all that it would start with good?

size=$(du -sk "$HERE/dist" "$HERE/node_modules" ${release:+"$HERE/node"} | awk '{ sum += $1 } END { print sum + 20480 }')
mkdir -p "$ROOT/opt"
for place in "opt $size" 'var/lib 10240' 'etc 1024'; do
  needed=${place#* } place=$ROOT/${place% *}
  free=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
  [ "$free" -gt "$needed" ] ||
    fail "no space in $place: $((free / 1024)) MiB are free, $((needed / 1024)) MiB are needed" 'make room (df -h), then type: sudo ./install.sh'
done

# Nothing of the caller's environment: the service will not have it either.
new() { env -i PATH="$PATH" CONFIGURATION_DIRECTORY="$CONFIG" STATE_DIRECTORY="$STATE" "$@"; }
main=$HERE/dist/main.js
if [ -n "$ROOT" ]; then
  # Another machine's Node does not run here: judged by ours where there is one.
  judge=$(command -v node || true)
  [ -z "$judge" ] || new_enough "$judge" || judge=''
else
  judge=$node
  new "$judge" "$main" version >/dev/null || fail 'the new version does not run: see above'
fi
if [ -n "$judge" ]; then
  new "$judge" "$main" start --check >/dev/null || fail "what lies in $CONFIG does not fit this version: see above" 'mend it, then run this again'
  new CONFIGURATION_DIRECTORY="$HERE" "$judge" "$main" start --check --config /dev/null >/dev/null ||
    fail "what lies in $HERE/certs cannot be used: see above" 'mend it, then run this again'
fi

if [ -n "$start" ] && [ -z "$was_active" ]; then
  if active mosquitto && [ -n "$replace" ]; then
    stopped_mosquitto=yes changed=yes
    systemctl disable --now --quiet mosquitto 2>/dev/null || fail 'mosquitto could not be stopped' 'see systemctl status mosquitto'
    echo 'mosquitto is stopped and disabled; sudo ./install.sh --uninstall puts it back.'
  fi
  new "$judge" "$main" start --ports >/dev/null || {
    set -- "free them, or choose other ones in $CONFIG/edge-mqtt.yaml"
    ! active mosquitto || set -- 'mosquitto runs here. To put edge-mqtt in its place (--uninstall puts it back):' \
      '  sudo ./install.sh --replace-mosquitto' "or choose another port in $CONFIG/edge-mqtt.yaml: listeners: { mqtt: { port: 1884 } }"
    fail 'a port that edge-mqtt needs is taken: see above' "$@"
  }
fi

# The new program, whole, beside the old one; then in its place.

changed=yes
rm -rf "$PROGRAM.new"
mkdir -p "$PROGRAM.new"
for part in dist systemd node_modules package.json package-lock.json CHANGELOG.md LICENSE docs ${release:+node}; do
  [ ! -e "$HERE/$part" ] || cp -R "$HERE/$part" "$PROGRAM.new/" || fail "$part could not be copied: see above" 'make room (df -h), then type: sudo ./install.sh'
done
if [ -z "$release" ]; then
  if command -v npm >/dev/null; then
    (cd "$PROGRAM.new" && npm prune --omit=dev --offline --no-audit --no-fund --loglevel=error) ||
      fail 'the development packages could not be left out: see above'
  fi
  mkdir -p "$PROGRAM.new/node/bin"
  ln -s "${node:-/usr/bin/node}" "$PROGRAM.new/node/bin/node"
fi
[ ! -e "$REPLACED" ] || cp "$REPLACED" "$PROGRAM.new/"
[ -z "$stopped_mosquitto" ] || echo 'mosquitto was enabled and running' >"$PROGRAM.new/replaced-mosquitto"
chown -R root:root "$PROGRAM.new"
chmod -R u=rwX,go=rX "$PROGRAM.new"
# On the card before it takes the old one's place: a power cut must not leave empty files there.
sync -f "$PROGRAM.new"

if ! account group; then
  groupadd ${ROOT:+--prefix "$ROOT"} --system edge-mqtt
  made_group=yes
fi
if ! account passwd; then
  useradd ${ROOT:+--prefix "$ROOT"} --system --gid edge-mqtt --home-dir /var/lib/edge-mqtt --no-create-home --shell /usr/sbin/nologin edge-mqtt
  made_user=yes
fi
uid=$(sed -n 's/^edge-mqtt:[^:]*:\([0-9]*\):.*/\1/p' "$ROOT/etc/passwd")
gid=$(sed -n 's/^edge-mqtt:[^:]*:\([0-9]*\):.*/\1/p' "$ROOT/etc/group")
joined=''
if [ -z "$ROOT" ] && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ] && ! id -nG "$SUDO_USER" | grep -qw edge-mqtt; then
  usermod -aG edge-mqtt "$SUDO_USER"
  joined=yes
fi

# usage: directory PATH MODE OWNER GROUP
directory() {
  [ -e "$1" ] || made="$1
$made"
  install -d -m "$2" -o "$3" -g "$4" "$1"
}
directory "$CONFIG" 0755 0 0
directory "$CONFIG/certs" 0750 0 "$gid"
directory "$STATE" 0700 "$uid" "$gid"
lay_ca() { # from to key's-mode owner group
  made="$2/ca.key
$2/ca.crt
$made"
  install -m "$3" -o "$4" -g "$5" "$1/ca.key" "$2/ca.key"
  install -m 0644 -o "$4" -g "$5" "$1/ca.crt" "$2/ca.crt"
}
if [ -e "$HERE/certs/ca.crt" ] && [ ! -e "$CONFIG/certs/ca.crt" ]; then lay_ca "$HERE/certs" "$CONFIG/certs" 0640 0 "$gid"; fi

[ ! -e "$UNIT" ] || old_unit=$(cat "$UNIT")
[ ! -e "$ADDRESS_UNIT" ] || old_address_unit=$(cat "$ADDRESS_UNIT")
[ ! -e "$COMMAND" ] || old_command=$(cat "$COMMAND")
swapped=yes
# The power may have failed between these two lines of an earlier run.
[ -e "$PROGRAM" ] || [ ! -e "$PROGRAM.old" ] || mv "$PROGRAM.old" "$PROGRAM"
rm -rf "$PROGRAM.old"
[ ! -e "$PROGRAM" ] || mv "$PROGRAM" "$PROGRAM.old"
mv "$PROGRAM.new" "$PROGRAM"
mkdir -p "$(dirname "$COMMAND")" "$(dirname "$UNIT")"
cat >"$COMMAND" <<'END'
#!/bin/sh
exec /opt/edge-mqtt/node/bin/node /opt/edge-mqtt/dist/main.js "$@"
END
chmod 0755 "$COMMAND"
install -m 0644 "$HERE/systemd/edge-mqtt.service" "$UNIT"
install -m 0644 "$HERE/systemd/edge-mqtt-address.service" "$ADDRESS_UNIT"

if [ -n "$ROOT" ]; then
  mkdir -p "$ROOT/etc/systemd/system/multi-user.target.wants"
  ln -sfn /etc/systemd/system/edge-mqtt.service "$ROOT/etc/systemd/system/multi-user.target.wants/edge-mqtt.service"
  done=yes
  rm -rf "$PROGRAM.old"
  echo "edge-mqtt lies in $ROOT. First setup runs at that system's first boot."
  [ -e "$CONFIG/certs/ca.key" ] || echo 'Without a CA in certs/ each such box looks for a cluster then, and makes one when it hears none.'
  exit 0
fi

if live; then systemctl daemon-reload; fi
systemctl enable --quiet edge-mqtt
if [ -z "$start" ]; then
  done=yes
  rm -rf "$PROGRAM.old"
  if [ -n "$was_active" ]; then
    echo 'edge-mqtt is upgraded; the version that runs ends with: sudo systemctl restart edge-mqtt'
  else
    echo 'edge-mqtt is installed. It starts at the next boot, or now with: sudo systemctl start edge-mqtt'
  fi
  exit 0
fi

if [ -n "$take" ] && [ "$(hostname | sed 's/[.].*//')" != "$take" ]; then
  file=$CONFIG/edge-mqtt.yaml
  if ! grep -qs '^node:' "$file"; then
    [ -e "$file" ] || made="$file
$made"
    echo "node: { name: $take }" >>"$file"
  elif ! grep -qs "name:.*$take" "$file"; then
    fail "this box would not be called $take" "in $file, under node:, write name: $take; then run this again"
  fi
fi

# First setup, as the service's user: an identity, and the CA when this is the first box. Listening for a cluster takes
# eight seconds. A box that waits to be let in is asked again.

if [ ! -e "$STATE/node.crt" ]; then
  if [ -n "$was_active" ]; then systemctl stop edge-mqtt; fi
  echo 'first setup...'
  set -- $new_cluster
  [ -z "$code" ] || set -- --join "$code" ${at:+--at "$at"} ${take:+--replace "$take"}
  runuser -u edge-mqtt -- "$COMMAND" setup "$@" || fail 'first setup failed: see above' 'mend it, then run this again'
  code=''
fi
if [ -s "$STATE/ca.key" ] && [ ! -e "$CONFIG/certs/ca.crt" ]; then lay_ca "$STATE" "$CONFIG/certs" 0640 0 "$gid"; fi

# Waits until it says that it is ready.
since=$(date '+%Y-%m-%d %H:%M:%S')
if ! systemctl restart edge-mqtt; then
  journalctl -u edge-mqtt --since "$since" -n 20 --no-pager -o cat >&2 || true
  fail 'the service does not start: see above' 'mend it, then run this again'
fi
done=yes
rm -rf "$PROGRAM.old"

# A box that runs already, alone or waiting, joins while it runs.
if [ -n "$code" ]; then
  "$COMMAND" cluster join ${at:+"$at"} --code "$code" ${take:+--replace "$take"} ||
    fail 'installed, but not let in: see above' "type: sudo edge-mqtt cluster join --code CODE"
fi

# What was made here is all that the next box needs.
if [ -e "$CONFIG/certs/ca.key" ] && [ ! -e "$HERE/certs/ca.key" ] && mkdir -p "$HERE/certs" 2>/dev/null; then
  lay_ca "$CONFIG/certs" "$HERE/certs" 0600 "${SUDO_UID:-0}" "${SUDO_GID:-0}"
fi

host=$(hostname)
echo
"$COMMAND" status || true
echo
echo "edge-mqtt runs on $host and will at every boot."
url=$("$COMMAND" user show devices 2>/dev/null | grep '^mqtt') || url=''
if [ -n "$url" ]; then
  echo "Your devices connect with: $url"
  echo '  (shown again by: edge-mqtt user show devices; other accounts: edge-mqtt user add NAME)'
fi
if [ -n "$joined" ]; then echo "$SUDO_USER may now run all of edge-mqtt's commands, after logging in again."; fi
if [ -e "$STATE/node.crt" ]; then
  if [ -e "$HERE/certs/ca.key" ]; then
    echo "The next box: copy this folder ($HERE) there, with certs/ in it, and type: sudo ./install.sh"
    echo 'If this box dies, the others go on, and its clients find another box; a new one is installed from the same folder.'
    echo 'Keep certs/ca.key like a password: whoever has it can make a member.'
  else
    echo "The next box: copy $CONFIG/certs/ca.crt and ca.key of a box that has both into certs/ beside install.sh there."
  fi
else
  echo 'This box has heard a cluster and waits to be let in. Either'
  echo '  compare: it shows four words (edge-mqtt status). On a member whose status shows the same, type what it says there'
  echo '  or, with a code from "edge-mqtt invite" on any member: sudo ./install.sh --join CODE'
  echo '  or copy certs/ (ca.crt and ca.key) of a box that is a member beside this install.sh, and type: sudo ./install.sh'
  echo '  or, for a cluster of its own: sudo ./install.sh --new-cluster'
fi
