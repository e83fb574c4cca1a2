# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to a forge's API: JSON over TLS, with bounded retries, and errors that say how to mend them.

What may be repeated: GET, PUT, PATCH and DELETE leave the same when they are made twice. A POST makes a runner: it is repeated only where
it surely did nothing (429, or nobody took the connection).
"""

from __future__ import annotations

import email.utils
import json
import re
import socket
import ssl
import time
import urllib.error
from collections.abc import Iterator
from typing import Any, Callable
from urllib.parse import urlencode

from ansible.module_utils.urls import open_url
from ansible_collections.mlops.onprem.plugins.module_utils.ci.problem import Problem

_PAGES = 1000
_BUSY = (500, 502, 503, 504)


class Answer:
    """`data` is the parsed JSON, None where there was no body. Names of headers are in small letters."""

    def __init__(self, data: Any, headers: dict[str, str]) -> None:
        self.data, self.headers = data, headers


class Http:
    """One forge.

    title: for messages. url: its address. headers: those of the login. ca: CA certificates as a path, None for those of the computer.
    timeout: of one call, in seconds. retries: how often a call is repeated. patience: for how many seconds in all it is waited between
    repetitions, whatever a Retry-After asks for. rights: what the token needs, in words.
    """

    def __init__(
        self,
        title: str,
        url: str,
        headers: dict[str, str],
        ca: str | None = None,
        timeout: float = 15,
        retries: int = 3,
        patience: float = 60,
        rights: str = "",
    ) -> None:
        self.title, self.url, self.headers, self.ca = title, url.rstrip("/"), headers, ca
        self.timeout, self.retries, self.patience, self.rights = timeout, retries, patience, rights
        self._waited = 0.0

    def call(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Answer:
        """Return the answer to a call; Problem where it failed for good."""
        target = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        call = f"{method} {path}"
        tried = 0
        while True:
            tried += 1
            try:
                return self._once(method, target, body, call)
            except _Again as again:
                pause = again.seconds if again.seconds is not None else 2.0 ** (tried - 1)
                if tried > self.retries or self._waited + pause > self.patience:
                    raise again.problem(tried) from again
                self._waited += pause
                time.sleep(pause)

    def pages(
        self, path: str, size_name: str, size: int, key: str = "", query: dict[str, Any] | None = None
    ) -> Iterator[Any]:
        """Yield the entries of all pages. `size_name`: the parameter of a page's size. `key`: where the list is in an answer.

        A server may give smaller pages than it is asked for: what ends the list is its total, its word for the next page, or an empty page.
        """
        seen = 0
        for page in range(1, _PAGES + 1):
            answer = self.call("GET", path, query={**(query or {}), size_name: size, "page": page})
            entries = answer.data.get(key) if key and isinstance(answer.data, dict) else answer.data
            if not isinstance(entries, list):
                raise self._odd("GET " + path, "it answers with no list of runners")
            yield from entries
            seen += len(entries)
            total = (
                answer.data.get("total_count") if isinstance(answer.data, dict) else answer.headers.get("x-total-count")
            )
            following = answer.headers.get("x-next-page")
            if not entries or following == "" or (total is not None and seen >= int(total)):
                return
            if total is None and following is None and 'rel="next"' not in answer.headers.get("link", ""):
                return

    def _once(self, method: str, target: str, body: Any, call: str) -> Answer:
        data = None if body is None else json.dumps(body)
        headers = {"Accept": "application/json", "Content-Type": "application/json", **self.headers}
        try:
            answer = open_url(
                target,
                data=data,
                headers=headers,
                method=method,
                timeout=self.timeout,
                ca_path=self.ca,
                follow_redirects="none",
                http_agent="mlops.onprem",
            )
            text, found, status = answer.read(), dict(answer.headers.items()), answer.status
        except urllib.error.HTTPError as error:
            self._refused(error, method, call)
        except (OSError, ValueError) as error:
            raise self._unreachable(error, method, call) from error
        except Exception as error:
            # Ansible's own errors of TLS and connections have no common base but this.
            raise self._unreachable(error, method, call) from error
        try:
            parsed = json.loads(text) if text.strip() else None
        except ValueError as error:
            raise self._odd(call, f"{status}, and its answer is a page and no JSON") from error
        return Answer(parsed, {name.lower(): value for name, value in found.items()})

    def _odd(self, call: str, said: str) -> Problem:
        mend = f"Is ci_runner_url ({self.url}) the address of {self.title} itself, without a login page or a proxy before its API?"
        return Problem("broken", 0, self.title, call, said, mend)

    def _unreachable(self, error: Exception, method: str, call: str) -> Exception:
        reason = getattr(error, "reason", error)
        text = " ".join(str(reason or error).split())[:300]
        certificate = isinstance(reason, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in text
        # A time-out tells nothing of whether the call was done; a refused connection tells that it was not.
        late = isinstance(reason, (TimeoutError, socket.timeout)) or "timed out" in text
        mend = f"See that {self.url} answers from the controller (DNS, proxy, firewall), then run this again"
        if certificate:
            mend = "Give the CA of its certificate as ci_runner_ca"
        elif late:
            text = f"no answer within {self.timeout:g} s"
        elif method == "POST":
            mend += ". If a runner was made all the same, the next run says so"
        problem = Problem("unreachable", 0, self.title, call, text, mend)
        if certificate or (method == "POST" and not isinstance(reason, ConnectionRefusedError)):
            return problem
        return _Again(None, lambda tries: Problem("unreachable", 0, self.title, call, f"{text}, {tries} times", mend))

    def _refused(self, error: urllib.error.HTTPError, method: str, call: str) -> None:
        """Raise what an answer of 300 and above means."""
        status = error.code
        headers = {name.lower(): value for name, value in error.headers.items()}
        said = f"{status} {_words(error)}".strip()
        if status == 429 or (status == 403 and headers.get("x-ratelimit-remaining") == "0"):
            raise self._limited(status, headers, call)
        if status in _BUSY:
            mend = f"That is {self.title}'s own trouble: see its log"
            problem = Problem("broken", status, self.title, call, said, mend)
            if method == "POST":
                raise problem
            raise _Again(
                None, lambda tries: Problem("broken", status, self.title, call, f"{said}, {tries} times", mend)
            )
        if status in (301, 302, 307, 308):
            raise Problem(
                "broken",
                status,
                self.title,
                call,
                f"{status}, it sends to {headers.get('location', 'elsewhere')}",
                "Give its own address as ci_runner_url: a token is not sent on",
            )
        kinds = {
            401: (
                "login",
                f"The token expired, was revoked, or is another forge's. Give a new one as ci_runner_api_token ({self.rights})",
            ),
            403: ("rights", f"The token may not do that. It needs {self.rights}"),
            404: (
                "missing",
                f"See ci_runner_scope and ci_runner_url; a token without the rights sees the same ({self.rights})",
            ),
        }
        kind, mend = kinds.get(
            status, ("conflict", "See the names and labels of the slots, and whether another run does the same")
        )
        raise Problem(kind, status, self.title, call, said, mend)

    def _limited(self, status: int, headers: dict[str, str], call: str) -> _Again:
        seconds = _retry_after(headers)
        shown = f" ({seconds:.0f} s)" if seconds is not None else ""
        mend = f"Wait for as long as it asks{shown}, then run this again; several runs at once share the limit"
        return _Again(
            seconds,
            lambda tries: Problem(
                "limited", status, self.title, call, f"{status}, it is asked too often, after {tries} tries", mend
            ),
        )


class _Again(Exception):
    """May be tried again, after `seconds` where the server says so."""

    def __init__(self, seconds: float | None, problem: Callable[[int], Problem]) -> None:
        super().__init__()
        self.seconds, self.problem = seconds, problem


def _retry_after(headers: dict[str, str]) -> float | None:
    """Return how long to wait: Retry-After in seconds or as a date, or GitHub's time of the reset."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,6}", text):
        return float(text)
    when = email.utils.parsedate_to_datetime(text).timestamp() if re.search(r"[0-9]{4}.*:", text) else None
    reset = headers.get("x-ratelimit-reset", "")
    if when is None and re.fullmatch(r"[0-9]{9,11}", reset):
        when = float(reset)
    return None if when is None else max(0.0, when - time.time())


def _words(error: urllib.error.HTTPError) -> str:
    """Return the server's own words for an error, short."""
    try:
        text = error.read().decode(errors="replace")
    except (OSError, ValueError):
        return ""
    try:
        parsed = json.loads(text)
    except ValueError:
        return "" if "<" in text else " ".join(text.split())[:200]
    if isinstance(parsed, dict):
        parsed = parsed.get("message") or parsed.get("error_description") or parsed.get("error") or ""
    return " ".join(str(parsed).split())[:200]
