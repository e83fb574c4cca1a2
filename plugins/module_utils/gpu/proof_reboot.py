# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the host has to be rebooted, by what is loaded and what is installed, and whether that may be done from here."""

from __future__ import annotations

from typing import Any

POLICIES = ("never", "if_needed", "always")


def reasons(info: dict[str, Any]) -> list[str]:
    """Why the running kernel does not use the installed driver; empty where it does, or will by itself.

    `info` is what the module gpu_driver_info returned. A module that is merely not loaded is no reason: the first program
    that asks for a GPU loads it.
    """
    kernel = info.get("kernel") or {}
    running = kernel.get("running")
    modules = info.get("modules") or {}
    loaded = info.get("loaded") or {}
    installed = modules.get(running)
    if not installed:
        others = sorted(release for release, module in modules.items() if module)
        if not others:
            return []
        return [f"the kernel {running} runs, and the driver's module is there for {', '.join(others)} only"]
    found = []
    if loaded.get("version") and installed.get("version") and loaded["version"] != installed["version"]:
        found.append(f"the module {loaded['version']} is loaded, {installed['version']} is installed")
    elif loaded.get("flavour") and installed.get("flavour") and loaded["flavour"] != installed["flavour"]:
        found.append(f"the {loaded['flavour']} module is loaded, the {installed['flavour']} one is installed")
    if (info.get("nouveau") or {}).get("loaded") and not loaded.get("version"):
        found.append("nouveau is loaded and holds the GPUs")
    return found


def decide(info: dict[str, Any], policy: str, connection: str, changed: bool) -> dict[str, Any]:
    """needed, reasons, reboot (do it now), pending (needed and left to people) and message (empty where all is well).

    `always` reboots after each change of the driver, needed or not, and never without one: a second run changes nothing.
    """
    if policy not in POLICIES:
        raise ValueError(f"{policy!r} is none of {', '.join(POLICIES)}")
    why = reasons(info)
    # A container has no kernel of its own, and rebooting this computer would end the run, and much else.
    prevented = None
    if info.get("container"):
        prevented = "it is a container: reboot the host that it runs on"
    elif connection == "local":
        prevented = "it is the computer that Ansible runs on: reboot it yourself, then run this again"
    wanted = bool(why) or (policy == "always" and changed)
    reboot = wanted and policy != "never" and prevented is None
    message = ""
    if why and not reboot:
        left = prevented or "gpu_driver_reboot is never: reboot it when it suits, then run this again"
        message = f"a reboot is needed ({'; '.join(why)}) and not done, since {left}"
    elif reboot:
        message = f"reboots now: {'; '.join(why) or 'the driver was changed, and gpu_driver_reboot is always'}"
    return {
        "needed": bool(why),
        "reasons": why,
        "reboot": reboot,
        "pending": bool(why) and not reboot,
        "message": message,
    }
