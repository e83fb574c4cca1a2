# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module of the same name and compares the host's clock with the controller's, which only the controller can."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.mlops.onprem.plugins.module_utils.survey import clock


class ActionModule(ActionBase):  # type: ignore[misc]
    """The module, with `time.offset_seconds` and `time.offset_error_seconds` filled in."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        before = time.time()
        result.update(self._execute_module(task_vars=task_vars))
        clock.add_offset(result.get("ansible_facts"), before, time.time())
        return result
