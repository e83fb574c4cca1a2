"""Forgejo's calls about runners of an organization, from memory. Not Forgejo."""

from __future__ import annotations

import hashlib
import sys
import uuid
from pathlib import Path
from typing import Any

# Last: a package of the same name as a file here must stay what it is.
sys.path.append(str(Path(__file__).resolve().parent))

from served import Contract, Page, Refusal, main, slice_of  # noqa: E402


class Forgejo(Contract):
    name = "forgejo"

    def __init__(self, token: str = "canary-token") -> None:
        super().__init__(token)
        self.runners: dict[int, dict[str, Any]] = {}
        self.tokens: dict[int, str] = {}

    def lets_in(self, headers: dict[str, str]) -> bool:
        return headers.get("authorization") == f"token {self.token}"

    def page(self, entries: list[Any], query: dict[str, str], _path: str) -> tuple[Any, dict[str, str]]:
        found = slice_of(entries, query, "limit", 30, 50)[0]
        return found, {"X-Total-Count": str(len(entries))}

    def add(self, name: str, description: str = "", **more: Any) -> int:
        number = self.number()
        self.tokens[number] = hashlib.sha1(f"canary {number}".encode(), usedforsecurity=False).hexdigest()
        self.runners[number] = {
            "id": number,
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))),
            "name": name,
            "description": description,
            "version": "",
            "status": "offline",
            "owner_id": 1,
            "repo_id": 0,
            "ephemeral": False,
            "labels": [],
            **more,
        }
        return number

    def _found(self, parts: dict[str, str]) -> dict[str, Any]:
        number = int(parts["number"])
        if number not in self.runners:
            raise Refusal(404, "runner not found")
        return self.runners[number]

    def all(self, _parts: Any, _query: Any, _body: Any) -> Page:
        return Page(list(self.runners.values()))

    def one(self, parts: dict[str, str], _query: Any, _body: Any) -> Any:
        return self._found(parts)

    def create(self, _parts: Any, _query: Any, body: dict[str, Any]) -> Any:
        number = self.add(body["name"], body.get("description", ""))
        return {"id": number, "uuid": self.runners[number]["uuid"], "token": self.tokens[number]}

    def delete(self, parts: dict[str, str], _query: Any, _body: Any) -> None:
        number = self._found(parts)["id"]
        del self.runners[number]
        del self.tokens[number]

    def host(self, online: str = "", **_more: Any) -> Any:
        for runner in self.runners.values():
            # Its runner knows itself by its UUID only.
            if online in (runner["name"], runner["uuid"]):
                runner["status"] = "idle"
        return {}

    def forget(self, name: str) -> Any:
        for number in [number for number, runner in self.runners.items() if runner["name"] == name]:
            del self.runners[number]
            del self.tokens[number]
        return {}


if __name__ == "__main__":
    main(Forgejo)
