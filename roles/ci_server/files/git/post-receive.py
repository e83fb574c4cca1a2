#!/usr/bin/python3
"""After a push: notes each branch that moved, in a folder. A unit of its own tells the CI server, which may be away just now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

NOBODY = "0" * 40


def about(revision):
    """Who made the commit, and its first line."""
    command = ["git", "log", "-1", "--format=%an <%ae>%n%s", revision]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    lines = [*answer.stdout.decode(errors="replace").splitlines(), "", ""]
    return {"author": lines[0][:200], "comments": lines[1][:500]}


def main():
    repository = Path.cwd()
    spool = repository.parent / ".spool"
    for line in sys.stdin:
        _old, new, ref = line.split(maxsplit=2)
        ref = ref.rstrip("\n")
        if not ref.startswith("refs/heads/") or new == NOBODY:
            continue
        branch = ref[len("refs/heads/") :]
        note = {"project": repository.name[: -len(".git")], "branch": branch, "revision": new, **about(new)}
        name = f"{time.time_ns():020d}-{os.getpid()}"
        # A name with a dot is not looked at: a note is there as a whole, or not at all.
        hidden = spool / f".{name}"
        hidden.write_text(json.dumps(note))
        hidden.chmod(0o644)
        hidden.rename(spool / name)
        print(f"CI: {branch} at {new[:12]} is in the queue")


main()
