#!/usr/bin/env bash
# Make the virtual environment of a tool group from its hashed lock and print its path.
#   scripts/venv.sh test|lint      or --uv: print the path of uv itself
# It lies in the cache under the hash of the lock and the Python; .build/venv/<group> links to it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

group=${1:?usage: scripts/venv.sh GROUP}
[ "$group" != --uv ] || group=bootstrap
lock=$REPO/requirements/$group.txt
[ -f "$lock" ] || die "no tool group '$group': there is no $lock"
python=$("$REPO/scripts/python.sh")

# Debian splits the venv module off; without ensurepip `python -m venv` fails half-way.
need_venv_module() {
  "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
  local package
  package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $package ..."
    apt_install "$package"
  else
    die "$python has no venv module: run 'apt-get install $package' as root, then again"
  fi
}

environment() { # NAME LOCK: the folder for what this lock holds under this Python
  printf '%s/venv/%s-%s' "$CACHE" "$1" "$({ "$python" -VV && cat "$2" "$REPO/scripts/venv.sh"; } | short_hash)"
}

# uv leaves this to the first import, which cannot do it where PYTHONDONTWRITEBYTECODE is set: each start of ansible-playbook
# then compiles Ansible. Collections are left out: Ansible's loader never looks for their bytecode.
compile_bytecode() { # DIR. Packages carry files for other Pythons, which do not compile: no reason to stop.
  env -u PYTHONDONTWRITEBYTECODE "$1/bin/python" -m compileall -q -j 0 -x ansible_collections "$1/lib" >/dev/null 2>&1 || true
}

# uv does not read pip's configuration: hand it the site's index and trust store.
pip_setting() { "$python" -m pip config get "global.$1" 2>/dev/null || true; }
index() { printf '%s' "${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(pip_setting index-url)}}"; }

fetch() { # DESCRIPTION COMMAND...: retry, then one line that names the source
  local what=$1 try log
  shift
  log=$(mktemp)
  for try in 1 2 3; do
    if "$@" >"$log" 2>&1; then
      rm -f "$log"
      return
    fi
    [ "$try" = 3 ] || sleep $((try * ${MLOPS_RETRY_DELAY:-5}))
  done
  tail -n 5 "$log" >&2
  rm -f "$log"
  local source
  source=$(index | sed 's,//[^/@]*@,//,')
  die "could not install $what from ${source:-the default Python package index} in 3 tries: check that it answers (proxy, certificate, DNS), or name another one with PIP_INDEX_URL"
}

uv_bin() {
  local lock=$REPO/requirements/bootstrap.txt dir
  dir=$(environment bootstrap "$lock")
  if [ ! -e "$dir/.complete" ]; then
    rm -rf "$dir"
    "$python" -m venv "$dir"
    fetch uv "$dir/bin/pip" install --quiet --require-hashes --requirement "$lock"
    touch "$dir/.complete"
  fi
  printf '%s' "$dir/bin/uv"
}

build_environment() { # DIR
  [ ! -e "$1/.complete" ] || return 0
  need_venv_module
  local uv found
  uv=$(uv_bin)
  say "installing the '$group' tools ..."
  rm -rf "$1"
  "$python" -m venv "$1"
  found=$(index)
  export UV_CACHE_DIR="$CACHE/uv" UV_SYSTEM_CERTS=1 UV_NO_PROGRESS=1
  [ -z "$found" ] || export UV_DEFAULT_INDEX="$found"
  found=$(pip_setting cert)
  [ -n "${SSL_CERT_FILE:-}" ] || [ -z "$found" ] || export SSL_CERT_FILE="$found"
  fetch "the '$group' tools" "$uv" pip install --quiet --no-config --python "$1/bin/python" --require-hashes --requirement "$lock"
  compile_bytecode "$1"
  touch "$1/.complete"
}

if [ "$group" = bootstrap ]; then
  need_venv_module
  uv_bin
  exit
fi
dir=$(environment "$group" "$lock")
[ -e "$dir/.complete" ] || with_lock "venv-$group" build_environment "$dir"
mkdir -p "$BUILD/venv"
ln -sfn "$dir" "$BUILD/venv/$group"
# Ansible finds the collection by this link: the code that runs is the code in the checkout.
mkdir -p "$BUILD/collections/ansible_collections/mlops"
ln -sfn "$REPO" "$BUILD/collections/ansible_collections/mlops/onprem"
printf '%s\n' "$dir"
