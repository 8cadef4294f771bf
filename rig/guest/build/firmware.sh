#!/bin/sh
# Makes DIRECTORY/disk-firmware.raw, which a BIOS boots by itself, from DIRECTORY/disk.raw.
#
#   sh firmware.sh DIRECTORY KERNEL_COMMAND_LINE
#
#   sector 0         GRUB's boot.img, which loads sector 1; one partition in its table (offset 446)
#   sector 1 ...     GRUB's core.img, which loads the rest of itself from sector 2 on
#   sector 2048 ...  partition 1: the file system of disk.raw, with kernel and initrd in /boot
#
# core.img holds its configuration and all modules, so no file of GRUB is on the file system. The sector numbers
# are those that boot.img and core.img have by default, so nothing is installed into them and no loop device is needed.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
directory=$1
append=$2
work=$directory.firmware
disk=$work/disk-firmware.raw
# shellcheck source=rig/guest/build/packages.sh
. "$here/packages.sh"

partition_sector=2048
sector_bytes=512
core_sectors_max=$((partition_sector - 1))

# Prints a number as four bytes, little endian.
four_bytes() {
  value=$1
  for shift in 0 8 16 24; do
    # shellcheck disable=SC2059 # The format is the byte.
    printf "\\$(printf %03o $((value >> shift & 255)))"
  done
}

patch_disk() { dd of="$disk" bs=1 seek="$1" conv=notrunc status=none; }

# The table has four entries of 16 bytes. The first is active, Linux, with the two cylinder-head-sector fields that
# say "see the sector numbers"; the others are cleared of boot.img's code for floppies.
write_partition() {
  head -c 64 /dev/zero | patch_disk 446
  {
    printf '\200\376\377\377\203\376\377\377'
    four_bytes "$partition_sector"
    four_bytes "$1"
  } | patch_disk 446
  printf '\125\252' | patch_disk 510
}

make_core() {
  grub=$work/unpacked/usr/lib/grub/i386-pc
  cat >"$work/grub.cfg" <<EOF
serial --unit=0 --speed=115200
terminal_output serial
set root=(hd0,msdos1)
linux /boot/vmlinuz $append
initrd /boot/initrd
boot
EOF
  library=$work/unpacked/lib/x86_64-linux-gnu
  LD_LIBRARY_PATH=$library:$work/unpacked/usr/lib/x86_64-linux-gnu "$work/unpacked/usr/bin/grub-mkimage" \
    --format=i386-pc --directory="$grub" --prefix='(hd0,msdos1)/boot/grub' --config="$work/grub.cfg" \
    --output="$work/core.img" biosdisk part_msdos ext2 linux serial terminal
  core_sectors=$((($(wc -c <"$work/core.img") + sector_bytes - 1) / sector_bytes))
  [ "$core_sectors" -le "$core_sectors_max" ] || {
    echo "guest: GRUB's core has $core_sectors sectors, more than fit before the partition" >&2
    exit 1
  }
}

echo 'guest: making the firmware disk' >&2
rm -rf --one-file-system "$work"
mkdir -p "$work"
unpack_packages "$work/unpacked" grub-pc-bin grub-common libdevmapper1.02.1
make_core
sectors=$(($(wc -c <"$directory/disk.raw") / sector_bytes))
dd if="$directory/disk.raw" of="$disk" bs=1M seek=1 conv=sparse status=none
dd if="$grub/boot.img" of="$disk" bs=$sector_bytes conv=notrunc status=none
dd if="$work/core.img" of="$disk" bs=$sector_bytes seek=1 conv=notrunc status=none
truncate --size=$(((sectors + partition_sector) * sector_bytes)) "$disk"
write_partition "$sectors"
chmod 0444 "$disk"
mv "$disk" "$directory/"
rm -rf --one-file-system "$work"
