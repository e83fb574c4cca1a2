# Managed by mlops.onprem (role ci_runner): changes are overwritten.
"""Remove old work of the slots, by age, and containers, volumes and images by their label. Never what others made.

What a process has open as its working folder stays, whatever its age.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

FACTS = Path(os.environ.get("MLOPS_CI_FACTS", "/etc/mlops-onprem/ci_runner/slots.json"))
LABEL = "mlops.onprem.slot"


def in_use():
    """Working folders of all processes."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue
    return found


def age_seconds(path, now):
    """The youngest of a folder and what is right below it."""
    times = [path.lstat().st_mtime]
    if path.is_dir() and not path.is_symlink():
        times += [entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(path)]
    return now - max(times)


def old_work(facts, now, used):
    """What goes, of all slots."""
    for name in facts["slots"]:
        for kind in ("builds", "cache"):
            folder = Path(facts["work_dir"]) / name / kind
            if not folder.is_dir() or folder.is_symlink():
                continue
            for path in folder.iterdir():
                busy = any(one == str(path) or one.startswith(f"{path}/") for one in used)
                if not busy and age_seconds(path, now) > facts["clean_days"] * 86400:
                    yield path


def prunes(facts):
    """The calls of the container engine: each names the label."""
    command = facts.get("container_command")
    if not command:
        return []
    hours = f"until={facts['clean_days'] * 24}h"
    return [
        [command, "container", "prune", "--force", "--filter", f"label={LABEL}", "--filter", hours],
        [command, "volume", "prune", "--force", "--filter", f"label={LABEL}"],
        [command, "image", "prune", "--force", "--filter", f"label={LABEL}", "--filter", hours],
    ]


def main():
    facts = json.loads(FACTS.read_text())
    for path in list(old_work(facts, time.time(), in_use())):
        print(f"remove {path}")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    failed = 0
    for argv in prunes(facts):
        failed |= subprocess.run(argv, check=False).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
