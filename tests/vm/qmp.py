"""QEMU's machine protocol over a UNIX socket: commands in order, events kept until somebody waits for them."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any


class QmpError(RuntimeError):
    """QEMU refused a command."""


class Qmp:
    """One connection. Every call ends within `timeout` seconds: OSError (TimeoutError) else."""

    def __init__(self, path: Path, timeout: float = 30) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        self._read()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """The command's result. Underscores in argument names stand for dashes."""
        dashed = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._socket.sendall(json.dumps({"execute": command, "arguments": dashed}).encode() + b"\n")
        while True:
            message = self._read()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise QmpError(f"{command}: {message['error']['desc']}")
            self._events.append(message)

    def wait(self, event: str, timeout: float, **data: Any) -> dict[str, Any]:
        """The first event of this name whose data has these values. TimeoutError if there is none in time."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self._events:
                found = message.get("data", {})
                if message.get("event") == event and all(found.get(name) == value for name, value in data.items()):
                    self._events.remove(message)
                    return message
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError(f"no event {event} {data} within {timeout:.0f} s")
            usual = self._socket.gettimeout()
            self._socket.settimeout(remaining)
            try:
                self._events.append(self._read())
            except TimeoutError:
                continue
            finally:
                self._socket.settimeout(usual)

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("QEMU closed its monitor")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message
