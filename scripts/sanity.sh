#!/usr/bin/env bash
# ansible-test sanity over the whole collection. It wants a collection path and a git tree, so it gets a copy.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$REPO/scripts/venv.sh" lint >/dev/null
venv=$BUILD/venv/lint
target=$("$REPO/scripts/copy.sh" "$BUILD/sanity")

# ansible-test bootstraps pip with a script that it downloads, from a host that a closed network does not reach. The
# interpreter's own ensurepip does the same, so that stands in for each version it may ask for.
home=$CACHE/ansible-test
mkdir -p "$home/.ansible/test/cache"
"$venv/bin/python" - "$home/.ansible/test/cache" <<'PYTHON'
import re, sys
from pathlib import Path
from ansible_test._internal import python_requirements
text = Path(python_requirements.__file__).read_text()
for version in set(re.findall(r"pip='([\d.]+)'", text)):
    script = Path(sys.argv[1]) / f"get_pip_{version.replace('.', '_')}.py"
    script.write_text("import runpy, sys\nsys.argv = ['ensurepip', '--default-pip']\nrunpy.run_module('ensurepip', run_name='__main__')\n")
PYTHON

cd "$target"
git init --quiet
git add --all
git -c user.name=sanity -c user.email=sanity@localhost commit --quiet --message=sanity
# PWD, not the real path: ansible-test knows a collection by the folders above it.
export HOME=$home PATH="$venv/bin:$PATH" ANSIBLE_COLLECTIONS_PATH=$BUILD/sanity
exec ansible-test sanity --requirements --python "$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" "$@"
