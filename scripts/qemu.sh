#!/usr/bin/env bash
# Make sure that QEMU and an SSH client are there: use what is installed, else install the distribution's.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

missing=()
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
command -v qemu-img >/dev/null || missing+=(qemu-utils)
command -v ssh-keygen >/dev/null || missing+=(openssh-client)
[ ${#missing[@]} != 0 ] || exit 0
need_packages "${missing[@]}"
