#!/usr/bin/env bash
# Set up what the named tiers need, then run them: scripts/test.sh unit lint roles vm lab (see scripts/run_tests.py)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$REPO/scripts/venv.sh" test >/dev/null
for tier in "$@"; do
  case $tier in
    lint) "$REPO/scripts/venv.sh" lint >/dev/null ;;
    roles | lab)
      "$REPO/scripts/engine.sh"
      "$REPO/scripts/image.sh" 12
      "$REPO/scripts/image.sh" 13
      ;;
    vm)
      "$REPO/scripts/qemu.sh"
      "$REPO/scripts/vm_image.sh" "${MLOPS_VM_RELEASE:-12}" >/dev/null
      ;;
  esac
done
cd "$REPO"
exec "$BUILD/venv/test/bin/python" scripts/run_tests.py "$@"
