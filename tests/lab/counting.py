"""Count module executions in the output of the JSON callback."""

from __future__ import annotations

import json
import re

# Actions that never reach a host: they cost the controller only.
CONTROLLER_ACTIONS = re.compile(
    r"(ansible\.(builtin|legacy)\.)?(assert|debug|fail|set_fact|include_\w+|import_\w+|meta|validate_argument_spec|pause)$"
)


def parse(output: str) -> dict:
    """The callback's document; warnings may stand before it."""
    return json.loads(output[output.index("{\n") :])


def executions(output: str) -> dict[str, int]:
    """Module executions by host. A loop counts once for each item; a template or a copy counts once."""
    counts: dict[str, int] = {}
    for play in parse(output)["plays"]:
        for task in play["tasks"]:
            for host, result in task["hosts"].items():
                if result.get("skipped") or CONTROLLER_ACTIONS.match(result.get("action", "")):
                    continue
                counts[host] = counts.get(host, 0) + len(result.get("results", [None]))
    return counts
