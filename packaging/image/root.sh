#!/bin/bash
# The Debian that the Raspberry Pi image starts from, as a tarball: arm64, kernel, Pi firmware, systemd, no edge-mqtt in
# it yet. Nearly all of its ten minutes are packages being unpacked under qemu-user, so it is made once and kept: its
# name carries a hash of this file, which makes a new one when the recipe changes.
# usage: image-root.sh FOLDER    prints the tarball's path
set -euo pipefail

SUITE=trixie
PACKAGES=systemd,systemd-sysv,systemd-resolved,systemd-timesyncd,dbus,udev,kmod,iproute2,iputils-ping,procps
PACKAGES+=,ca-certificates,openssh-server,linux-image-arm64,raspi-firmware,initramfs-tools,zstd,e2fsprogs,dosfstools,fdisk

kept=$1/root-$SUITE-arm64-$(sha256sum "$0" | cut -c 1-12).tar
if [ ! -e "$kept" ]; then
  mkdir -p "$1"
  [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64
  # The mirror of this machine, if it names one: it is the one that can be reached.
  mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
  mmdebstrap --format=tar --mode=root --architectures=arm64 --variant=minbase --include="$PACKAGES" \
    --components=main,non-free-firmware \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='rm -f "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/etc/ssh/ssh_host_*_key* "$1"/var/lib/systemd/random-seed' \
    --customize-hook=': >"$1"/etc/machine-id; rm -f "$1"/var/lib/dbus/machine-id' \
    "$SUITE" "$kept.new" ${mirror:+"$mirror"} >&2
  mv "$kept.new" "$kept"
fi
echo "$kept"
