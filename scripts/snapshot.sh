#!/usr/bin/env bash
# Save what is read of an inventory's hosts, one file each: scripts/snapshot.sh INVENTORY FOLDER (see docs/assess.md)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

inventory=${1:-} folder=${2:-}
[ -e "$inventory" ] && [ -n "$folder" ] || die "name an inventory that exists and a folder: make snapshot INVENTORY=/path/to/inventory TO=/path/to/folder"
"$REPO/scripts/venv.sh" test >/dev/null
mkdir -p "$folder"
export ANSIBLE_CONFIG=$REPO/ansible.cfg ANSIBLE_COLLECTIONS_PATH=$BUILD/collections ANSIBLE_HOME=$BUILD/ansible
PATH=$BUILD/venv/test/bin:$PATH
ansible-playbook --inventory "$inventory" "$REPO/playbooks/assess.yml" \
  --extra-vars "$(python -c 'import json, os, sys; print(json.dumps({"preflight_snapshot_dir": os.path.abspath(sys.argv[1])}))' "$folder")"
