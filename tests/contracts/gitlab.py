"""GitLab's calls about runners, from memory. Not GitLab."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# Last: a package of the same name as a file here must stay what it is.
sys.path.append(str(Path(__file__).resolve().parent))

from served import Contract, Page, Refusal, main, slice_of  # noqa: E402

_LIST = ("id", "description", "ip_address", "is_shared", "runner_type", "name", "online", "status", "paused", "active")


class GitLab(Contract):
    name = "gitlab"

    def __init__(self, token: str = "canary-token") -> None:
        super().__init__(token)
        self.runners: dict[int, dict[str, Any]] = {}
        self.tokens: dict[int, str] = {}
        self.running: dict[int, int] = {}

    def lets_in(self, headers: dict[str, str]) -> bool:
        return headers.get("private-token") == self.token

    def page(self, entries: list[Any], query: dict[str, str], _path: str) -> tuple[Any, dict[str, str]]:
        found, number, pages = slice_of(entries, query, "per_page", 20, 100)
        following = str(number + 1) if number < pages else ""
        return found, {"X-Next-Page": following, "X-Page": str(number), "X-Total": str(len(entries))}

    def add(self, description: str, kind: str = "instance_type", tags: str = "", **more: Any) -> int:
        number = self.number()
        self.runners[number] = {
            "id": number,
            "description": description,
            "ip_address": "",
            "is_shared": kind == "instance_type",
            "runner_type": kind,
            "name": None,
            "online": None,
            "status": "never_contacted",
            "paused": False,
            "active": True,
            "tag_list": [tag for tag in tags.split(",") if tag],
            "run_untagged": False,
            "locked": False,
            "access_level": "not_protected",
            "maximum_timeout": None,
            **more,
        }
        self.tokens[number] = f"glrt-canary-{number}"
        return number

    def _found(self, parts: dict[str, str]) -> dict[str, Any]:
        number = int(parts["number"])
        if number not in self.runners:
            raise Refusal(404, "404 Runner Not Found")
        return self.runners[number]

    def _listed(self, query: dict[str, str]) -> Page:
        kind = query.get("type")
        return Page(
            [{key: one[key] for key in _LIST} for one in self.runners.values() if kind in (None, one["runner_type"])]
        )

    def all(self, _parts: dict[str, str], query: dict[str, str], _body: Any) -> Page:
        return self._listed(query)

    def of_group(self, _parts: dict[str, str], query: dict[str, str], _body: Any) -> Page:
        return self._listed(query)

    def one(self, parts: dict[str, str], _query: Any, _body: Any) -> Any:
        return self._found(parts)

    def create(self, _parts: Any, _query: Any, body: dict[str, Any]) -> Any:
        kind = body["runner_type"]
        if (kind == "group_type") != ("group_id" in body) or (kind == "project_type") != ("project_id" in body):
            raise Refusal(400, "group_id or project_id does not go with the runner_type")
        if not body.get("tag_list") and body.get("run_untagged") is False:
            raise Refusal(
                400, "Validation failed: Tags list can not be empty when runner is not allowed to pick untagged jobs"
            )
        more = {key: body[key] for key in ("run_untagged", "locked", "access_level", "maximum_timeout") if key in body}
        number = self.add(body.get("description", ""), kind, body.get("tag_list", ""), **more)
        return {"id": number, "token": self.tokens[number], "token_expires_at": None}

    def change(self, parts: dict[str, str], _query: Any, body: dict[str, Any]) -> Any:
        runner = self._found(parts)
        for key, value in body.items():
            runner[key] = [tag for tag in value.split(",") if tag] if key == "tag_list" else value
        return runner

    def jobs(self, parts: dict[str, str], _query: Any, _body: Any) -> Any:
        number = self._found(parts)["id"]
        left = self.running.get(number, 0)
        self.running[number] = max(0, left - 1)
        return [{"id": 1, "status": "running"}] if left else []

    def delete(self, parts: dict[str, str], _query: Any, _body: Any) -> None:
        number = self._found(parts)["id"]
        del self.runners[number]
        del self.tokens[number]

    def verify(self, _parts: Any, _query: Any, body: dict[str, Any]) -> Any:
        for number, token in self.tokens.items():
            if token == body["token"]:
                self.runners[number].update(status="online", online=True)
                return {"id": number, "token": token, "token_expires_at": None}
        raise Refusal(403, "403 Forbidden")

    def host(self, online: str = "", **_more: Any) -> Any:
        for runner in self.runners.values():
            if runner["description"] == online:
                runner.update(status="online", online=True)
        return {}

    def forget(self, name: str) -> Any:
        for number in [number for number, runner in self.runners.items() if runner["description"] == name]:
            del self.runners[number]
            del self.tokens[number]
        return {}


if __name__ == "__main__":
    main(GitLab)
