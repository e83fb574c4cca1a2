"""Gitea's calls about runners of the whole instance, from memory. Not Gitea."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# Last: a package of the same name as a file here must stay what it is.
sys.path.append(str(Path(__file__).resolve().parent))

from served import Contract, Page, Refusal, main, slice_of  # noqa: E402


class Gitea(Contract):
    name = "gitea"

    def __init__(self, token: str = "canary-token") -> None:
        super().__init__(token)
        self.runners: dict[int, dict[str, Any]] = {}
        self.running: dict[int, int] = {}
        self.given = "canary-registration"

    def lets_in(self, headers: dict[str, str]) -> bool:
        return headers.get("authorization") == f"token {self.token}"

    def page(self, entries: list[Any], query: dict[str, str], _path: str) -> tuple[Any, dict[str, str]]:
        found = slice_of(entries, query, "limit", 30, 50)[0]
        return {"total_count": len(entries), "runners": found}, {"X-Total-Count": str(len(entries))}

    def add(self, name: str, labels: list[str] | None = None, **more: Any) -> int:
        number = self.number()
        named = [{"id": place, "name": label, "type": "custom"} for place, label in enumerate(labels or [])]
        state = {"status": "offline", "busy": False, "disabled": False, "ephemeral": False}
        self.runners[number] = {"id": number, "name": name, **state, "labels": named, **more}
        return number

    def _found(self, parts: dict[str, str]) -> dict[str, Any]:
        number = int(parts["number"])
        if number not in self.runners:
            raise Refusal(404, "not found")
        return self.runners[number]

    def all(self, _parts: Any, _query: Any, _body: Any) -> Page:
        return Page(list(self.runners.values()))

    def one(self, parts: dict[str, str], _query: Any, _body: Any) -> Any:
        runner = self._found(parts)
        left = self.running.get(runner["id"], 0)
        self.running[runner["id"]] = max(0, left - 1)
        return {**runner, "busy": bool(left)}

    def registration(self, _parts: Any, _query: Any, _body: Any) -> Any:
        return {"token": self.given}

    def change(self, parts: dict[str, str], _query: Any, body: dict[str, Any]) -> Any:
        runner = self._found(parts)
        runner.update(body)
        return runner

    def delete(self, parts: dict[str, str], _query: Any, _body: Any) -> None:
        del self.runners[self._found(parts)["id"]]

    def host(self, online: str = "", register: str = "", token: str = "", labels: str = "", **_more: Any) -> Any:
        if register:
            if token != self.given:
                return {"refused": "the registration token is not valid"}
            # As with the forge itself, a second runner of the same name is a second runner.
            return {"id": self.add(register, [label for label in labels.split(",") if label])}
        for runner in self.runners.values():
            if runner["name"] == online:
                runner["status"] = "online"
        return {}

    def forget(self, name: str) -> Any:
        for number in [number for number, runner in self.runners.items() if runner["name"] == name]:
            del self.runners[number]
        return {}


if __name__ == "__main__":
    main(Gitea)
