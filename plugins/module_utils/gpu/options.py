# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a selection: their types, defaults and words."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Refusal
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import nearest

PARTS = (
    *("persistence", "fabric_manager", "nscq", "nvsdm", "imex", "nvlink5", "dcgm", "container_toolkit", "mig_parted"),
)
OVERRIDABLE = ("pinning", "kernel_module", "driver", "utilities", "headers", *PARTS)
BASES = {
    "cuda": "https://developer.download.nvidia.com/compute/cuda/repos",
    "container_toolkit": "https://nvidia.github.io/libnvidia-container",
    "mig_parted": "https://github.com/NVIDIA/mig-parted/releases/download",
    "amd": "https://repo.radeon.com",
    "rocm": "https://repo.amd.com/rocm/packages-multi-arch",
}


class Option(NamedTuple):
    """One option: type, default, and the words that it may have; empty for any."""

    kind: type
    default: Any = None
    choices: tuple[Any, ...] = ()


OPTIONS = {
    "source": Option(str, "vendor", ("distribution", "vendor", "mirror")),
    "branch": Option(str, "auto"),
    "version": Option(str),
    "flavour": Option(str, "auto", ("auto", "open", "proprietary")),
    "profile": Option(str, "compute", ("compute", "full")),
    "module": Option(str, "auto", ("auto", "dkms", "precompiled", "none")),
    "force_vendor": Option(str, None, ("nvidia", "amd")),
    "generations": Option(list, []),
    "architectures": Option(dict, {}),
    "kernel_releases": Option(list, []),
    "parts": Option(dict, {}),
    "packages_override": Option(dict, {}),
    "packages_extra": Option(list, []),
    "available": Option(dict),
    "mirror_url": Option(str),
    "base_urls": Option(dict, {}),
    "keys": Option(dict, {}),
    "add_repositories": Option(bool, True),
    "container_toolkit_version": Option(str, "1.20.0"),
    "mig_parted_version": Option(str, "0.15.0"),
    "mig_parted_sha256": Option(str),
    "rocm_version": Option(str, "7.14"),
    "amdgpu_version": Option(str),
}
_ITEMS = {"generations": str, "kernel_releases": str, "packages_extra": str}
_VALUES: dict[str, tuple[type, ...]] = {
    "architectures": (str,),
    "packages_override": (list,),
    "available": (str, type(None)),
    "base_urls": (str,),
    "keys": (dict,),
    "parts": (bool, str),
}
_KEYS = {"parts": PARTS, "packages_override": OVERRIDABLE, "base_urls": tuple(BASES)}


class OptionError(ValueError):
    """An option that does not exist or has a value of another type. The message names it."""


def _checked(name: str, value: Any) -> Any:
    option = OPTIONS[name]
    if name in ("branch", "rocm_version") and isinstance(value, (int, float)) and not isinstance(value, bool):
        # 580 and 7.14 are numbers in YAML.
        value = str(value)
    # An empty text is how variables of a role say that they are not set.
    if value is None or (value == "" and option.kind is str):
        return option.default
    if not isinstance(value, option.kind):
        raise OptionError(f"{name}: {value!r} is not of the type {option.kind.__name__}")
    if isinstance(value, list) and not all(isinstance(item, _ITEMS[name]) for item in value):
        raise OptionError(f"{name}: {value!r} is not a list of {_ITEMS[name].__name__}")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not isinstance(item, _VALUES[name]):
                kinds = " or ".join("None" if kind is type(None) else kind.__name__ for kind in _VALUES[name])
                raise OptionError(f"{name}.{key}: {item!r} is not of the type {kinds}")
            if name in _KEYS and key not in _KEYS[name]:
                raise OptionError(f"{name}.{key} does not exist, {nearest(key, _KEYS[name])}")
    return value


def complete(given: Any) -> dict[str, Any]:
    """Return all options with their values. Raises OptionError."""
    if not isinstance(given, dict):
        raise OptionError(f"options: {given!r} is not of the type dict")
    for name in given:
        if name not in OPTIONS:
            raise OptionError(f"option {name!r} does not exist, {nearest(name, OPTIONS)}")
    return {name: _checked(name, given.get(name)) for name in OPTIONS}


def refused_word(options: dict[str, Any]) -> Refusal | None:
    """A value that is none of the words of its option, as a refusal."""
    for name, option in OPTIONS.items():
        value = options[name]
        if option.choices and value is not None and value not in option.choices:
            words = ", ".join(map(str, option.choices))
            return Refusal(f"{name} is {value!r}, which is not known.", f"Set {name} to one of: {words}.")
    for part, value in options["parts"].items():
        if not isinstance(value, bool) and value != "auto":
            return Refusal(f"parts.{part} is {value!r}, which is not known.", "Set it to true, false or auto.")
    return None
