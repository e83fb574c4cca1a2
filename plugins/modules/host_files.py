#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders and small text files of a host, many in one execution."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Folders and small text files, many in one execution
version_added: 0.1.0
extends_documentation_fragment:
  - mlops.onprem.attributes
description:
  - Makes folders and writes files as listed, and removes files that must not be there.
  - M(ansible.builtin.copy) takes two executions for each file, this one for all of them.
  - A file is replaced as a whole, after its validation; an interrupted run leaves the old one or the new one.
author:
  - The mlops.onprem authors (@mlops-onprem)
options:
  directories:
    description: Folders, in order; those above are made with mode 0755.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Absolute path., type: path, required: true}
      owner: {description: Name of the user., type: str, default: root}
      group: {description: Name of the group., type: str, default: root}
      mode: {description: "Mode in octal, as text.", type: str, default: "0755"}
  files:
    description: Files, in order.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Absolute path; its folder has to be there., type: path, required: true}
      content: {description: The text. Without it the file must not be there., type: str}
      owner: {description: Name of the user., type: str, default: root}
      group: {description: Name of the group., type: str, default: root}
      mode: {description: "Mode in octal, as text.", type: str, default: "0644"}
      validate: {description: "A command that says whether the new text is right, with C(%s) for its path.", type: str}
attributes:
  check_mode:
    description: Says what would change. A file whose folder is not there yet would change, too.
    support: full
  diff_mode:
    description: Shows the files' texts before and after. They must hold no secrets.
    support: full
  platform:
    platforms: Linux
"""

EXAMPLES = r"""
- name: Write two files
  mlops.onprem.host_files:
    directories:
      - path: /etc/demo
    files:
      - path: /etc/demo/one.conf
        content: "one\n"
      - path: /etc/demo/old.conf
"""

RETURN = r"""
paths:
  description: What was changed, or would be.
  returned: always
  type: list
  elements: str
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

OWNERSHIP = {"owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"}}
DIRECTORY = {"path": {"type": "path", "required": True}, "mode": {"type": "str", "default": "0755"}, **OWNERSHIP}
FILE = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
    "validate": {"type": "str"},
    **OWNERSHIP,
}


def _owned(module: AnsibleModule, entry: dict[str, Any], path: str) -> bool:
    """Give `path` the entry's owner, group and mode; whether that was a change."""
    wanted = {
        "path": path,
        "owner": entry["owner"],
        "group": entry["group"],
        "mode": entry["mode"],
        "attributes": None,
        "secontext": module.selinux_default_context(entry["path"]) if module.selinux_enabled() else [],
    }
    return bool(module.set_fs_attributes_if_different(wanted, False))


def _directory(module: AnsibleModule, entry: dict[str, Any]) -> bool:
    path = Path(entry["path"])
    if path.is_dir():
        return _owned(module, entry, str(path))
    if not module.check_mode:
        # 0755 for those above, whatever the umask; the last one gets its own mode.
        for folder in reversed([path, *path.parents]):
            if not folder.is_dir():
                folder.mkdir()
                folder.chmod(0o755)
        _owned(module, entry, str(path))
    return True


def _file(module: AnsibleModule, entry: dict[str, Any], diffs: list[dict[str, str]]) -> bool:
    path = Path(entry["path"])
    wanted = entry["content"]
    present = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    if wanted is None:
        if present is None:
            return False
        diffs.append({"before": present, "after": "", "before_header": str(path), "after_header": "/dev/null"})
        if not module.check_mode:
            path.unlink()
        return True
    if present == wanted:
        return _owned(module, entry, str(path))
    diffs.append({"before": present or "", "after": wanted, "before_header": str(path), "after_header": str(path)})
    if module.check_mode:
        return True
    path.parent.stat()
    handle, new = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(wanted)
    if entry["validate"]:
        code, out, err = module.run_command(entry["validate"] % new)
        if code != 0:
            module.fail_json(msg=f"{path} was not written: {' '.join((err or out).split()) or 'its check failed'}")
    _owned(module, entry, new)
    module.atomic_move(new, str(path))
    _owned(module, entry, str(path))
    return True


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "dict", "default": [], "options": DIRECTORY},
            "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
        },
        supports_check_mode=True,
    )
    paths: list[str] = []
    diffs: list[dict[str, str]] = []
    place = ""
    try:
        for entry in module.params["directories"]:
            place = entry["path"]
            if _directory(module, entry):
                paths.append(place)
        for entry in module.params["files"]:
            place = entry["path"]
            if _file(module, entry, diffs):
                paths.append(place)
    except OSError as error:
        module.fail_json(msg=f"{place}: {error.strerror}", paths=paths)
    module.exit_json(changed=bool(paths), paths=paths, diff=diffs)


if __name__ == "__main__":
    main()
