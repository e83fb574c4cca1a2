#!/usr/bin/env bash
# Write what one person needs to work with the registry: scripts/client_env.sh INVENTORY NAME [FOLDER] (see docs/client.md)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

inventory=${1:-} name=${2:-} folder=${3:-}
[ -e "$inventory" ] && [ -n "$name" ] || die "name an inventory that exists and a user: make client-env INVENTORY=/path/to/inventory NAME=alice"
"$REPO/scripts/venv.sh" test >/dev/null
export ANSIBLE_CONFIG=$REPO/ansible.cfg ANSIBLE_COLLECTIONS_PATH=$BUILD/collections ANSIBLE_HOME=$BUILD/ansible
PATH=$BUILD/venv/test/bin:$PATH
ansible-playbook --inventory "$inventory" "$REPO/playbooks/client_env.yml" \
  --extra-vars "$(python -c 'import json, os, sys; name, folder = sys.argv[1:]; print(json.dumps({"mlops_client_user": name, "mlops_client_dir": folder and os.path.abspath(folder)}))' "$name" "$folder")"
