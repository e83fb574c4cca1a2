#!/usr/bin/env bash
# Print the newest Python >= 3.11 on PATH (or $MLOPS_PYTHON, if that is one).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if [ -n "${MLOPS_PYTHON:-}" ]; then
  usable "$MLOPS_PYTHON" || die "MLOPS_PYTHON=$MLOPS_PYTHON is not Python 3.11 or newer: unset it or name another one"
  command -v "$MLOPS_PYTHON"
  exit
fi
for python in python3.14 python3.13 python3.12 python3.11 python3; do
  if usable "$python"; then
    command -v "$python"
    exit
  fi
done
die "no Python 3.11 or newer on PATH (found: $(python3 --version 2>&1 || true)): install one (Debian 12: apt-get install python3) or name it in MLOPS_PYTHON"
