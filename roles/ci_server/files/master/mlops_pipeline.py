"""What a repository's pipeline file says. Plain Python, without Buildbot, so that it can be tried and tested by itself.

`parse` takes the text and returns a `Pipeline`, or raises `Wrong` with a sentence for each mistake, each with its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable

import yaml

MINUTE = 60
HOUR = 60 * MINUTE
UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": 24 * HOUR}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,49}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
# Variables that the server sets itself.
RESERVED = "MLOPS_"
MAX_BYTES = 64 * 1024
MAX_STEPS = 50


class Wrong(Exception):
    """All that is wrong with a pipeline file, a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Step:
    """One command of the pipeline. `timeout` is in seconds, None where only the pipeline's own counts."""

    name: str
    run: str
    timeout: int | None = None
    promote: bool = False


@dataclass(frozen=True)
class Pipeline:
    """The whole file. `timeout` is in seconds, `gpus` a number of GPUs that the worker has to have, `promote` a branch or None."""

    steps: tuple[Step, ...]
    artifacts: tuple[str, ...] = ()
    gpus: int = 0
    timeout: int = 24 * HOUR
    promote: str | None = None
    environment: dict[str, str] = field(default_factory=dict)


class _Reader:
    """Walks through the nodes, which know their lines, and collects what is wrong."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[str] = []

    def wrong(self, node: yaml.Node, text: str) -> None:
        self.problems.append(f"{self.path}, line {node.start_mark.line + 1}: {text}")

    def mapping(self, node: yaml.Node, what: str, known: dict[str, Callable[[yaml.Node], Any]]) -> dict[str, Any]:
        """The values of a mapping by key, each read by its own reader. Unknown and double keys are wrong."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"{what} must be a mapping (key: value), and is {_kind(node)}")
            return {}
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name not in known:
                self.wrong(key, f"{what} has no key '{name}'; there are: {', '.join(known)}")
            elif name in found:
                self.wrong(key, f"{what} has the key '{name}' twice")
            else:
                found[name] = known[name](value)
        return found

    def sequence(self, node: yaml.Node, what: str, read: Callable[[yaml.Node], Any]) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"{what} must be a list (lines that begin with '- '), and is {_kind(node)}")
            return []
        return [read(entry) for entry in node.value]

    def text(self, node: yaml.Node, what: str) -> str:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str" and node.value.strip():
            if "\0" not in node.value:
                return str(node.value)
            self.wrong(node, f"{what} has a NUL character in it")
        else:
            self.wrong(node, f"{what} must be a text, and is {_kind(node)}")
        return ""

    def boolean(self, node: yaml.Node, what: str) -> bool:
        if node.tag == "tag:yaml.org,2002:bool":
            return str(node.value).lower() in ("true", "yes", "on")
        self.wrong(node, f"{what} must be true or false, and is {_kind(node)}")
        return False

    def count(self, node: yaml.Node, what: str, most: int) -> int:
        if node.tag == "tag:yaml.org,2002:int" and re.fullmatch(r"[0-9]{1,6}", node.value) and int(node.value) <= most:
            return int(node.value)
        self.wrong(node, f"{what} must be a whole number from 0 to {most}, and is {_kind(node)}")
        return 0

    def duration(self, node: yaml.Node, what: str) -> int:
        """Seconds, or a number with a unit: 90s, 30m, 12h, 2d."""
        found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd]?)", node.value) if isinstance(node, yaml.ScalarNode) else None
        if found:
            return int(found[1]) * UNITS[found[2] or "s"]
        self.wrong(
            node, f"{what} must be a number of seconds, or one with a unit (90s, 30m, 12h, 2d), and is {_kind(node)}"
        )
        return 1

    def glob(self, node: yaml.Node) -> str:
        text = self.text(node, "an artifact")
        if text and (text.startswith(("/", "~")) or ".." in text.split("/") or "\n" in text):
            self.wrong(node, f"the artifact '{text}' must be a path inside the repository, without '..'")
        return text

    def variables(self, node: yaml.Node) -> dict[str, str]:
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"environment must be a mapping (NAME: value), and is {_kind(node)}")
            return {}
        found: dict[str, str] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if not VARIABLE.fullmatch(name) or name.startswith(RESERVED):
                self.wrong(
                    key, f"the variable '{name}' must be capital letters, digits and _, and not begin with {RESERVED}"
                )
            elif not isinstance(value, yaml.ScalarNode) or "\0" in value.value:
                self.wrong(value, f"the variable '{name}' must have one value, and has {_kind(value)}")
            else:
                found[name] = str(value.value)
        return found

    def step(self, node: yaml.Node) -> Step:
        found = self.mapping(
            node,
            "a step",
            {
                "name": lambda value: self.name(value),
                "run": lambda value: self.text(value, "run"),
                "timeout": lambda value: self.duration(value, "timeout"),
                "promote": lambda value: self.boolean(value, "promote"),
            },
        )
        if isinstance(node, yaml.MappingNode):
            for key in ("name", "run"):
                if key not in found:
                    self.wrong(node, f"a step lacks '{key}'")
        return Step(found.get("name", ""), found.get("run", ""), found.get("timeout"), found.get("promote", False))

    def name(self, node: yaml.Node) -> str:
        text = self.text(node, "name")
        if text and not NAME.fullmatch(text):
            self.wrong(node, f"the name '{text[:60]}' must be 1 to 50 letters, digits, spaces, '.', '_' or '-'")
        return text

    def pipeline(self, node: yaml.Node) -> Pipeline:
        found = self.mapping(
            node,
            "the pipeline",
            {
                "steps": lambda value: self.sequence(value, "steps", self.step),
                "artifacts": lambda value: self.sequence(value, "artifacts", self.glob),
                "gpus": lambda value: self.count(value, "gpus", 64),
                "timeout": lambda value: self.duration(value, "timeout"),
                "promote": lambda value: self.text(value, "promote"),
                "environment": self.variables,
            },
        )
        steps = found.get("steps", [])
        if not steps and not self.problems:
            self.wrong(node, "the pipeline needs at least one step: steps, with a name and a command (run) each")
        if len(steps) > MAX_STEPS:
            self.wrong(node, f"the pipeline has {len(steps)} steps, and {MAX_STEPS} are the most")
        self._check_together(node, steps, found)
        return Pipeline(
            steps=tuple(steps),
            artifacts=tuple(found.get("artifacts", [])),
            gpus=found.get("gpus", 0),
            timeout=found.get("timeout", Pipeline.timeout),
            promote=found.get("promote"),
            environment=found.get("environment", {}),
        )

    def _check_together(self, node: yaml.Node, steps: list[Step], found: dict[str, Any]) -> None:
        names = [step.name for step in steps]
        for name in sorted({name for name in names if name and names.count(name) > 1}):
            self.wrong(node, f"two steps have the name '{name}'")
        if any(step.promote for step in steps) and "promote" not in found:
            self.wrong(node, "a step says promote: true, and the pipeline does not name the branch (promote: main)")


def _kind(node: yaml.Node) -> str:
    """What somebody wrote, for a message: short, and never more than a line."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if not node.value.strip():
        return "empty"
    text = " ".join(node.value.split())
    return f"'{text[:40]}{'...' if len(text) > 40 else ''}'"


def parse(text: str, path: str = ".mlops/pipeline.yml") -> Pipeline:
    """Read the text of a pipeline file. `path` is what messages call it.

    Raises Wrong. Nothing but plain data is read: a tag, which could make an object, is wrong, and so is an alias, since a few
    lines of those can stand for a very large file.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise Wrong([f"{path}: larger than {MAX_BYTES // 1024} KiB"])
    reader = _Reader(path)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise Wrong(
                    [
                        f"{path}, line {event.start_mark.line + 1}: anchors, aliases and tags (&, * and !) are not allowed"
                    ]
                )
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise Wrong([f"{path}{line}: not YAML: {error.problem or error.context}"]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Wrong([f"{path}: not YAML: {' '.join(str(error).split())[:200]}"]) from error
    if node is None:
        raise Wrong([f"{path}, line 1: the file is empty"])
    pipeline = reader.pipeline(node)
    if reader.problems:
        raise Wrong(reader.problems)
    return pipeline
