"""Unpacks a ttar archive: a text file of paths with lines, directories and links."""

from __future__ import annotations

from pathlib import Path

END = "# ttar - - -"


def unpack(text: str, root: Path) -> int:
    """Write everything below `root`; the number of files."""
    lines = iter(text.splitlines())
    path, files = "", 0
    for line in lines:
        word, _colon, value = line.partition(": ")
        if line.startswith("#"):
            continue
        if word == "Directory":
            (root / value).mkdir(parents=True, exist_ok=True)
        elif word == "Path":
            path = value
            (root / path).parent.mkdir(parents=True, exist_ok=True)
        elif word == "SymlinkTo":
            (root / path).symlink_to(value)
        elif word == "Lines":
            content = "\n".join(next(lines) for _number in range(int(value)))
            end = "" if content.endswith("EOF") else "\n" if content else ""
            content = content.removesuffix("EOF").replace("NULLBYTE", "\0") + end
            (root / path).write_text(content)
            files += 1
    return files
