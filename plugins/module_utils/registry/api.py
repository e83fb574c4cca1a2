# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to the registry over one connection that is kept open, with a login, through the proxy and its TLS."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

_TIMEOUT_SECONDS = 30


class Unreachable(Exception):
    """Nobody answers there as it should. `absent`: because there is no registry yet, as far as can be told."""

    def __init__(self, message: str, absent: bool) -> None:
        super().__init__(message)
        self.absent = absent


class Refused(Exception):
    """The registry said no. `code` is MLflow's word for why, `status` the HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code = status, code


@dataclass(frozen=True)
class Login:
    user: str
    password: str


class Api:
    """`address` is connected to; `name` is what the certificate must be for and what requests ask for. Without a CA, there is no TLS."""

    def __init__(self, address: str, port: int, name: str, ca: str | None, login: Login) -> None:
        self.address, self.port, self.name, self.login = address, port, name, login
        try:
            self._context = ssl.create_default_context(cafile=ca) if ca else None
        except OSError as error:
            raise Unreachable(f"the CA {ca} cannot be read: {error}", isinstance(error, FileNotFoundError)) from error
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: dict[str, Any], login: Login | None = None) -> dict[str, Any]:
        """Return the answer. `body` is sent as JSON, with GET as the query."""
        text = None if method == "GET" else json.dumps(body)
        target = f"{path}?{urlencode(body)}" if method == "GET" and body else path
        status, answer = self._exchange(method, target, text, login or self.login)
        try:
            parsed = json.loads(answer) if answer.strip() else {}
        except ValueError:
            parsed = {}
        parsed = parsed if isinstance(parsed, dict) else {}
        if status == 200:
            return parsed
        raise Refused(
            status, str(parsed.get("error_code", "")), str(parsed.get("message", " ".join(answer.split())[:200]))
        )

    def accepts(self, login: Login) -> bool:
        """Say whether a login is right."""
        try:
            self.call("GET", "/api/2.0/mlflow/users/current", {}, login)
        except Refused as refused:
            if refused.status == 401:
                return False
            raise
        return True

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _exchange(self, method: str, target: str, body: str | None, login: Login) -> tuple[int, str]:
        used = self._connection is not None
        try:
            return self._once(method, target, body, login)
        except (OSError, http.client.HTTPException) as error:
            # The other side closes a connection that was idle. Every call leaves the same when it is made twice, or says so.
            if not used or isinstance(error, TimeoutError):
                raise self._unreachable(error) from error
            self.close()
        try:
            return self._once(method, target, body, login)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unreachable:
        self.close()
        text = f"{self.address}:{self.port} ({self.name}): {type(error).__name__}: {error}"
        return Unreachable(text, isinstance(error, ConnectionRefusedError))

    def _once(self, method: str, target: str, body: str | None, login: Login) -> tuple[int, str]:
        if self._connection is None:
            connection = http.client.HTTPConnection(self.address, self.port, timeout=_TIMEOUT_SECONDS)
            plain = socket.create_connection((self.address, self.port), timeout=_TIMEOUT_SECONDS)
            connection.sock = self._context.wrap_socket(plain, server_hostname=self.name) if self._context else plain
            self._connection = connection
        words = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        headers = {
            "Host": self.name if self.port == 443 else f"{self.name}:{self.port}",
            "Authorization": f"Basic {words}",
            "Content-Type": "application/json",
        }
        self._connection.request(method, target, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
