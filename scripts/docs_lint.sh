#!/usr/bin/env bash
# The documentation that specs and modules make: complete, linked, and readable by ansible-doc.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

export ANSIBLE_COLLECTIONS_PATH=$BUILD/collections
cd "$BUILD/collections/ansible_collections/mlops/onprem"
antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck .
for role in roles/*/; do
  ansible-doc --type role "mlops.onprem.$(basename "$role")" >/dev/null
done
