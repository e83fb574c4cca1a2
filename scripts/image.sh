#!/usr/bin/env bash
# Build the test image of a Debian release: systemd, Python and this computer's package sources, proxy and CAs.
#   scripts/image.sh 12|13
# Tagged with the hash of all that goes in, so that it is rebuilt only when that changes. No image registry is asked.
# shellcheck disable=SC2016  # the dollars are for apt-get and for the hooks of mmdebstrap
set -euo pipefail
. "$(dirname "$0")/lib.sh"

release=${1:?usage: scripts/image.sh 12|13}
case $release in
  12) codename=bookworm ;;
  13) codename=trixie ;;
  *) die "no image for Debian $release: 12 and 13 are known" ;;
esac

packages=systemd,systemd-sysv,dbus,python3,python3-apt,sudo,ca-certificates,iproute2,procps
site_cas=/usr/local/share/ca-certificates

# The archives that this computer itself uses, if it is a Debian; else mmdebstrap's default.
sources() {
  if [ -n "${MLOPS_DEBIAN_MIRROR:-}" ]; then
    printf 'deb %s %s main\ndeb %s %s-updates main\n' "$MLOPS_DEBIAN_MIRROR" "$codename" "$MLOPS_DEBIAN_MIRROR" "$codename"
    [ -z "${MLOPS_DEBIAN_SECURITY_MIRROR:-}" ] || printf 'deb %s %s-security main\n' "$MLOPS_DEBIAN_SECURITY_MIRROR" "$codename"
    return
  fi
  local here
  # shellcheck disable=SC1091
  here=$(. /etc/os-release && [ "$ID" = debian ] && printf '%s' "$VERSION_CODENAME") || return 0
  apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v here="$here" -v want="$codename" '
      $3 == "main" && ($2 == here || index($2, here "-") == 1) { sub("^" here, want, $2); print "deb", $1, $2, "main" }' | sort -u
}

apt_settings() { apt-config dump Acquire | grep -iE '^Acquire::(https?::(Proxy|CaInfo)|Check-(Valid-Until|Date))' | grep -v '"";$' || true; }

definition() {
  cat "$0"
  sources
  apt_settings
  # The folder may be empty or missing: a site without a CA of its own.
  find "$site_cas" -name '*.crt' -type f -exec sha256sum {} + 2>/dev/null | sort || true
}

build_image() { # TAG
  docker image inspect "$1" >/dev/null 2>&1 && return 0
  if ! command -v mmdebstrap >/dev/null; then
    [ "$(id -u)" = 0 ] || die "mmdebstrap is missing: run 'sudo apt-get install mmdebstrap', or name an own image in MLOPS_IMAGE"
    say "installing mmdebstrap ..."
    apt_install mmdebstrap
  fi
  say "building the Debian $release image (about a minute) ..."
  local work
  work=$(mktemp -d "${TMPDIR:-/tmp}/mlops-image.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  sources >"$work/sources.list"
  apt_settings >"$work/apt.conf"
  mkdir "$work/cas"
  find "$site_cas" -name '*.crt' -type f -exec cp {} "$work/cas/" \; 2>/dev/null || true

  local options=(
    # The package lists stay: check mode on a bare host needs them, as it finds them on a server.
    --variant=minbase "--include=$packages" --skip=cleanup/apt/lists
    --aptopt='Acquire::Retries "3"'
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt=force-unsafe-io
    "--customize-hook=copy-in $work/cas /usr/local/share/ca-certificates"
    '--customize-hook=chroot "$1" update-ca-certificates >/dev/null'
    # No kernel of its own, no console: these units could only fail.
    '--customize-hook=chroot "$1" systemctl mask --quiet systemd-modules-load.service systemd-udevd.service console-getty.service getty.target'
    # pip and apt keep what they fetched on the computer that runs the tests.
    '--customize-hook=printf "[global]\ncache-dir = /var/cache/mlops-pip\n" > "$1/etc/pip.conf"'
    '--customize-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf" && : > "$1/etc/machine-id"'
  )
  [ ! -s "$work/apt.conf" ] || options+=("--customize-hook=copy-in $work/apt.conf /etc/apt/apt.conf.d" "--aptopt=$work/apt.conf")
  local arguments=("$codename" "$work/image.tar")
  [ ! -s "$work/sources.list" ] || arguments+=("$work/sources.list")
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ ! -e "$keyring" ] || options+=("--keyring=$keyring")

  # apt itself retries each download.
  if ! mmdebstrap "${options[@]}" "${arguments[@]}" >"$work/log" 2>&1; then
    grep -E '^E:|error' "$work/log" | tail -n 5 >&2 || tail -n 5 "$work/log" >&2
    die "could not build the Debian $release image from $(awk '{print $2}' "$work/sources.list" | sort -u | paste -sd ' '): check that these sources answer, or name one in MLOPS_DEBIAN_MIRROR"
  fi
  docker import --change 'CMD ["/lib/systemd/systemd"]' "$work/image.tar" "$1" >/dev/null
}

if [ -n "${MLOPS_IMAGE:-}" ]; then
  docker image inspect "$MLOPS_IMAGE" >/dev/null 2>&1 || die "MLOPS_IMAGE=$MLOPS_IMAGE: the container engine has no such image; load it first"
  docker tag "$MLOPS_IMAGE" "mlops-onprem/debian:$release"
  exit
fi
tag=mlops-onprem/debian:$release-$(definition | short_hash)
docker image inspect "$tag" >/dev/null 2>&1 || with_lock "image-$release" build_image "$tag"
docker tag "$tag" "mlops-onprem/debian:$release"
