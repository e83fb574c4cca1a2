"""GitHub's calls about self-hosted runners of an organization, from memory. Not GitHub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# Last: a package of the same name as a file here must stay what it is.
sys.path.append(str(Path(__file__).resolve().parent))

from served import Contract, Page, Refusal, main, slice_of  # noqa: E402

_READ_ONLY = ("self-hosted", "Linux", "X64")


class GitHub(Contract):
    name = "github"

    def __init__(self, token: str = "canary-token") -> None:
        super().__init__(token)
        self.runners: dict[int, dict[str, Any]] = {}
        self.given: list[str] = []

    def lets_in(self, headers: dict[str, str]) -> bool:
        return headers.get("authorization") == f"Bearer {self.token}"

    def page(self, entries: list[Any], query: dict[str, str], path: str) -> tuple[Any, dict[str, str]]:
        found, number, pages = slice_of(entries, query, "per_page", 30, 100)
        link = f'<{self.url}{path}?page={number + 1}>; rel="next"' if number < pages else ""
        return {"total_count": len(entries), "runners": found}, ({"Link": link} if link else {})

    def add(self, name: str, labels: list[str], **more: Any) -> int:
        number = self.number()
        self.runners[number] = {
            "id": number,
            "name": name,
            "os": "linux",
            "status": "offline",
            "busy": False,
            "labels": [
                *({"name": label, "type": "read-only"} for label in _READ_ONLY),
                *({"name": label, "type": "custom"} for label in labels),
            ],
            **more,
        }
        return number

    def _found(self, parts: dict[str, str]) -> dict[str, Any]:
        number = int(parts["number"])
        if number not in self.runners:
            raise Refusal(404, "Not Found")
        return self.runners[number]

    def all(self, _parts: Any, query: dict[str, str], _body: Any) -> Page:
        return Page([one for one in self.runners.values() if query.get("name") in (None, one["name"])])

    def one(self, parts: dict[str, str], _query: Any, _body: Any) -> Any:
        return self._found(parts)

    def registration(self, _parts: Any, _query: Any, _body: Any) -> Any:
        self.given.append(f"ACANARY{self.number():022d}")
        return {"token": self.given[-1], "expires_at": "2026-11-30T12:00:00Z"}

    def relabel(self, parts: dict[str, str], _query: Any, body: dict[str, Any]) -> Any:
        runner = self._found(parts)
        kept = [label for label in runner["labels"] if label["type"] == "read-only"]
        runner["labels"] = [*kept, *({"name": label, "type": "custom"} for label in body["labels"])]
        return {"total_count": len(runner["labels"]), "labels": runner["labels"]}

    def delete(self, parts: dict[str, str], _query: Any, _body: Any) -> None:
        runner = self._found(parts)
        if runner["busy"]:
            raise Refusal(422, "Bad request - Runner is currently running a job and cannot be deleted.")
        del self.runners[runner["id"]]

    def host(self, online: str = "", register: str = "", token: str = "", labels: str = "", **_more: Any) -> Any:
        if register:
            if token not in self.given:
                return {"refused": "the registration token is not valid"}
            self.forget(register)
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
    main(GitHub)
