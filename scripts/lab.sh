#!/usr/bin/env bash
# The lab: five containers, provisioned by the real playbooks. scripts/lab.sh up|containers|down|shell HOST|play PLAYBOOK [OPTION...]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

inventory=$REPO/inventories/lab/
export MLOPS_LAB_STATE=$BUILD/lab
export ANSIBLE_CONFIG=$REPO/ansible.cfg
export ANSIBLE_COLLECTIONS_PATH=$BUILD/collections
export ANSIBLE_HOME=$BUILD/ansible
PATH=$BUILD/venv/test/bin:$PATH

# The same variables that a site would set by hand, taken from how this computer reaches its package sources.
export_site() {
  local python=$BUILD/venv/test/bin/python
  [ -n "${PIP_INDEX_URL:-}" ] || PIP_INDEX_URL=$("$python" -m pip config get global.index-url 2>/dev/null || true)
  export PIP_INDEX_URL
}

play() { (cd "$REPO" && ansible-playbook --inventory "$inventory" "$@"); }

timed() { # NAME COMMAND...: run it, remember how long it took
  local name=$1 begin=$SECONDS
  shift
  say ""
  say "== $name"
  "$@"
  times+=("$(printf '%-12s %4d s' "$name" $((SECONDS - begin)))")
}

prepare_tools() { "$REPO/scripts/venv.sh" test >/dev/null; }
prepare_engine() { "$REPO/scripts/engine.sh"; }
prepare_images() {
  "$REPO/scripts/image.sh" 12
  "$REPO/scripts/image.sh" 13
}
start_containers() {
  mkdir -p "$MLOPS_LAB_STATE/gpu1" "$CACHE/pip"
  python "$REPO/scripts/lab/simulated_gpu_server.py" "$MLOPS_LAB_STATE/gpu1"
  play "$REPO/scripts/lab/up.yml"
}
provision() { play "$REPO/playbooks/site.yml" "$@"; }

up() {
  times=()
  timed tools prepare_tools
  export_site
  timed engine prepare_engine
  timed images prepare_images
  timed containers start_containers
  timed site.yml provision "$@"
  printf '\nThe lab is up. How long each part took:\n'
  printf '  %s\n' "${times[@]}"
  printf '%s\n' \
    "  Next: make verify-lab (proves the registry), make lab-shell HOST=registry1, make lab-down"
}

down() {
  prepare_tools
  prepare_engine
  play "$REPO/scripts/lab/down.yml"
  # The lab's secrets and report go with it; the cache stays.
  rm -rf "$MLOPS_LAB_STATE" "$REPO/inventories/lab/.mlops"
}

action=${1:?usage: scripts/lab.sh up|containers|down|shell HOST|play PLAYBOOK [OPTION...]}
shift
case $action in
  up) up "$@" ;;
  down) down ;;
  # The bare hosts, not provisioned.
  containers)
    prepare_tools
    prepare_engine
    prepare_images
    start_containers
    ;;
  shell)
    host=${1:-}
    docker inspect "mlops-lab-$host" >/dev/null 2>&1 ||
      die "no lab host '$host': there are $(docker ps --filter label=org.mlops-onprem=mlops-onprem-lab --format '{{.Names}}' | sed 's/^mlops-lab-//' | sort | paste -sd ' ') (make lab-shell HOST=registry1)"
    exec docker exec -it "mlops-lab-$host" /bin/bash -l
    ;;
  play)
    prepare_tools
    export_site
    play "$@"
    ;;
  *) die "unknown action '$action': up, containers, down, shell HOST or play PLAYBOOK" ;;
esac
