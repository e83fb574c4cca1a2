# shellcheck shell=bash
# What every set-up script shares: strict mode, messages, the cache and its lock. Sourced, never run.
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# Everything here can be deleted at any time: it is named by the hash of what it was made from.
# Exported, so that make, the playbooks and the tests agree on one folder.
export MLOPS_CACHE="${MLOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mlops-onprem}"
CACHE=$MLOPS_CACHE
BUILD=$REPO/.build
export REPO CACHE BUILD

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

# One set-up at a time over all checkouts: two runs would write the same environment or image.
with_lock() { # NAME COMMAND...
  local name=$1
  shift
  mkdir -p "$CACHE"
  (
    flock --nonblock 9 || {
      say "waiting for another run that prepares $name ..."
      flock 9
    }
    "$@"
  ) 9>"$CACHE/$name.lock"
}

# The first 12 hex digits of the sha256 of what is read: enough to tell versions of one thing apart.
short_hash() { sha256sum | cut -c1-12; }

# shellcheck disable=SC2016  # the dollar is apt-get's
apt_sources() { apt-get indextargets --no-release-info --format '$(SITE)' 2>/dev/null | sort -u | paste -sd ' '; }

# Debian packages, with retries; a failure is one line that names the source.
apt_install() { # PACKAGE...
  local log
  log=$(mktemp)
  if ! { apt-get -o Acquire::Retries=3 update && DEBIAN_FRONTEND=noninteractive \
    apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
    grep -E '^(E|Err|W):' "$log" | tail -n 5 >&2 || tail -n 5 "$log" >&2
    die "could not install $* from $(apt_sources): check that this source answers (proxy, certificate, DNS); the full log is $log"
  fi
  rm -f "$log"
}

# Install packages that a tool needs, or say how: only root can.
need_packages() { # PACKAGE...
  command -v apt-get >/dev/null || die "$* missing, and this is neither Debian nor Ubuntu: install them, then run this again"
  [ "$(id -u)" = 0 ] || die "$* missing: run 'sudo apt-get install $*', then this again"
  # Two that ask at the same time would fail at the lock of the package lists.
  say "installing $* ..."
  with_lock packages apt_install "$@"
}
