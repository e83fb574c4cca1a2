#!/usr/bin/env bash
# Compile every requirements*.in to its hashed lock, for all Python versions that the product supports.
#   scripts/requirements.sh [--upgrade]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

uv=$("$REPO/scripts/venv.sh" --uv)
cd "$REPO"
for source in requirements/*.in roles/*/files/requirements*.in; do
  [ -e "$source" ] || continue
  say "compiling $source ..."
  "$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header "$@" "$source" --output-file "${source%.in}.txt"
done
