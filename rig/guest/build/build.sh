#!/bin/sh
# Builds the guest from Debian packages into a directory that does not exist yet.
#
#   sh build.sh DIRECTORY
#
#   DIRECTORY/vmlinuz    the cloud kernel
#   DIRECTORY/initrd     busybox, the modules that reach the disk, init
#   DIRECTORY/disk.raw   2 GiB sparse, one ext4 file system and no partition table
#
# The parts come from the mirror that the host's own apt sources name. The work is done in
# DIRECTORY.building, which is renamed when all of it is there. The caller holds the lock.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=$1
work=$target.building
# shellcheck source=rig/guest/build/packages.sh
. "$here/packages.sh"

disk_bytes=2147483648
# Fixed, so that two builds from the same packages are alike. The first is named by the kernel's command line.
disk_uuid=4f0dfa57-0000-4000-8000-000000000001
hash_seed=4f0dfa57-0000-4000-8000-000000000002
machine_id=4f0dfa57000040008000000000000003
SOURCE_DATE_EPOCH=1700000000
E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH
MKE2FS_CONFIG=$here/mke2fs.conf
export SOURCE_DATE_EPOCH E2FSPROGS_FAKE_TIME MKE2FS_CONFIG

# What a running guest needs beyond what the initrd has loaded.
boot_modules='virtio_mmio virtio_pci virtio_blk virtio_net ext4'
root_modules="$boot_modules virtio_console virtio_rng virtio_balloon qemu_fw_cfg button fuse overlay"
# python3 runs the workload and the agent on the real sqlite3 library; sqlite3 is for the people and the tests
# that look at the database; iproute2 for those that set up a network.
guest_packages=systemd-sysv,udev,e2fsprogs,iproute2,sqlite3,python3-minimal,libpython3-stdlib
masked_units='
apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-pstore.service
systemd-logind.service systemd-random-seed.service systemd-journal-flush.service systemd-journald-audit.socket
systemd-initctl.socket systemd-networkd-wait-online.service systemd-udev-settle.service systemd-machine-id-commit.service
systemd-modules-load.service systemd-remount-fs.service systemd-sysusers.service systemd-firstboot.service
kmod-static-nodes.service modprobe@.service getty-static.service autovt@.service getty@.service
dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-ask-password-wall.path
systemd-ask-password-console.path
'

say() { printf 'guest: %s\n' "$*" >&2; }

same_times() { find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +; }

# Prints the files of modules and of what they depend on, each once, in the order in which they must be loaded.
module_files() {
  for module in $1; do
    modprobe --dirname "$work/unpacked" --set-version "$release" --show-depends "$module"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

unpack_kernel() {
  say 'fetching the kernel and busybox'
  kernel_package=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
  unpack_packages "$work/unpacked" "$kernel_package" busybox-static
  release=$(ls "$work/unpacked/lib/modules")
  find "$work/unpacked/lib/modules" -name '*.ko.xz' -exec unxz {} +
  depmod --basedir "$work/unpacked" "$release"
  cp "$work/unpacked/boot/vmlinuz-$release" "$work/out/vmlinuz"
}

build_initrd() {
  say 'packing the initrd'
  initrd=$work/initrd
  mkdir -p "$initrd/bin" "$initrd/dev" "$initrd/proc" "$initrd/sys" "$initrd/root" "$initrd/modules"
  cp "$work/unpacked/bin/busybox" "$initrd/bin/busybox"
  install -m 0755 "$here/../files/initrd-init" "$initrd/init"
  module_files "$boot_modules" | while read -r file; do
    cp "$file" "$initrd/modules/"
    basename "$file" >>"$initrd/modules/order"
  done
  same_times "$initrd"
  (cd "$initrd" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc --reproducible --owner=0:0) |
    gzip -9n >"$work/out/initrd"
}

bootstrap() {
  say "installing Debian $(debian_codename) (debootstrap)"
  root=$work/root
  mirror=$(debian_mirror)
  export_proxy
  debootstrap --variant=minbase --include="$guest_packages" "$(debian_codename)" "$root" "$mirror" \
    >"$work/debootstrap.log" 2>&1 || {
    tail -n 20 "$work/debootstrap.log" >&2
    exit 1
  }
}

install_modules() {
  module_files "$root_modules" | while read -r file; do
    install -D -m 0644 "$file" "$root/usr/lib/modules/$release/${file#"$work/unpacked/lib/modules/$release/"}"
  done
  cp "$work/unpacked/lib/modules/$release"/modules.builtin* "$work/unpacked/lib/modules/$release/modules.order" \
    "$root/usr/lib/modules/$release/"
  depmod --basedir "$root" "$release"
}

install_files() {
  library=$root/usr/local/lib/holdfast
  units=$root/etc/systemd/system
  mkdir -p "$library" "$root/var/lib/workload" "$units/sysinit.target.wants" "$units/serial-getty@ttyS0.service.d"
  install -m 0644 "$here"/../files/*.py "$library/"
  for unit in workload agent; do
    install -m 0644 "$here/../files/$unit.service" "$units/"
    ln -sf "../$unit.service" "$units/sysinit.target.wants/"
  done
  install -m 0644 "$here/../files/autologin.conf" "$units/serial-getty@ttyS0.service.d/"
  # The boot loader of the firmware variant reads them from here.
  cp "$work/out/vmlinuz" "$work/out/initrd" "$root/boot/"
}

configure() {
  echo holdfast-guest >"$root/etc/hostname"
  echo '127.0.0.1 localhost holdfast-guest' >"$root/etc/hosts"
  echo "$machine_id" >"$root/etc/machine-id"
  : >"$root/etc/fstab"
  : >"$root/etc/resolv.conf"
  mkdir -p "$root/etc/systemd/journald.conf.d"
  # The log stays in memory: the workload is all that writes to the disk.
  printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=4M\n' >"$root/etc/systemd/journald.conf.d/holdfast.conf"
  ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
  # What takes time at boot, or wakes up later and writes, and nobody uses here.
  for unit in $masked_units; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
}

slim() {
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/var/cache/debconf/*-old \
    "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/usr/share/info/* \
    "$root/etc/apt/sources.list" "$root"/etc/ssh "$root"/debootstrap
  rm -rf "$root/usr/lib/udev/hwdb.bin" "$root/usr/lib/udev/hwdb.d"
}

make_disk() {
  say 'making the disk'
  # Python would otherwise write these at its first start, in each run again.
  chroot "$root" python3 -m compileall -q /usr/local/lib/holdfast
  same_times "$root"
  truncate --size="$disk_bytes" "$work/disk.raw"
  mke2fs -q -F -t ext4 -L holdfast-guest -U "$disk_uuid" -E "hash_seed=$hash_seed,lazy_itable_init=0,nodiscard" \
    -d "$root" "$work/disk.raw"
  # Larger directories get their index now, or the first check of a disk that a guest used would report that too.
  # 1: the disk was changed.
  E2FSCK_TIME=$SOURCE_DATE_EPOCH e2fsck -fyD "$work/disk.raw" >"$work/e2fsck.log" 2>&1 || [ $? = 1 ]
  # The zeros that were written become holes.
  cp --sparse=always "$work/disk.raw" "$work/out/disk.raw"
}

rm -rf --one-file-system "$work"
mkdir -p "$work/out"
unpack_kernel
build_initrd
bootstrap
install_modules
install_files
configure
slim
make_disk
chmod 0444 "$work"/out/*
mv "$work/out" "$target"
rm -rf --one-file-system "$work"
