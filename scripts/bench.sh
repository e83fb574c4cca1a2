#!/usr/bin/env bash
# Measure the budgets of docs/performance.md and write that page. Wants the lab: it is started if it is not there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$REPO/scripts/lab.sh" up
cd "$REPO"
export ANSIBLE_CONFIG=$REPO/ansible.cfg ANSIBLE_COLLECTIONS_PATH=$BUILD/collections ANSIBLE_HOME=$BUILD/ansible
export MLOPS_LAB_STATE=$BUILD/lab PATH="$BUILD/venv/test/bin:$PATH"
python tests/bench/run.py --output docs/performance.md
