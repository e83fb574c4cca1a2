#!/usr/bin/env bash
# Write docs/gpu.md: which driver comes for which GPU, system and source, from the tables of plugins/module_utils/gpu.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$REPO/scripts/venv.sh" test >/dev/null
PYTHONPATH="$BUILD/collections:$REPO/tests/unit" "$BUILD/venv/test/bin/python" -m gpu.page --output "$REPO/docs/gpu.md"
