# Where packages come from: the host's own apt, its mirror, its keys and its proxy. Sourced by the build scripts.

apt_quiet() { "$@" -qq -o APT::Sandbox::User=root; }

debian_codename() { (. /etc/os-release && echo "$VERSION_CODENAME"); }

# The mirror that apt uses for the main archive, from one-line and deb822 sources alike. Empty when apt has no lists.
known_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' \
    "Codename: $(debian_codename)" | head -n 1
}

debian_mirror() {
  mirror=$(known_mirror)
  if [ -z "$mirror" ]; then
    apt_quiet apt-get update >&2
    mirror=$(known_mirror)
  fi
  [ -n "$mirror" ] || {
    echo 'guest: the apt sources of this host name no Debian archive' >&2
    exit 1
  }
  echo "$mirror"
}

# debootstrap fetches with wget, which does not read apt's configuration.
export_proxy() {
  proxy=''
  eval "$(apt-config shell proxy Acquire::http::Proxy)"
  [ -z "$proxy" ] || [ "$proxy" = DIRECT ] || { http_proxy=$proxy && export http_proxy; }
}

# unpack_packages DIRECTORY PACKAGE...: their files, without installing them. A list that is older than the mirror
# names files that are gone, so the lists are refreshed once.
unpack_packages() {
  unpacked=$1
  shift
  mkdir -p "$unpacked.packages" "$unpacked"
  (
    cd "$unpacked.packages"
    apt_quiet apt-get download "$@" 2>/dev/null || {
      apt_quiet apt-get update >&2
      apt_quiet apt-get download "$@"
    }
  )
  for package in "$unpacked.packages"/*.deb; do dpkg -x "$package" "$unpacked"; done
  rm -rf "$unpacked.packages"
}
