# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that bad requirement or waiver data raises, and how it names the nearest valid word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """Requirement or waiver data that cannot be used. The message names what, where, and the nearest valid word."""


def nearest(word: object, valid: Iterable[str]) -> str:
    """Return the words that end an error message: the nearest valid one, or all of them where none is near."""
    words = sorted(set(valid))
    close = [other for other in words if other.casefold() == str(word).casefold()]
    # Of two signs, any is as near as another: an operator's error lists them all.
    if not close and len(str(word)) > 2:
        close = difflib.get_close_matches(str(word), words, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"valid: {', '.join(words[:30])}" if words else "there is none"
