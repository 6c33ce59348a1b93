# Sourced: Debian 12's archive with its security updates and backports, whatever
# the machine's own package sources are; those are neither used nor changed.
# Everything is kept in .cache/kmod/archive, and nothing is installed.
archive=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.cache/kmod/archive
archive_options=(-qq -o "Dir::Etc::sourcelist=$archive/sources.list"
  -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$archive/lists"
  -o "Dir::Cache=$archive/cache" -o APT::Sandbox::User=root)

# Fetches the lists of packages once a day; without a network, those that are
# there serve. NFMETER_DEBIAN_MIRROR and NFMETER_DEBIAN_SECURITY name mirrors.
archive_update() {
  local keys='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  local mirror=${NFMETER_DEBIAN_MIRROR:-http://deb.debian.org/debian}
  local security=${NFMETER_DEBIAN_SECURITY:-http://deb.debian.org/debian-security}
  mkdir -p "$archive/lists/partial" "$archive/cache/archives/partial"
  printf '%s\n' "deb $keys $mirror bookworm main" \
    "deb $keys $mirror bookworm-backports main" \
    "deb $keys $security bookworm-security main" >"$archive/sources.list"
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
# that matches.
archive_depends() {
  apt-cache "${archive_options[@]}" show "$1=$2" | sed -n 's/^Depends: //p' |
    tr ',' '\n' | sed -E 's/^ *([^ ]+).*/\1/' | grep -xE "$3" | head -n 1
}

# archive_unpack PACKAGE VERSION: into a tree of this version's own, printed.
archive_unpack() {
  local tree=$archive/trees/$2
  if [ ! -e "$tree/.$1" ]; then
    mkdir -p "$tree/download"
    (cd "$tree/download" && rm -f ./*.deb &&
      apt-get "${archive_options[@]}" download "$1=$2" >&2 &&
      dpkg-deb -x ./*.deb "$tree" && rm ./*.deb) || return
    touch "$tree/.$1"
  fi
  echo "$tree"
}

# archive_headers PACKAGE VERSION: a package of kernel headers and what it needs;
# prints where modules find them.
archive_headers() {
  local tree=$archive/trees/$2 package
  if [ ! -e "$tree/.$1.ready" ]; then
    for package in "$1" \
      "$(archive_depends "$1" "$2" 'linux-headers-.*-common(-rt)?')" \
      "$(archive_depends "$1" "$2" 'linux-kbuild-.*')"; do
      archive_unpack "$package" "$2" >/dev/null || return
    done
    # They name each other by absolute path.
    sed -i "s#^include /usr/src/#include $tree/usr/src/#" \
      "$tree/usr/src/$1/Makefile"
    touch "$tree/.$1.ready"
  fi
  echo "$tree/usr/src/$1"
}
