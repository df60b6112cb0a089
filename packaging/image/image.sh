#!/bin/bash
# npm run image [-- --certs FOLDER] [--config FILE] [--authorized-keys FILE] [--release TARBALL] [--out FILE]
# A flashable card for Raspberry Pi 3, 4, 400, CM4 and Zero 2 W (Debian arm64) with edge-mqtt on it. The options lay
# files onto the card's FAT partition, as a person would; an image with --certs holds the key of a cluster.
# No loop device, no mount: mke2fs and mtools write the file systems into files. Needs root for the owners of files.
set -euo pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
REPOSITORY=$(cd "$HERE/../.." && pwd)
KEPT=${EDGE_MQTT_IMAGE_CACHE:-/var/cache/edge-mqtt}
FAT_MIB=256
ROOM_MIB=256

fail() {
  echo "image: $1" >&2
  shift
  for line in "$@"; do echo "  $line" >&2; done
  exit 1
}

VERSION=$(node -p 'require(process.argv[1]).version' "$REPOSITORY/package.json")
release= certs= config= keys=
out=$REPOSITORY/release/edge-mqtt-$VERSION-rpi-arm64.img
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || fail "$1 needs a value"
  case $1 in
    --certs) certs=$2 ;;
    --config) config=$2 ;;
    --authorized-keys) keys=$2 ;;
    --release) release=$(readlink -f "$2") ;;
    --out) out=$2 ;;
    *) sed -n '2,3s/^# //p' "$0" >&2; exit 64 ;;
  esac
  shift 2
done

[ "$(id -u)" = 0 ] || fail 'must be run as root: the files in the image belong to root' 'type: sudo npm run image'
missing=
for tool in mmdebstrap qemu-aarch64-static update-binfmts mkfs.vfat mcopy mke2fs sfdisk; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -z "$missing" ] || fail "missing:$missing" \
  'type: apt install mmdebstrap arch-test qemu-user-static binfmt-support dosfstools mtools e2fsprogs fdisk'
for file in ${certs:+"$certs/ca.crt" "$certs/ca.key"} ${config:+"$config"} ${keys:+"$keys"} ${release:+"$release"}; do
  [ -r "$file" ] || fail "$file cannot be read"
done

if [ -z "$release" ]; then
  release=$REPOSITORY/release/edge-mqtt-$VERSION-linux-arm64.tar.gz
  (cd "$REPOSITORY" && npm run --silent package -- --arch arm64 >&2)
fi
base=$("$HERE/root.sh" "$KEPT")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root card=$work/card
mkdir "$root" "$card" "$work/release"
chmod 0755 "$root"
tar -xpf "$base" -C "$root" --numeric-owner --exclude='./dev/*'
tar -xzf "$release" -C "$work/release" --strip-components=1 --no-same-owner

"$work/release/install.sh" --prefix "$root" >&2

# What makes a Debian with edge-mqtt an appliance.
install -m 0755 "$HERE/provision" "$root/usr/local/sbin/edge-mqtt-provision"
install -m 0644 "$HERE/edge-mqtt-provision.service" "$root/etc/systemd/system/"
install -D -m 0644 "$HERE/80-dhcp.network" "$root/etc/systemd/network/80-dhcp.network"
install -d "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nSystemMaxUse=64M\n' >"$root/etc/systemd/journald.conf.d/card.conf"
for unit in edge-mqtt-provision systemd-networkd systemd-resolved systemd-timesyncd ssh; do
  systemctl --root="$root" --quiet enable "$unit" 2>/dev/null
done
# It would ask somebody at the console for a time zone.
ln -s /dev/null "$root/etc/systemd/system/systemd-firstboot.service"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
touch "$root/etc/edge-mqtt-grow-root"
cat >"$root/etc/fstab" <<'END'
LABEL=RASPIROOT / ext4 rw,noatime,commit=5,errors=remount-ro 0 1
LABEL=RASPIFIRM /boot/firmware vfat rw,noatime,umask=0077 0 2
END
# For the kernels that a later apt upgrade brings.
printf 'ROOTPART=LABEL=RASPIROOT\n' >>"$root/etc/default/raspi-firmware"
echo 'panic=10 cgroup_enable=memory' >"$root/etc/default/raspi-extra-cmdline"

mv "$root/boot/firmware" "$work/firmware"
mkdir "$root/boot/firmware"
cp -a "$work/firmware/." "$HERE/card/." "$card/"
# cgroup_enable: the Pi's firmware may have the memory controller off, and MemoryMax would be but a word.
kernel='root=LABEL=RASPIROOT rw fsck.repair=yes net.ifnames=0 rootwait panic=10 cgroup_enable=memory'
echo "console=tty0 console=ttyS1,115200 $kernel" >"$card/cmdline.txt"
if [ -n "$config" ]; then cp "$config" "$card/edge-mqtt.yaml"; fi
if [ -n "$keys" ]; then cp "$keys" "$card/authorized_keys"; fi
if [ -n "$certs" ]; then mkdir "$card/certs"; cp "$certs/ca.crt" "$certs/ca.key" "$card/certs/"; fi

export PATH=$PATH:/usr/sbin:/sbin
truncate -s "${FAT_MIB}M" "$work/fat"
mkfs.vfat -F 32 -n RASPIFIRM "$work/fat" >/dev/null
(cd "$card" && mcopy -s -i "$work/fat" ./* ::/)
root_mib=$(($(du -sm --apparent-size "$root" | cut -f 1) * 11 / 10 + ROOM_MIB))
truncate -s "${root_mib}M" "$work/ext4"
mke2fs -q -t ext4 -L RASPIROOT -E lazy_itable_init=1 -d "$root" "$work/ext4"

mkdir -p "$(dirname "$out")"
rm -f "$out"
truncate -s "$((4 + FAT_MIB + root_mib + 1))M" "$out"
printf 'label: dos\n4MiB,%sMiB,c,*\n%sMiB,%sMiB,83\n' "$FAT_MIB" "$((4 + FAT_MIB))" "$root_mib" | sfdisk -q "$out"
dd if="$work/fat" of="$out" bs=1M seek=4 conv=notrunc,sparse status=none
dd if="$work/ext4" of="$out" bs=1M seek=$((4 + FAT_MIB)) conv=notrunc,sparse status=none
echo "$out"
