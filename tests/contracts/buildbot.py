"""The calls about workers of a Buildbot master, from memory. Not Buildbot."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

# Last: a package of the same name as a file here must stay what it is.
sys.path.append(str(Path(__file__).resolve().parent))

from served import Contract, Refusal, main  # noqa: E402


class Buildbot(Contract):
    name = "buildbot"

    def __init__(self, token: str = "canary:token") -> None:
        super().__init__(token)
        self.workers: dict[int, dict[str, Any]] = {}
        self.running: dict[int, int] = {}

    def lets_in(self, headers: dict[str, str]) -> bool:
        return headers.get("authorization") == "Basic " + base64.b64encode(self.token.encode()).decode()

    def add(self, name: str, configured: bool = True, **more: Any) -> int:
        number = self.number()
        self.workers[number] = {
            "workerid": number,
            "name": name,
            "paused": False,
            "pause_reason": None,
            "graceful": False,
            "configured_on": [{"builderid": 1, "masterid": 1}] if configured else [],
            "connected_to": [],
            "workerinfo": {},
            **more,
        }
        return number

    def all(self, _parts: Any, _query: Any, _body: Any) -> Any:
        return {"workers": list(self.workers.values()), "meta": {"total": len(self.workers)}}

    def builds(self, _parts: Any, query: dict[str, str], _body: Any) -> Any:
        number = int(query["workerid"])
        left = self.running.get(number, 0)
        self.running[number] = max(0, left - 1)
        return {"builds": [{"buildid": 1, "complete": False, "workerid": number}] if left else [], "meta": {}}

    def control(self, parts: dict[str, str], _query: Any, body: dict[str, Any]) -> Any:
        worker = self.workers.get(int(parts["number"]))
        if worker is None:
            raise Refusal(404, "no such worker")
        worker["paused"] = body["method"] == "pause"
        return {"jsonrpc": "2.0", "id": body["id"], "result": None}

    def host(self, online: str = "", **_more: Any) -> Any:
        for worker in self.workers.values():
            if worker["name"] == online:
                worker["connected_to"] = [{"masterid": 1}]
        return {}

    def forget(self, name: str) -> Any:
        for worker in self.workers.values():
            if worker["name"] == name:
                worker["configured_on"] = []
        return {}


if __name__ == "__main__":
    main(Buildbot)
