#!/usr/bin/env bash
# Measure the budgets of docs/performance.md and write that page. The lab is removed and made anew for it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$REPO/scripts/venv.sh" test >/dev/null
for program in fio mkfs.xfs mkfs.ext4; do
  command -v $program >/dev/null || { say "installing what measures file systems ..." && apt_install fio xfsprogs e2fsprogs; }
done
cd "$REPO"
export ANSIBLE_CONFIG=$REPO/ansible.cfg ANSIBLE_COLLECTIONS_PATH=$BUILD/collections ANSIBLE_HOME=$BUILD/ansible
export PYTHONPATH=$BUILD/collections
export MLOPS_LAB_STATE=$BUILD/lab PATH="$BUILD/venv/test/bin:$PATH"
python tests/bench/run.py --output docs/performance.md
