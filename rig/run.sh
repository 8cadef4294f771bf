#!/bin/sh
# Entry of `npm run demo`, `npm test`, `npm run bench`, `npm run suites` and `npm run crash` on a bare checkout: brings
# the packages of the lockfile and the host's tools, then hands over to the Node of the lockfile.
#
#   sh rig/run.sh demo|test|bench|suites|crash ARGUMENTS...
#
# Everything said here goes to stderr: stdout belongs to the command.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"

say() { printf 'run: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# COMMAND PACKAGE, one line for each tool: what builds and runs guests (wget serves debootstrap, python3 measures
# the rate of the processor's clock).
guest_tools='
qemu-system-x86_64 qemu-system-x86
qemu-img qemu-utils
debootstrap debootstrap
wget wget
mke2fs e2fsprogs
depmod kmod
cpio cpio
unxz xz-utils
mount mount
flock util-linux
python3 python3
'

# What tests and benches use on mounts besides.
mount_tools='
fio fio
setfattr attr
'

# What a real HDFS needs: Maven brings its jars once, which are kept in the user's cache.
hdfs_tools='
java openjdk-17-jre-headless
mvn maven
curl curl
'

# Administrators' tools are not on the PATH of every user.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

missing_tools() {
  printf '%s' "$tools" | while read -r tool package; do
    [ -z "$tool" ] || command -v "$tool" >/dev/null 2>&1 || printf '%s %s\n' "$tool" "$package"
  done
}

missing_packages() { missing_tools | while read -r _ package; do printf '%s ' "$package"; done; }

missing_commands() { missing_tools | while read -r tool _; do printf '%s ' "$tool"; done; }

install_command() { printf 'apt-get install --no-install-recommends %s' "$1"; }

apt_install() {
  # shellcheck disable=SC2086 # The list is split into packages on purpose.
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $1 >&2
}

need_packages() {
  packages=$(missing_packages)
  [ -n "$packages" ] || return 0
  command -v apt-get >/dev/null 2>&1 ||
    die "missing commands: $(missing_commands)- install what has them (on Debian: $(install_command "$packages"))"
  [ "$(id -u)" = 0 ] || die "missing packages: as root, run: $(install_command "$packages")"
  say "installing Debian packages: $packages"
  # The lists may be absent or too old for the mirror: refresh them once, then try again.
  apt_install "$packages" || {
    say 'refreshing the package lists'
    apt-get update -qq >&2
    apt_install "$packages" || die "could not install; try: $(install_command "$packages")"
  }
  packages=$(missing_packages)
  [ -z "$packages" ] || die "still missing after the installation: $packages"
}

# What no package brings: mounts are made by root, through the kernel's FUSE.
need_mounts() {
  [ "$(id -u)" = 0 ] || die "mounts and machines need root: start it again as root (sudo npm run $command)"
  [ -e /dev/fuse ] || modprobe fuse 2>/dev/null || true
  [ -r /dev/fuse ] || die 'there is no /dev/fuse: load the module (modprobe fuse); a container needs the device given'
}

need_modules() {
  # A link leads to another checkout's packages, which are in use there: npm ci would remove them.
  [ ! -L node_modules ] || return 0
  [ node_modules/.package-lock.json -nt package-lock.json ] && return 0
  command -v npm >/dev/null 2>&1 || die 'npm is missing; install Node 18 or newer with npm'
  say 'installing the packages of package-lock.json (npm ci)'
  # By the host's Node: the one in node_modules is about to be removed.
  (
    PATH=$(printf '%s' "$PATH" | sed "s|$root/node_modules/.bin:||g")
    npm ci --no-audit --no-fund --loglevel=error >&2
  ) || die 'npm ci failed'
  # npm leaves an equal time when it is quick; the mark must be newer than what it was made from.
  touch node_modules/.package-lock.json
}

command=${1:-}
case $command in
  demo | test | bench | suites | crash) shift ;;
  *) die 'usage: sh rig/run.sh demo|test|bench|suites|crash ARGUMENTS...' ;;
esac

case $(uname -s)/$(uname -m) in
  Linux/x86_64) ;;
  *) die "this needs Linux on x86_64, not $(uname -s) on $(uname -m)" ;;
esac

case $command in
  demo) tools=$guest_tools ;;
  *) tools=$guest_tools$mount_tools$hdfs_tools ;;
esac
case " $* " in *' --hdfs '*) tools=$guest_tools$hdfs_tools ;; esac

need_packages
[ "$command" != demo ] || need_mounts
need_modules
PATH="$root/node_modules/.bin:$PATH"
export PATH

case $command in
  demo) exec node rig/demo/main.ts "$@" ;;
  test) exec node test/run.ts "$@" ;;
  bench) exec node bench/main.ts "$@" ;;
  suites) exec node test/suites/run.ts "$@" ;;
  crash) exec node test/crash/main.ts "$@" ;;
esac
