# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced: Debian 12's archive with its security updates and backports, whatever
# the machine's own package sources are; those are neither used nor changed.
# Everything is kept in .cache/kmod/archive, and nothing is installed.
#
# An archive moves: what it lists may be half of a new kernel, and what it listed
# this morning may be gone. Dependencies are resolved as apt would, and whatever
# can't be had whole is said on standard error and answered by status 3.
#
# NFMETER_DEBIAN_MIRROR and NFMETER_DEBIAN_SECURITY name mirrors;
# NFMETER_DEBIAN_SOURCES is a list of sources to use instead, and
# NFMETER_KMOD_CACHE a folder to keep everything in.
kmod_cache=${NFMETER_KMOD_CACHE:-$(
  cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.cache/kmod}
archive=$kmod_cache/archive
archive_options=(-qq -o "Dir::Etc::sourcelist=$archive/sources.list"
  -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$archive/lists"
  -o "Dir::Cache=$archive/cache" -o APT::Sandbox::User=root)

# archive_lock: one at a time; file descriptor 9 holds it.
archive_lock() {
  mkdir -p "$kmod_cache"
  exec 9>"$kmod_cache/.lock"
  flock 9
}

archive_sources() {
  local keys='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  local mirror=${NFMETER_DEBIAN_MIRROR:-http://deb.debian.org/debian}
  local security=${NFMETER_DEBIAN_SECURITY:-http://deb.debian.org/debian-security}
  printf '%s\n' "deb $keys $mirror bookworm main" \
    "deb $keys $mirror bookworm-backports main" \
    "deb $keys $security bookworm-security main"
}

# archive_update [now]: fetches the lists of packages once a day, or now; without
# a network, those that are there serve.
archive_update() {
  mkdir -p "$archive/lists/partial" "$archive/cache/archives/partial"
  if [ -n "${NFMETER_DEBIAN_SOURCES:-}" ]; then
    cp "$NFMETER_DEBIAN_SOURCES" "$archive/sources.list"
  else
    archive_sources >"$archive/sources.list"
  fi
  [ "${1:-}" = now ] ||
    [ -z "$(find "$archive/updated" -mtime -1 2>/dev/null)" ] || return 0
  if apt-get "${archive_options[@]}" update >&2; then
    touch "$archive/updated"
  elif [ ! -e "$archive/updated" ]; then
    echo "kmod: the lists of Debian's archive can't be fetched" >&2
    return 1
  fi
}

# archive_versions PACKAGE: oldest first.
archive_versions() {
  apt-cache "${archive_options[@]}" madison "$1" | awk '{ print $3 }' | sort -uV
}

# archive_depends PACKAGE VERSION PATTERN: the package that it depends on and
# that matches, with the condition on its version: "linux-kbuild-6.1 >= 6.1.192-2".
archive_depends() {
  apt-cache "${archive_options[@]}" show "$1=$2" | sed -n 's/^Depends: //p' |
    tr ',' '\n' | tr -d '()' | awk -v pattern="^($3)\$" \
      '$1 ~ pattern { print $1, $2, $3; exit }'
}

# archive_find PACKAGE [RELATION VERSION]: the newest version that fits.
archive_find() {
  local version
  while read -r version; do
    if [ $# -eq 1 ] || dpkg --compare-versions "$version" "$2" "$3"; then
      echo "$version"
      return
    fi
  done < <(archive_versions "$1" | tac)
  echo "kmod: the archive has no $*" >&2
  return 3
}

# archive_unpack PACKAGE VERSION [TREE]: into a tree of this version's own, or
# into TREE; printed.
archive_unpack() {
  local tree=${3:-$archive/trees/$2}
  if [ ! -e "$tree/.$1" ]; then
    mkdir -p "$tree/download"
    (cd "$tree/download" && rm -f ./*.deb &&
      apt-get "${archive_options[@]}" download "$1=$2" >&2 &&
      dpkg-deb -x ./*.deb "$tree" && rm ./*.deb) || {
      echo "kmod: $1 $2 can't be fetched" >&2
      return 3
    }
    touch "$tree/.$1"
  fi
  echo "$tree"
}

# archive_headers PACKAGE VERSION: a package of kernel headers and what it needs;
# prints where modules find them.
archive_headers() {
  local tree=$archive/trees/$2 pattern package relation wanted version
  if [ ! -e "$tree/.$1.ready" ]; then
    archive_unpack "$1" "$2" >/dev/null || return
    for pattern in 'linux-headers-.*-common(-rt)?' 'linux-kbuild-.*'; do
      read -r package relation wanted \
        < <(archive_depends "$1" "$2" "$pattern") || {
        echo "kmod: $1 $2 depends on no $pattern" >&2
        return 3
      }
      # shellcheck disable=SC2086  # Without a relation: no further words.
      version=$(archive_find "$package" $relation $wanted) || return
      archive_unpack "$package" "$version" "$tree" >/dev/null || return
    done
    # They name each other by absolute path.
    sed -i "s#^include /usr/src/#include $tree/usr/src/#" \
      "$tree/usr/src/$1/Makefile" || return
    touch "$tree/.$1.ready"
  fi
  echo "$tree/usr/src/$1"
}

# archive_kernel META FOLDER [UNLIKE]: the newest kernel that META has stood for,
# that the archive delivers whole and whose version does not match UNLIKE:
# FOLDER gets headers/ vmlinuz modules/ release.
archive_kernel() {
  local version package rest release headers tree
  while read -r version; do
    if [ -n "${3:-}" ] && [[ $version =~ $3 ]]; then continue; fi
    read -r package rest \
      < <(archive_depends "$1" "$version" 'linux-headers-[0-9].*') || continue
    release=${package#linux-headers-}
    [ "$(cat "$2/release" 2>/dev/null)" != "$release" ] || return 0
    headers=$(archive_headers "$package" "$version") &&
      tree=$(archive_unpack "linux-image-$release" "$version") || {
      echo "kmod: passed over: $release" >&2
      continue
    }
    rm -rf "$2" && mkdir -p "$2" &&
      ln -s "$headers" "$2/headers" &&
      ln -s "$tree/boot/vmlinuz-$release" "$2/vmlinuz" &&
      ln -s "$tree/lib/modules/$release" "$2/modules" &&
      echo "$release" >"$2/release"
    return
  done < <(archive_versions "$1" | tac)
  return 3
}
