#!/usr/bin/env bash
# Copy what git knows of this checkout (with uncommitted changes) to a collection path of its own:
#   scripts/copy.sh FOLDER   ->  FOLDER/ansible_collections/mlops/onprem
# For tools that must not see the checkout itself: ansible-test, and the harness that breaks roles on purpose.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

target=${1:?usage: scripts/copy.sh FOLDER}/ansible_collections/mlops/onprem
rm -rf "$target"
mkdir -p "$target"
cd "$REPO"
# A file that is deleted but not yet committed is still listed by git.
git ls-files --cached --others --exclude-standard -z |
  while IFS= read -r -d '' file; do [ ! -e "$file" ] && [ ! -L "$file" ] || printf '%s\0' "$file"; done |
  tar --null --files-from=- -cf - | tar -xf - -C "$target"
printf '%s\n' "$target"
