#!/usr/bin/env bash
# Run molecule with this project's environment: scripts/molecule.sh test|converge|verify|destroy SCENARIO
set -euo pipefail
. "$(dirname "$0")/lib.sh"

action=${1:?usage: scripts/molecule.sh ACTION SCENARIO}
scenario=${2:?usage: scripts/molecule.sh ACTION SCENARIO}
shift 2
cd "$REPO"
[ -d "molecule/$scenario" ] || die "there is no molecule/$scenario; there are: $(find molecule -maxdepth 1 -name "*-debian*" -printf "%f " )"
# A home of its own for each scenario: molecule names its working folder by the project's base name only.
export ANSIBLE_HOME="$BUILD/molecule/$scenario"
export ANSIBLE_COLLECTIONS_PATH="$BUILD/collections"
export MLOPS_JUNIT_DIR="${MLOPS_JUNIT_DIR:-$BUILD/junit}"
export PATH="$BUILD/venv/test/bin:$PATH"
mkdir -p "$ANSIBLE_HOME" "$MLOPS_JUNIT_DIR" "$CACHE/pip"
exec molecule "$action" --scenario-name "$scenario" "$@"
