#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository's key on a host, known by its fingerprint."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_driver_key
short_description: Fetch a repository's key and keep it only if its fingerprint is the one that is expected
version_added: 0.2.0
description:
  - Fetches an OpenPGP key and writes it where apt is told to look, if it is the one key of the fingerprint given, and nothing else.
  - The host needs no gpg. A key that is there already and is the right one is not fetched again.
extends_documentation_fragment:
  - mlops.onprem.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  url:
    description: Where the key is, with or without ASCII armour.
    type: str
    required: true
  fingerprint:
    description: Its fingerprint, 40 (or 64) hexadecimal digits; spaces do not count.
    type: str
    required: true
  path:
    description: Where it is kept on the host.
    type: path
    required: true
author:
  - The mlops.onprem authors (@mlops-onprem)
"""

EXAMPLES = r"""
- name: Trust the repository's key
  mlops.onprem.gpu_driver_key:
    url: https://mirror.example.com/cuda/debian12/x86_64/3bf863cc.pub
    fingerprint: EB69 3B30 35CD 5710 E231 E123 A4B4 6996 3BF8 63CC
    path: /etc/apt/keyrings/nvidia-cuda.asc
"""

RETURN = r"""
path: {description: Where the key is., type: str, returned: always}
"""

import os
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_keys import KEY_LIMIT_BYTES, wrong


def fetched(module: AnsibleModule) -> bytes:
    """The key as the server has it. Ends the module where it does not answer."""
    url = module.params["url"]
    response, info = fetch_url(module, url, timeout=30)
    if info["status"] != 200 or response is None:
        module.fail_json(
            msg=f"The key {url} could not be fetched: {info['msg']}. "
            "See that the host reaches this address (proxy, certificate, DNS), or name the key's url in gpu_driver_keys."
        )
    data = response.read(KEY_LIMIT_BYTES)
    return data if isinstance(data, bytes) else b""


def write(path: Path, data: bytes) -> None:
    """Whole or not at all, and readable for apt's own user."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "fingerprint": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    path, fingerprint = Path(module.params["path"]), module.params["fingerprint"]
    try:
        there = path.read_bytes()
    except OSError:
        there = b""
    if wrong(there, fingerprint) is None:
        module.exit_json(changed=False, path=str(path))
    if not module.check_mode:
        data = fetched(module)
        why = wrong(data, fingerprint)
        if why is not None:
            module.fail_json(
                msg=f"The key {module.params['url']} is not the one that is expected ({fingerprint}): {why}. It was not trusted. "
                "Ask the repository's owner for the fingerprint; if it changed, set it in gpu_driver_keys."
            )
        try:
            write(path, data)
        except OSError as error:
            module.fail_json(msg=f"The key cannot be written to {path}: {error.strerror}")
    module.exit_json(changed=True, path=str(path))


if __name__ == "__main__":
    main()
