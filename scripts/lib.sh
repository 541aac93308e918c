# shellcheck shell=bash
# For the scripts beside this one: finds the tools, installs what is missing where that is allowed, and otherwise says exactly what to install.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CARGO_TERM_COLOR=never DEBIAN_FRONTEND=noninteractive
case ":$PATH:" in *":$HOME/.cargo/bin:"*) ;; *) PATH=$PATH:$HOME/.cargo/bin ;; esac
# What an earlier run fetched for itself (see fetch_with_pip).
PATH=$PATH:$top/build/tools/bin

have() { command -v "$1" > /dev/null 2>&1; }

# Runs a command as root, if that needs no password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo && sudo -n true 2> /dev/null; then sudo -n "$@"
  else return 1
  fi
}

# install_packages PACKAGE...: with apt-get, as root. The package lists of a fresh machine may be missing or old: then fetch them, and try again.
install_packages() {
  have apt-get || return 1
  local install=(apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300)
  as_root "${install[@]}" "$@" > /dev/null 2>&1 && return
  as_root apt-get update -q -o DPkg::Lock::Timeout=300 > /dev/null 2>&1 && as_root "${install[@]}" "$@" > /dev/null 2>&1
}

# fetch_with_pip PROGRAM: into build/tools, for this checkout alone. Each has a directory of its own, because pip will not add to one.
fetch_with_pip() {
  local place=$top/build/tools/$1
  have python3 && python3 -m pip install -q --upgrade --target "$place" "$1" > /dev/null 2>&1 || return 1
  mkdir -p "$top/build/tools/bin"
  printf '#!/bin/sh\nPYTHONPATH=%s exec %s "$@"\n' "'$place'" "'$place/bin/$1'" > "$top/build/tools/bin/$1"
  chmod +x "$top/build/tools/bin/$1"
}

# need PROGRAM PACKAGE...: true once the program is there. Otherwise prints what to do about it.
need() {
  local program=$1
  shift
  have "$program" && return
  install_packages "$@"
  hash -r
  have "$program" && return
  echo "$program is missing: sudo apt-get install $*"
  return 1
}

# version_at_least WANTED FOUND
version_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

need_cargo() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$top/Cargo.toml")
  if ! have cargo; then
    echo "cargo is missing: install Rust $wanted or newer, from https://rustup.rs or with your package manager"
    return 1
  fi
  found=$(cd "$top" && cargo --version | cut -d ' ' -f 2)
  version_at_least "$wanted" "$found" && return
  echo "cargo is version $found, ws101 needs $wanted or newer: rustup update stable, or install from https://rustup.rs"
  return 1
}

need_cmake() {
  local wanted=3.21 found=none # CMakePresets.json needs it; the library alone takes 3.20
  have cmake || install_packages cmake || fetch_with_pip cmake
  hash -r
  have cmake && found=$(cmake --version | sed -n 's/^cmake version //p')
  if [ "$found" != none ] && ! version_at_least "$wanted" "$found"; then
    # An old distribution's: a newer one in front of it.
    fetch_with_pip cmake && PATH=$top/build/tools/bin:$PATH && hash -r && found=$(cmake --version | sed -n 's/^cmake version //p')
  fi
  if [ "$found" = none ] || ! version_at_least "$wanted" "$found"; then
    echo "cmake $wanted or newer is missing (found: $found): sudo apt-get install cmake, or pip install cmake"
    return 1
  fi
  # CMake needs make or ninja under it; a machine with only a compiler has neither.
  if ! have make && ! have ninja; then
    install_packages ninja-build || fetch_with_pip ninja
    hash -r
    have ninja || { echo "make or ninja is missing: sudo apt-get install ninja-build"; return 1; }
  fi
  have make || export CMAKE_GENERATOR=Ninja
}

need_compiler() {
  have cc || have gcc || have clang || install_packages gcc libc6-dev
  hash -r
  have cc || have gcc || have clang || { echo "a C compiler is missing: sudo apt-get install gcc libc6-dev"; return 1; }
}

# processors: how many jobs to run at once
processors() { nproc 2> /dev/null || getconf _NPROCESSORS_ONLN 2> /dev/null || echo 2; }
