#!/usr/bin/env bash
# Boots real Linux on emulated hardware with protection keys, runs a shell script there and prints what it prints.
#
#   linux-in-qemu.sh [--cpus N] [--memory MIB] [--cpu MODEL] [--cache FOLDER] [FILE…] < script
#
# FILEs (static executables, data) are placed in /bin under their base names. The script runs as process 1 in busybox's
# shell, with /proc, /sys, /dev and /tmp there; standard output is the serial console, byte for byte. The exit status is 0
# when the script reached its end, 1 when it did not, 2 when something is missing here, 124 when the time
# ($LINUX_IN_QEMU_TIMEOUT, 300 s) was over.
#
# The kernel comes from Debian's linux-image-cloud-amd64, unpacked into the cache folder by apt-get download; nothing is installed.
set -euo pipefail

fail() { printf 'linux-in-qemu: %s\n' "$1" >&2; exit 2; }

cpus=2
memory=2048
model=max
cache=${XDG_CACHE_HOME:-$HOME/.cache}/europa-linux-in-qemu
while [[ ${1:-} == --* ]]; do
  [[ $# -ge 2 ]] || fail "$1 needs a value"
  case $1 in
    --cpus) cpus=$2 ;;
    --memory) memory=$2 ;;
    --cpu) model=$2 ;;
    --cache) cache=$2 ;;
    *) fail "unknown option $1" ;;
  esac
  shift 2
done

declare -A package=([qemu-system-x86_64]=qemu-system-x86 [busybox]=busybox-static [cpio]=cpio [apt-get]=apt [dpkg-deb]=dpkg)
missing=()
for tool in "${!package[@]}"; do
  command -v "$tool" > /dev/null || missing+=("${package[$tool]}")
done
((${#missing[@]} == 0)) || fail "these Debian packages are missing: ${missing[*]}"

# linux-image-cloud-amd64 is a meta package: the kernel is in the versioned package it depends on.
fetch_kernel() {
  local name work
  name=$(apt-cache depends linux-image-cloud-amd64 2> /dev/null | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
  [[ -n $name ]] || fail 'apt knows no kernel package linux-image-cloud-amd64 (apt-get update)'
  work=$(mktemp -d "$cache/kernel.XXXXXX")
  (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$name" > /dev/null) || { rm -rf "$work"; fail "could not download $name"; }
  dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work" --wildcards './boot/vmlinuz-*'
  mv "$work"/boot/vmlinuz-* "$cache/vmlinuz"
  rm -rf "$work"
}
mkdir -p "$cache"
[[ -e $cache/vmlinuz ]] || fetch_kernel

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp}
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do
  [[ -e $root/bin/$applet ]] || ln -s busybox "$root/bin/$applet"
done
# A file may bear an applet's name: it replaces the link, not busybox behind it.
(($# == 0)) || cp --remove-destination -- "$@" "$root/bin/"
echo 'root:x:0:0::/:/bin/sh' > "$root/etc/passwd"
cat > "$root/script"
# -opost: the console adds no carriage returns. The marks tell the script's output from what kernel and firmware say.
cat > "$root/init" << 'INIT'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
stty -opost -echo
echo '@@script'
sh /script < /dev/null
echo '@@script-end'
poweroff -f
INIT
chmod +x "$root/init"
# Not compressed: unpacking it under emulation would take longer than the boot.
(cd "$root" && find . | cpio --quiet -o -H newc) > "$work/initrd"

# sed, unbuffered: a line is out when it was printed. It leaves with 7 at the end mark.
status=(0 0)
timeout "${LINUX_IN_QEMU_TIMEOUT:-300}" qemu-system-x86_64 -accel tcg,thread=multi -cpu "$model" -smp "$cpus" -m "$memory" \
  -kernel "$cache/vmlinuz" -initrd "$work/initrd" -append 'console=ttyS0 quiet loglevel=1 panic=-1' \
  -display none -monitor none -serial stdio -no-reboot -nic none < /dev/null |
  sed -un -e '0,/^@@script\r\?$/d' -e '/@@script-end$/{s///;/./p;q7}' -e p ||
  status=("${PIPESTATUS[@]}")
[[ ${status[0]} != 124 ]] || exit 124
((status[1] == 7)) || exit 1
