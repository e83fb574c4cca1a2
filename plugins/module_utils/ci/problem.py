# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong with a forge: which call, what it said, how to mend it. Never a token."""

from __future__ import annotations


class Problem(Exception):
    """A call that failed for good.

    kind: `unreachable` (nobody answers as it should), `login` (401), `rights` (403), `missing` (404), `conflict` (409, 422), `limited`
    (429 for too long), `broken` (500 and above, or no JSON). status: the HTTP status, 0 where there was none.
    """

    def __init__(self, kind: str, status: int, forge: str, call: str, said: str, mend: str) -> None:
        what = f"{forge}: {call}: {said}" if said else f"{forge}: {call}"
        super().__init__(f"{what}. {mend}")
        self.kind, self.status, self.said = kind, status, said
