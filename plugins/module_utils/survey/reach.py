# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers: names are looked up and TCP connections opened, many at once, each within a time limit.

A connection is closed as soon as it is open; nothing is sent over it. A lookup in the C library cannot be interrupted, so
each probe has a thread of its own that is left behind when its time is over.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

OPEN, REFUSED, TIMEOUT, UNREACHABLE, UNRESOLVED = "open", "refused", "timeout", "unreachable", "unresolved"
ANSWERS = (OPEN, REFUSED, TIMEOUT, UNREACHABLE, UNRESOLVED)
# Threads at a time: 40 silent targets take as long as one.
AT_ONCE = 64
# What a thread may take beyond the limit to write down that its time is over.
GRACE_SECONDS = 0.5
MAX_ADDRESSES = 16


class Result(NamedTuple):
    """What came of a probe: answer, time until then in milliseconds, addresses of the name, the reason in words."""

    answer: str
    milliseconds: float
    addresses: list[str]
    reason: str


def look_up(host: str, port: int) -> tuple[list[tuple[int, str, tuple[object, ...]]], str]:
    """(family, address, socket address) of each address of a name, in the system's order, and its canonical name.

    OSError where it has none.
    """
    canonical = ""
    found: dict[str, tuple[int, str, tuple[object, ...]]] = {}
    try:
        for family, _kind, _protocol, name, place in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME
        ):
            canonical = canonical or name
            found.setdefault(str(place[0]), (int(family), str(place[0]), tuple(place)))
    except (UnicodeError, ValueError) as error:
        raise OSError(errno.EINVAL, "not a valid name") from error
    return list(found.values())[:MAX_ADDRESSES], canonical


def knock(family: int, place: tuple[object, ...], seconds: float) -> tuple[str, str]:
    """(answer, reason) of one address. A reset is an answer of the host, as a refusal is."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(max(seconds, 0.001))
            connection.connect(place)
        return OPEN, ""
    except (socket.timeout, TimeoutError):
        return TIMEOUT, f"no answer within {seconds:.1f} s"
    except OSError as error:
        reason = error.strerror or "the connection failed"
        if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
            return REFUSED, reason
        return UNREACHABLE, reason


class Probe:
    """One probe; calling it never raises. `result` is set once, by whichever stage it ended in."""

    def __init__(self, host: str, port: int | None, seconds: float) -> None:
        """`port`: None looks the name up only. `seconds`: for lookup and all connections together."""
        self.host = host
        self.port = port
        self.seconds = seconds
        self.canonical = ""
        self._addresses: list[str] | None = None
        self._result: Result | None = None
        self._started: float | None = None

    def __call__(self) -> None:
        self._started = time.monotonic()
        try:
            places, self.canonical = look_up(self.host, self.port or 0)
        except OSError as error:
            self._end(UNRESOLVED, error.strerror or "the name is not known")
            return
        self._addresses = [text for _family, text, _place in places]
        if self.port is None:
            self._end(OPEN, "")
            return
        best = (UNREACHABLE, "the name has no address")
        for number, (family, _text, place) in enumerate(places):
            # An address that is silent must leave time for the next one.
            left = (self._started + self.seconds - time.monotonic()) / (len(places) - number)
            answer = knock(family, place, left)
            if number == 0 or ANSWERS.index(answer[0]) < ANSWERS.index(best[0]):
                best = answer
            if answer[0] == OPEN:
                break
        self._end(*best)

    def _end(self, answer: str, reason: str) -> None:
        self._result = Result(answer, self._spent(), self._addresses or [], reason)

    def _spent(self) -> float:
        return round((time.monotonic() - (self._started or time.monotonic())) * 1000, 1)

    @property
    def result(self) -> Result:
        """What came of it; a thread that did not end in time is a timeout, or a name that nobody knew in time."""
        if self._result is not None:
            return self._result
        limit = f"{self.seconds:.1f} s"
        if self._addresses is None:
            return Result(UNRESOLVED, self._spent(), [], f"no name server answered within {limit}")
        return Result(TIMEOUT, self._spent(), self._addresses, f"no answer within {limit}")


def run_all(probes: Sequence[Callable[[], None]], seconds: float) -> None:
    """Run the probes, AT_ONCE at a time; takes at most `seconds` and GRACE_SECONDS for each AT_ONCE of them."""
    for first in range(0, len(probes), AT_ONCE):
        end = time.monotonic() + seconds + GRACE_SECONDS
        threads = []
        for probe in probes[first : first + AT_ONCE]:
            thread = threading.Thread(target=probe, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # No more threads are allowed here: slower, and still each within its limit.
                probe()
            else:
                threads.append(thread)
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
