#!/usr/bin/env bash
# Build the test image of a Debian release: systemd, Python and this computer's package sources, proxy and CAs.
#   scripts/image.sh 12|13
# Tagged with the hash of all that goes in, so that it is rebuilt only when that changes. No image registry is asked.
# shellcheck disable=SC2016  # the dollars are for the hooks of mmdebstrap
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/debian.sh"

release=${1:?usage: scripts/image.sh 12|13}
codename=$(debian_codename "$release")
packages=systemd,systemd-sysv,dbus,python3,python3-apt,sudo,ca-certificates,iproute2,procps

build_image() { # TAG
  docker image inspect "$1" >/dev/null 2>&1 && return 0
  if ! command -v mmdebstrap >/dev/null; then
    [ "$(id -u)" = 0 ] || die "mmdebstrap is missing: run 'sudo apt-get install mmdebstrap', or name an own image in MLOPS_IMAGE"
    need_packages mmdebstrap
  fi
  say "building the Debian $release image (about a minute) ..."
  local work
  work=$(mktemp -d "${TMPDIR:-/tmp}/mlops-image.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  local options=(
    # No kernel of its own, no console: these units could only fail.
    '--customize-hook=chroot "$1" systemctl mask --quiet systemd-modules-load.service systemd-udevd.service console-getty.service getty.target'
    # pip and apt keep what they fetched on the computer that runs the tests.
    '--customize-hook=printf "[global]\ncache-dir = /var/cache/mlops-pip\n" > "$1/etc/pip.conf"'
  )
  bootstrap "$codename" "$packages" "$work" "$work/image.tar" "${options[@]}"
  docker import --change 'CMD ["/lib/systemd/systemd"]' "$work/image.tar" "$1" >/dev/null
}

if [ -n "${MLOPS_IMAGE:-}" ]; then
  docker image inspect "$MLOPS_IMAGE" >/dev/null 2>&1 || die "MLOPS_IMAGE=$MLOPS_IMAGE: the container engine has no such image; load it first"
  docker tag "$MLOPS_IMAGE" "mlops-onprem/debian:$release"
  exit
fi
tag=mlops-onprem/debian:$release-$(image_definition "$codename" | short_hash)
docker image inspect "$tag" >/dev/null 2>&1 || with_lock "image-$release" build_image "$tag"
docker tag "$tag" "mlops-onprem/debian:$release"
