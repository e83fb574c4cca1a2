# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure Boot: may a module that this host builds be loaded, and if not, what has to be done about it?"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Selection

GO, STAGE, WAIT = "go", "stage", "wait"


def action(chosen: Selection, info: dict[str, Any], host: bool) -> str:
    """`go`; `stage` where the key has yet to be handed to the firmware; `wait` where a person has to confirm it."""
    state = info["secure_boot"]
    if not host or info["container"] or chosen.signed_by != "host" or not state["enabled"] or state["key_enrolled"]:
        return GO
    return WAIT if state["key_pending"] else STAGE
