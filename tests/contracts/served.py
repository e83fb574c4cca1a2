"""What all contract servers share: rules for what goes wrong, logins, pages, and the check against the contract."""

from __future__ import annotations

import argparse
import http.server
import json
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# Last: a package of the same name as a file here must stay what it is.
sys.path.append(str(Path(__file__).resolve().parent))

import shape  # noqa: E402


class Refusal(Exception):
    """A refusal of the forge itself."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Page:
    """Entries of which one page is answered."""

    def __init__(self, entries: list[Any]) -> None:
        self.entries = entries


class Contract:
    """A forge in memory.

    name: of the contract. token: what it lets in. A subclass has a method for each call of the contract, by the call's name, that takes
    (the parts of the path, the query, the body) and returns the answer.
    """

    name = ""

    def __init__(self, token: str = "canary-token") -> None:
        self.text = json.loads((Path(__file__).resolve().parent / f"{self.name}.json").read_text())
        self.token = token
        self.rules: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.violations: list[str] = []
        self.lock = threading.RLock()
        self.server: http.server.ThreadingHTTPServer | None = None
        self.last = 0

    def number(self) -> int:
        self.last += 1
        return self.last

    @property
    def url(self) -> str:
        if self.server is None:
            raise RuntimeError("the server was not started")
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Any:
        self.start(0)
        return self

    def __exit__(self, *_error: Any) -> None:
        if self.server:
            self.server.shutdown()
            self.server.server_close()

    def start(self, port: int, address: str = "127.0.0.1") -> None:
        contract = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_what: Any) -> None:
                """Silence."""

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length).decode()
                status, headers, body = contract.respond(self.command, self.path, text, dict(self.headers.items()))
                data = body.encode()
                try:
                    self.send_response(status)
                    for key, value in headers.items():
                        self.send_header(key, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    # Whoever asked did not wait for it.
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        self.server = http.server.ThreadingHTTPServer((address, port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def respond(self, method: str, target: str, text: str, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """Return status, headers and body."""
        url = urlsplit(target)
        if url.path.startswith("/_"):
            return 200, {}, json.dumps(self._control(method, url.path, text))
        with self.lock:
            self.calls.append(f"{method} {url.path}")
            rule = self._rule(f"{method} {url.path}")
        if rule:
            time.sleep(rule.get("delay", 0))
            if "status" in rule:
                body = rule.get("body", json.dumps({"message": f"rule {rule['status']}"}))
                return rule["status"], rule.get("headers", {}), body
        with self.lock:
            return self._answer(method, url.path, dict(parse_qsl(url.query)), text, headers)

    def _control(self, method: str, path: str, text: str) -> Any:
        with self.lock:
            if path == "/_rules" and method == "POST":
                self.rules = json.loads(text)
            elif path == "/_host" and method == "POST":
                return self.host(**json.loads(text))
            elif path == "/_forget" and method == "POST":
                return self.forget(json.loads(text)["name"])
            return {"calls": self.calls, "violations": self.violations}

    def _rule(self, call: str) -> dict[str, Any] | None:
        for rule in self.rules:
            if rule.get("call") in (None, call) and rule.get("times", 1) > 0:
                if "times" in rule:
                    rule["times"] -= 1
                return rule
        return None

    def _answer(
        self, method: str, path: str, query: dict[str, str], text: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], str]:
        for call in self.text["calls"]:
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", call["path"])
            match = re.fullmatch(pattern, path)
            if match is None or call["method"] != method:
                continue
            if call.get("login", True) and not self.lets_in({key.lower(): value for key, value in headers.items()}):
                return 401, {}, json.dumps({"message": "401 Unauthorized"})
            body = json.loads(text) if text else None
            self._check(f"{method} {path}: the query", query, call.get("query", {}))
            if "request" in call:
                self._check(f"{method} {path}: the request", body, call["request"])
            elif body is not None:
                self.violations.append(f"{method} {path}: it has a body, and the contract has none")
            try:
                found = getattr(self, call["name"])(match.groupdict(), query, body)
            except Refusal as refusal:
                return refusal.status, {}, json.dumps({"message": str(refusal)})
            more: dict[str, str] = {}
            if isinstance(found, Page):
                found, more = self.page(found.entries, query, path)
            if "answer" not in call:
                return call["status"], more, ""
            self._check(f"{method} {path}: the answer", found, call["answer"])
            return call["status"], more, json.dumps(found)
        self.violations.append(f"{method} {path} is not in the contract")
        return 404, {}, json.dumps({"message": "404 Not Found"})

    def _check(self, where: str, value: Any, wanted: Any) -> None:
        self.violations += shape.wrong(value, wanted, where)

    def lets_in(self, _headers: dict[str, str]) -> bool:
        raise NotImplementedError

    def page(self, _entries: list[Any], _query: dict[str, str], _path: str) -> tuple[Any, dict[str, str]]:
        raise NotImplementedError

    def host(self, **_told: Any) -> Any:
        """What a stand-in of the runner's program tells."""
        raise NotImplementedError

    def forget(self, name: str) -> Any:
        """Somebody deletes a runner behind our back."""
        raise NotImplementedError


def slice_of(
    entries: list[Any], query: dict[str, str], size_name: str, default: int, most: int
) -> tuple[list[Any], int, int]:
    """Return a page, its number, and how many there are."""
    size = min(int(query.get(size_name, default)), most)
    number = int(query.get("page", 1))
    return entries[(number - 1) * size : number * size], number, -(-len(entries) // size)


def main(kind: type[Contract]) -> None:
    """Run a server until it is ended."""
    parser = argparse.ArgumentParser(
        description=f"Contract server for {kind.name}: answers as documented, and is no forge."
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--address", default="127.0.0.1", help="in a container, whose port is published on 127.0.0.1: 0.0.0.0"
    )
    parser.add_argument("--token", default="canary-token")
    arguments = parser.parse_args()
    kind(arguments.token).start(arguments.port, arguments.address)
    threading.Event().wait()
