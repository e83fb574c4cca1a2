# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions as numbers, for comparison."""

from __future__ import annotations

import re


def numbers(version: str) -> tuple[int, ...]:
    """`26.1.5+dfsg1-9` as (26, 1, 5); () for what does not begin with a number."""
    match = re.match(r"(?:[0-9]{1,4}:)?([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})", version)
    return tuple(int(part) for part in match.group(1).split(".")) if match else ()
