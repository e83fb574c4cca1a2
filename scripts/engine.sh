#!/usr/bin/env bash
# Make sure that a container engine answers: use a running one, else install and start the distribution's.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

answers() { command -v docker >/dev/null && timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

wait_until_it_answers() {
  local _
  for _ in $(seq 60); do
    answers && return 0
    sleep 1
  done
  return 1
}

start_engine() {
  answers && return 0
  if ! command -v dockerd >/dev/null; then
    command -v apt-get >/dev/null ||
      die "no container engine, and this is neither Debian nor Ubuntu: install Docker Engine, start it, then run this again"
    say "installing the container engine (docker.io) ..."
    apt_install docker.io
  fi
  if [ -d /run/systemd/system ]; then
    systemctl start docker || die "the container engine does not start: see 'journalctl -u docker'"
    wait_until_it_answers || die "the container engine started but does not answer: see 'journalctl -u docker'"
  else
    local log=/var/log/mlops-onprem-dockerd.log
    say "starting the container engine, log in $log ..."
    # fd 9 is this script's lock: a daemon that inherited it would hold it for ever.
    setsid nohup dockerd >"$log" 2>&1 9>&- </dev/null &
    wait_until_it_answers || {
      tail -n 5 "$log" >&2
      die "the container engine does not start: see $log"
    }
  fi
}

answers && exit
if [ "$(id -u)" != 0 ]; then
  if command -v dockerd >/dev/null; then
    die "no container engine answers, and only root can start one: run 'sudo systemctl start docker' (and add yourself to the group docker), then run this again"
  fi
  die "no container engine answers, and only root can install one: run 'sudo apt-get install docker.io && sudo usermod -aG docker $(id -un)', log in again, then run this again"
fi
with_lock engine start_engine
