"""Whether JSON has a shape. A shape is `"string"`, `"integer"`, `"boolean"`, `"any"`, alternatives as `"string|null"`, a list of one shape,
or an object of shapes, whose keys may be left out where they end in `?`."""

from __future__ import annotations

from typing import Any

_KINDS = {"string": str, "integer": int, "boolean": bool, "null": type(None)}


def wrong(value: Any, shape: Any, where: str = "it") -> list[str]:
    """Return what does not fit."""
    if isinstance(shape, str):
        kinds = shape.split("|")
        fits = "any" in kinds or any(
            isinstance(value, _KINDS[kind]) and not (kind == "integer" and isinstance(value, bool)) for kind in kinds
        )
        return [] if fits else [f"{where} is {value!r} and no {shape}"]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [problem for number, one in enumerate(value) for problem in wrong(one, shape[0], f"{where}[{number}]")]
    if not isinstance(value, dict):
        return [f"{where} is no object"]
    known = {key.rstrip("?"): (kind, key.endswith("?")) for key, kind in shape.items()}
    problems = [f"{where} has the key {key!r}, which is not in the contract" for key in value if key not in known]
    for key, (kind, optional) in known.items():
        if key in value:
            problems += wrong(value[key], kind, f"{where}.{key}")
        elif not optional:
            problems.append(f"{where} lacks {key!r}")
    return problems
