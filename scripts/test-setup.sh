#!/usr/bin/env bash
# Installs what the tests need beside the npm packages, where it is missing. `npm test` runs it first.
#
#   chromium         the IndexedDB store, the SDK and the console in a real browser
#   strace           what is flushed before it is acknowledged, and disks that fail
#   tmux             command lines on a real terminal
#   python, .venv/   the example client in Python, written from PROTOCOL.md alone
#
# Says nothing and takes no time when all is there. As root on Debian or Ubuntu it installs; anyone else is told what to install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly venv=.venv
# websockets has its asyncio client since 13.
readonly python_packages=('msgpack>=1.0.5,<2' 'websockets>=13')

fail() {
  echo "test-setup: $1" >&2
  exit 1
}

# Prints the Debian packages that are missing, one a line. The tests start Chromium by this path.
missing_packages() {
  [[ -x /usr/bin/chromium ]] || echo chromium
  command -v strace >/dev/null || echo strace
  command -v tmux >/dev/null || echo tmux
  is_venv_ready || has_python || printf '%s\n' python3 python3-venv
}

has_python() {
  python3 -c 'import ensurepip, venv' 2>/dev/null
}

is_venv_ready() {
  [[ -x $venv/bin/python ]] && "$venv/bin/python" -c 'import msgpack, websockets.asyncio.client' 2>/dev/null
}

install_packages() {
  local packages=("$@")
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    fail "the tests need ${packages[*]}; install them, on Debian or Ubuntu with: sudo apt-get install ${packages[*]}"
  fi
  echo "test-setup: installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # The lists of a fresh image are empty or old.
  apt-get update -qq >/dev/null || fail 'apt-get update failed'
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null || fail "apt-get could not install ${packages[*]}"
}

install_venv() {
  echo "test-setup: installing ${python_packages[*]} in $venv"
  rm -rf "$venv"
  python3 -m venv "$venv" || fail "python3 could not make $venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}" ||
    fail "pip could not install ${python_packages[*]}"
  is_venv_ready || fail "the Python packages in $venv can't be imported"
}

mapfile -t missing < <(missing_packages)
if ((${#missing[@]} > 0)); then
  install_packages "${missing[@]}"
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]} == 0)) || fail "still missing after the installation: ${missing[*]}"
fi
is_venv_ready || install_venv
