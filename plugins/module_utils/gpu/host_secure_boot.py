# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure Boot: whether it is on, and whether the firmware trusts the key that DKMS signs with."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_programs import Ask
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import system as firmware
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

# The public keys that DKMS signs with: Ubuntu's of shim, that of DKMS itself elsewhere.
KEYS = ("/var/lib/shim-signed/mok/MOK.der", "/var/lib/dkms/mok.pub")


def read(hardware: Tree, system: Tree, architecture: str | None, ask: Ask) -> dict[str, Any]:
    """`enabled` (None where the firmware's view is masked), `key_path`, `key_enrolled`, `key_pending`.

    mokutil is asked only where it decides something: with Secure Boot on, and a key there.
    """
    enabled = firmware.secure_boot(hardware, firmware.firmware(hardware, architecture))
    key = next((path for path in KEYS if system.exists(path)), None)
    found: dict[str, Any] = {
        "enabled": enabled,
        "key_path": key,
        "key_enrolled": None,
        "key_pending": None,
    }
    if enabled and key:
        # Its exit code is no answer: some versions end with 1 for a key that is enrolled.
        said = ask(["mokutil", "--test-key", key]).output
        found["key_enrolled"] = "is already enrolled" in said
        found["key_pending"] = "enrollment request" in said
    return found
