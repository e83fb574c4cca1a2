#!/usr/bin/env bash
# Set up what the named tiers need, then run them: scripts/test.sh unit lint roles vm lab (see scripts/run_tests.py)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$REPO/scripts/setup.sh" "$@"
cd "$REPO"
exec "$BUILD/venv/test/bin/python" scripts/run_tests.py "$@"
