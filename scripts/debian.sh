# shellcheck shell=bash
# What the container images and the virtual machine's image are built from: Debian, from this computer's own package
# sources, with its proxy and CAs. Sourced after lib.sh, never run.
# shellcheck disable=SC2016  # the dollars are for apt-get

site_cas=/usr/local/share/ca-certificates
# Components of the archive that an image is made from, and that the machines then have in their sources.
components=main

debian_codename() { # RELEASE
  case $1 in
    12) echo bookworm ;;
    13) echo trixie ;;
    *) die "no image for Debian $1: 12 and 13 are known" ;;
  esac
}

# The archives that this computer itself uses, if it is a Debian; else mmdebstrap's default.
sources() { # CODENAME
  local codename=$1
  if [ -n "${MLOPS_DEBIAN_MIRROR:-}" ]; then
    printf 'deb %s %s %s\n' "$MLOPS_DEBIAN_MIRROR" "$codename" "$components" "$MLOPS_DEBIAN_MIRROR" "$codename-updates" "$components"
    [ -z "${MLOPS_DEBIAN_SECURITY_MIRROR:-}" ] || printf 'deb %s %s %s\n' "$MLOPS_DEBIAN_SECURITY_MIRROR" "$codename-security" "$components"
    return
  fi
  local here
  # shellcheck disable=SC1091
  here=$(. /etc/os-release && [ "$ID" = debian ] && printf '%s' "$VERSION_CODENAME") || return 0
  apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v here="$here" -v want="$codename" -v components="$components" '
      $3 == "main" && ($2 == here || index($2, here "-") == 1) { sub("^" here, want, $2); print "deb", $1, $2, components }' | sort -u
}

apt_settings() { apt-config dump Acquire | grep -iE '^Acquire::(https?::(Proxy|CaInfo)|Check-(Valid-Until|Date))' | grep -v '"";$' || true; }

# All that decides what an image of this release holds, for its hash.
image_definition() { # CODENAME
  cat "$0" "$REPO/scripts/debian.sh"
  sources "$1"
  apt_settings
  # The folder may be empty or missing: a site without a CA of its own.
  find "$site_cas" -name '*.crt' -type f -exec sha256sum {} + 2>/dev/null | sort || true
}

# mmdebstrap with what all images share. The hooks see the site's CAs and apt's settings in place.
bootstrap() { # CODENAME PACKAGES WORK-FOLDER TARGET OPTION...
  local codename=$1 packages=$2 work=$3 target=$4
  shift 4
  sources "$codename" >"$work/sources.list"
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
    '--customize-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf" && : > "$1/etc/machine-id"'
  )
  [ ! -s "$work/apt.conf" ] || options+=("--customize-hook=copy-in $work/apt.conf /etc/apt/apt.conf.d" "--aptopt=$work/apt.conf")
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ ! -e "$keyring" ] || options+=("--keyring=$keyring")
  local arguments=("$codename" "$target")
  [ ! -s "$work/sources.list" ] || arguments+=("$work/sources.list")

  # apt itself retries each download.
  if ! mmdebstrap "${options[@]}" "$@" "${arguments[@]}" >"$work/log" 2>&1; then
    grep -E '^E:|error' "$work/log" | tail -n 5 >&2 || tail -n 5 "$work/log" >&2
    die "could not build the Debian $codename image from $(awk '{print $2}' "$work/sources.list" | sort -u | paste -sd ' '): check that these sources answer, or name one in MLOPS_DEBIAN_MIRROR"
  fi
}
