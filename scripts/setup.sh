#!/usr/bin/env bash
# Set up what the named tiers need (tools, container engine, QEMU, images): scripts/setup.sh unit lint roles vm lab
set -euo pipefail
. "$(dirname "$0")/lib.sh"

together() { # COMMAND...: run scripts side by side; all end, also where one of them fails
  local command pid failed=0 pids=()
  for command in "$@"; do
    # shellcheck disable=SC2086  # a script and its arguments
    "$REPO"/scripts/$command >/dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  return "$failed"
}

"$REPO/scripts/venv.sh" test >/dev/null
images=()
for tier in "$@"; do
  case $tier in
    lint) "$REPO/scripts/venv.sh" lint >/dev/null ;;
    roles | lab)
      "$REPO/scripts/engine.sh"
      images+=("image.sh 12" "image.sh 13")
      ;;
    vm)
      "$REPO/scripts/qemu.sh"
      images+=("vm_image.sh ${MLOPS_VM_RELEASE:-12}")
      ;;
  esac
done
[ ${#images[@]} = 0 ] || {
  mapfile -t images < <(printf '%s\n' "${images[@]}" | sort -u)
  together "${images[@]}"
}
