# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the slots of a host and the runners of a forge: what is asked for each, and what is kept of the answers."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci import act_config

_NOTHING = {"id": "", "uuid": "", "token": "", "registration": ""}


def asked(
    slots: list[dict[str, Any]],
    options: dict[str, Any],
    known: dict[str, dict[str, str]],
    host: dict[str, dict[str, str]],
) -> list[dict[str, Any]]:
    """Return the runners as M(ci_runner_registration) takes them.

    known: by slot, what an earlier run kept. host: by slot, what the registration on the host left. A slot with a token of its own is
    asked for only where the API may be asked, and is then known by nothing but its name: it is left out.
    """
    found = []
    for slot in slots:
        if slot["token"] and options["provider"] != "buildbot":
            continue
        there = host.get(slot["name"], {})
        here = there.get("name") == slot["runner"] and _is_address(there, options)
        mine = {
            key: value for key, value in known.get(slot["name"], {}).items() if key in ("id", "uuid", "token") and value
        }
        by_host = options["provider"] in ("github", "gitea")
        found.append(
            {
                "name": slot["runner"],
                "labels": slot["labels"],
                "known": ({"id": there["id"]} if here and there.get("id", "0") != "0" else {}) if by_host else mine,
                "registered": by_host and here,
                "more": {"run_untagged": options["run_untagged"], **options["gitlab"]}
                if options["provider"] == "gitlab"
                else {},
            }
        )
    return found


def _is_address(there: dict[str, str], options: dict[str, Any]) -> bool:
    """Whether the host is registered with this forge; GitHub's address is that of the scope."""
    address = (there.get("address") or there.get("url") or "").rstrip("/")
    base = options["url"].rstrip("/")
    return address == base or address.startswith(base + "/")


def keep(
    slots: list[dict[str, Any]], provider: str, known: dict[str, dict[str, str]], tokens: dict[str, dict[str, str]]
) -> dict[str, dict[str, str]]:
    """Return the secrets by slot: given, just made, or kept. Empty ones in check mode, where nothing was made."""
    found = {}
    for slot in slots:
        name = slot["name"]
        if slot["token"]:
            uuid = act_config.uuid_of(slot["token"]) if provider == "forgejo" else ""
            found[name] = {**_NOTHING, "token": slot["token"], "uuid": uuid}
        elif slot["runner"] in tokens:
            found[name] = {**_NOTHING, **tokens[slot["runner"]]}
        else:
            found[name] = {**_NOTHING, **known.get(name, {})}
    return found


def stored(secrets: dict[str, dict[str, str]], known: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return what is worth a file: no token of an hour, and nothing of slots without any.

    What is known of other slots stays until their runners are off the server: they are found there by it.
    """
    found = {name: {key: one[key] for key in ("id", "uuid", "token") if one[key]} for name, one in secrets.items()}
    others = {name: one for name, one in known.items() if name not in secrets}
    return {**others, **{name: one for name, one in found.items() if one}}
