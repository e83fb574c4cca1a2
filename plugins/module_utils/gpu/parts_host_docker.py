# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's daemon.json with NVIDIA's runtime and CDI in it: what a person wrote there stays as it is.

Names and values are those that `nvidia-ctk runtime configure --runtime=docker --cdi.enabled` writes.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Optional

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.parts_host_versions import numbers
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Refusal

PATH = "/etc/docker/daemon.json"
RUNTIME = {"path": "nvidia-container-runtime", "args": []}
# The first Docker that knows CDI; in 20.10 and before, --gpus and the runtime are the way.
CDI_FIRST = (25,)
# The first that can check a file.
VALIDATE_FIRST = (23,)
_REMEDY = f"Mend {PATH} (dockerd would not start with it either), or leave docker out of gpu_driver_container_runtimes."


class Merged(NamedTuple):
    """The file as it should be; `text` is None where it is so already."""

    text: Optional[str]  # noqa: UP045 (evaluated at run time on Python 3.9)
    notes: list[str]


def _parsed(text: str | None) -> dict[str, Any] | Refusal:
    # dockerd takes an empty file for none.
    if text is None or not text.strip():
        return {}
    try:
        data = json.loads(text)
    except ValueError as error:
        return Refusal(f"{PATH} is not JSON: {error}.", _REMEDY)
    if not isinstance(data, dict):
        return Refusal(f"{PATH} holds a {type(data).__name__} and not an object.", _REMEDY)
    for key in ("runtimes", "features"):
        if not isinstance(data.get(key, {}), dict):
            return Refusal(f"{key} in {PATH} is a {type(data[key]).__name__} and not an object.", _REMEDY)
    return data


def merge(text: str | None, version: str | None) -> Merged | Refusal:
    """The content of daemon.json with the runtime `nvidia` and, where `version` of Docker knows it, CDI.

    `text`: the file's content, None where it is not there. A version of None is that of a Docker that is not there yet.
    """
    data = _parsed(text)
    if isinstance(data, Refusal):
        return data
    notes = []
    wanted = dict(data)
    runtimes = dict(data.get("runtimes", {}))
    if "nvidia" not in runtimes:
        wanted["runtimes"] = {**runtimes, "nvidia": RUNTIME}
    features = dict(data.get("features", {}))
    if version is None or numbers(version) >= CDI_FIRST:
        if "cdi" not in features:
            wanted["features"] = {**features, "cdi": True}
        elif features["cdi"] is not True:
            notes.append(f"{PATH} switches CDI off, and is left so: containers get GPUs by the runtime nvidia only.")
    else:
        notes.append(f"Docker {version} knows no CDI: containers get GPUs by --gpus or the runtime nvidia.")
    return Merged(None if wanted == data else json.dumps(wanted, indent=4) + "\n", notes)


def without(text: str | None) -> str | None:
    """The content once this role's entries are taken out again; None where there is nothing to take out."""
    data = _parsed(text)
    if isinstance(data, Refusal) or (data.get("runtimes") or {}).get("nvidia") != RUNTIME:
        return None
    wanted = dict(data)
    wanted["runtimes"] = {name: value for name, value in data["runtimes"].items() if name != "nvidia"}
    # Docker has CDI for other devices, too: it is no harm where nothing names a GPU.
    if not wanted["runtimes"]:
        del wanted["runtimes"]
    return json.dumps(wanted, indent=4) + "\n"
