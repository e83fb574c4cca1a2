#!/usr/bin/env bash
# Build what a virtual machine of a Debian release boots from, and print its folder: root.img, vmlinux, initrd.
#   scripts/vm_image.sh 12|13 [gpu]
# gpu: with the distribution's NVIDIA driver, its module built for the kernel, and initramfs, Debian's own.
# Kept in the cache under the hash of all that goes in. The root disk is never written: each machine has an overlay.
# shellcheck disable=SC2016  # the dollars are for the hooks of mmdebstrap
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/debian.sh"

release=${1:?usage: scripts/vm_image.sh 12|13 [gpu]}
kind=${2:-}
codename=$(debian_codename "$release")
guest=$REPO/tests/vm/guest
packages=(
  linux-image-amd64 kmod cpio xz-utils busybox-static
  systemd systemd-sysv udev dbus openssh-server python3 python3-apt sudo ca-certificates iproute2 procps
)
# What the roles install and their tests use: the machines have no network to fetch it from.
storage_packages=(
  mdadm lvm2 thin-provisioning-tools xfsprogs e2fsprogs dosfstools parted gdisk fio nfs-kernel-server nfs-common
  quota attr acl smartmontools nvme-cli prometheus-node-exporter prometheus-node-exporter-collectors
)
gpu_packages=(linux-headers-amd64 nvidia-kernel-dkms libcuda1 nvidia-smi nvidia-persistenced)
# Started by their packages; here, the tests decide.
disabled=(
  nfs-server.service rpcbind.service rpcbind.socket smartmontools.service
  prometheus-node-exporter.service prometheus-node-exporter-apt.timer prometheus-node-exporter-ipmitool-sensor.timer
  prometheus-node-exporter-mellanox-hca-temp.timer prometheus-node-exporter-nvme.timer prometheus-node-exporter-smartmon.timer
  nvidia-persistenced.service
)
# What a machine that lives for minutes does not need, and emulation makes slow.
masked=(
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service
  getty.target getty-static.service systemd-random-seed.service systemd-update-utmp.service
  systemd-update-utmp-runlevel.service systemd-pstore.service systemd-hwdb-update.service
  systemd-journal-catalog-update.service systemd-firstboot.service ldconfig.service systemd-ask-password-wall.path
  systemd-ask-password-console.path nfs-blkmap.service nvmf-autoconnect.service nvmefc-boot-connections.service
)
# Drivers that no emulated machine has; most of the kernel package's size.
drivers=(drivers/{gpu,media,net/wireless,net/ethernet,staging,infiniband,isdn,usb,iio,hwmon,comedi,bluetooth} sound)
# But nouveau, and what it needs.
gpu_drivers=(drivers/gpu/drm/{'drm*.ko*','nouveau/*','ttm/*','display/*','scheduler/*'} drivers/media/{'cec/*','rc/rc-core*'})
case $kind in
  '') packages+=("${storage_packages[@]}") ;;
  gpu)
    packages+=("${gpu_packages[@]}")
    # It would load the driver, which takes a minute: the test does that.
    masked+=(systemd-modules-load.service)
    # shellcheck disable=SC2034  # debian.sh writes the sources with it
    components="main contrib non-free non-free-firmware"
    ;;
  *) die "no image '$kind': there is gpu, and the one without a name" ;;
esac

definition() {
  echo "$kind"
  image_definition "$codename"
  find "$guest" -type f | sort | xargs cat
}

# The kernel as an ELF file: QEMU starts it at once, where the packed one first unpacks itself, under emulation.
unpack_kernel() { # VMLINUZ VMLINUX
  python3 - "$1" "$2" <<'PYTHON'
import lzma, pathlib, subprocess, sys

packed = pathlib.Path(sys.argv[1]).read_bytes()
target = pathlib.Path(sys.argv[2])
xz, zstd = packed.find(b"\xfd7zXZ\x00"), packed.find(b"\x28\xb5\x2f\xfd")
if xz >= 0:
    kernel = lzma.LZMADecompressor().decompress(packed[xz:])
elif zstd >= 0:
    # What follows the packed kernel is noise to zstd: the kernel is written before that.
    kernel = subprocess.run(["zstd", "-dcq"], input=packed[zstd:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
else:
    sys.exit("no xz or zstd stream in the kernel")
if not kernel.startswith(b"\x7fELF"):
    sys.exit("what the kernel unpacks to is not ELF")
target.write_bytes(kernel)
PYTHON
}

# In the new root: the modules that the root disk and the network need, unpacked, in the order to load them, as an initramfs.
write_initrd_hook() { # FILE
  cat >"$1" <<'HOOK'
#!/bin/sh
set -eu
root=$1
cat >"$root/tmp/initrd.sh" <<'CHROOT'
set -eu
kernel=$(ls /lib/modules)
mkdir -p /tmp/initrd/bin /tmp/initrd/modules
cp /bin/busybox /tmp/initrd/bin/busybox
ln -s busybox /tmp/initrd/bin/sh
cp /usr/local/share/vm-init /tmp/initrd/init
for module in crc32c_generic virtio_pci virtio_blk virtio_net ext4; do
  # What a kernel has built in or not at all is nothing to load; without what matters, the machine does not boot.
  modprobe --set-version "$kernel" --show-depends "$module" || true
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
  name=$(basename "$file" .xz)
  case $file in
    *.xz) xz -dc "$file" >"/tmp/initrd/modules/$name" ;;
    *) cp "$file" "/tmp/initrd/modules/$name" ;;
  esac
  echo "$name" >>/tmp/initrd/modules/order
done
cd /tmp/initrd
find . | cpio --quiet -o -H newc >/boot/vm-initrd
rm -r /tmp/initrd /tmp/initrd.sh
CHROOT
chroot "$root" sh /tmp/initrd.sh
HOOK
  chmod +x "$1"
}

build_image() { # FOLDER
  [ ! -e "$1/.complete" ] || return 0
  local tool tools=(mmdebstrap:mmdebstrap mke2fs:e2fsprogs zstd:zstd) missing=()
  [ "$(id -u)" = 0 ] || tools+=(fakeroot:fakeroot)
  for tool in "${tools[@]}"; do
    # mke2fs is in /sbin, which is not in everybody's PATH.
    PATH=$PATH:/sbin command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
  done
  [ ${#missing[@]} = 0 ] || need_packages "${missing[@]}"
  say "building the Debian $release virtual machine (about two minutes) ..."
  local work
  work=$(mktemp -d "${TMPDIR:-/tmp}/mlops-vm-image.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  write_initrd_hook "$work/initrd-hook"
  local options=() driver
  for driver in "${drivers[@]}"; do options+=("--dpkgopt=path-exclude=*/lib/modules/*/kernel/$driver/*"); done
  if [ "$kind" = gpu ]; then
    for driver in "${gpu_drivers[@]}"; do options+=("--dpkgopt=path-include=*/lib/modules/*/kernel/$driver"); done
    # The module's build takes minutes, and the test of the role has made the same one: it is kept beside the images.
    options+=(
      "--essential-hook=sh $guest/gpu/module-in \"\$1\" '$CACHE/gpu'"
      "--customize-hook=sh $guest/gpu/module-out \"\$1\" '$CACHE/gpu'"
      "--customize-hook=sh $guest/gpu/initramfs \"\$1\""
    )
  else
    # These machines start from vm-initrd. Packing Debian's own takes more than ten minutes under emulation: what asks for
    # it, as a change of mdadm.conf should, is answered by "Not updating initramfs."
    options+=('--customize-hook=printf "update_initramfs=no\n" > "$1/etc/initramfs-tools/update-initramfs.conf"')
  fi
  options+=(
    # Before the kernel comes, and with the few modules and programs that a virtual machine boots from: seconds in place of a minute.
    '--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d" && printf "MODULES=list\nBUSYBOX=n\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\n" > "$1/etc/initramfs-tools/conf.d/vm"'
    # One by one: not every release has them all.
    "--customize-hook=for unit in ${disabled[*]}; do chroot \"\$1\" systemctl disable --quiet \$unit 2>/dev/null || true; done"
    "--customize-hook=chroot \"\$1\" systemctl mask --quiet ${masked[*]}"
    "--customize-hook=copy-in $guest/sshd.conf /etc/ssh/sshd_config.d"
    "--customize-hook=upload $guest/setup /usr/local/sbin/vm-setup"
    "--customize-hook=upload $guest/init /usr/local/share/vm-init"
    "--customize-hook=upload $guest/vm-setup.service /etc/systemd/system/vm-setup.service"
    '--customize-hook=chmod 755 "$1/usr/local/sbin/vm-setup" "$1/usr/local/share/vm-init"'
    '--customize-hook=chroot "$1" systemctl enable --quiet vm-setup.service ssh.service'
    '--customize-hook=printf "/dev/vda / ext4 noatime 0 0\n" > "$1/etc/fstab"'
    '--customize-hook=mkdir -p "$1/etc/systemd/journald.conf.d" && printf "[Journal]\nStorage=volatile\n" > "$1/etc/systemd/journald.conf.d/vm.conf"'
    "--customize-hook=$work/initrd-hook \"\$1\""
  )
  bootstrap "$codename" "$(IFS=, && printf '%s' "${packages[*]}")" "$work" "$work/root.tar" "${options[@]}"

  rm -rf "$1"
  mkdir -p "$1" "$work/boot"
  tar -xf "$work/root.tar" -C "$work/boot" --wildcards './boot/vmlinuz-*' ./boot/vm-initrd
  cp "$work/boot/boot/vm-initrd" "$1/initrd"
  [ "$kind" != gpu ] || tar -xf "$work/root.tar" -O --wildcards './boot/initrd.img-*' >"$1/initramfs"
  unpack_kernel "$work/boot"/boot/vmlinuz-* "$1/vmlinux"
  # mke2fs reads a folder; owners in it are right for root, or as fakeroot pretends.
  local pack=(sh -euc 'PATH=$PATH:/sbin; mkdir "$1/root" && tar -xf "$1/root.tar" -C "$1/root" --numeric-owner --xattrs --xattrs-include="*" &&
    mke2fs -q -t ext4 -L root -E lazy_itable_init=0,lazy_journal_init=0 -O ^metadata_csum -d "$1/root" "$2" 6G && rm -rf "$1/root"' sh "$work" "$1/root.img")
  if [ "$(id -u)" = 0 ]; then "${pack[@]}"; else fakeroot -- "${pack[@]}"; fi
  touch "$1/.complete"
}

folder=$CACHE/vm/debian$release$kind-$(definition | short_hash)
[ -e "$folder/.complete" ] || with_lock "vm-$release$kind" build_image "$folder" >&2
printf '%s\n' "$folder"
