#!/usr/bin/env bash
# Write docs/sizing-accuracy.md: published figures of real models against what the sizing computes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$REPO/scripts/venv.sh" test >/dev/null
PYTHONPATH="$BUILD/collections" "$BUILD/venv/test/bin/python" "$REPO/tests/unit/sizing/accuracy.py" \
  --output "$REPO/docs/sizing-accuracy.md"
