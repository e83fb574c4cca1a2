"""Say what differs from what is wanted: packages, folders, files, units. Reads JSON, writes JSON, changes nothing."""

from __future__ import annotations

import grp
import hashlib
import json
import pwd
import re
import stat
import subprocess
import sys
from pathlib import Path

UNITS = "/etc/systemd/system/"
# systemctl(1), is-enabled: what starts at boot, or is started by something else.
STARTED_AT_BOOT = {"enabled", "enabled-runtime", "static", "generated", "alias", "indirect", "linked", "transient"}


def missing_packages(names):
    if not names:
        return []
    if Path("/usr/bin/dpkg-query").exists():
        query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Abbrev}\n"]
        ready = r"^%s ii ?$"
    else:
        query = ["rpm", "--query", "--queryformat", "%{NAME}\n"]
        ready = r"^%s$"
    answer = subprocess.run(query + names, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return [name for name in names if not re.search(ready % re.escape(name), answer.stdout, re.MULTILINE)]


def number(name, lookup):
    return int(name) if name.isdigit() else lookup(name)


def differs(wanted):
    try:
        found = Path(wanted["path"]).stat()
    except OSError:
        return not wanted.get("absent")
    if wanted.get("absent"):
        return True
    try:
        owner = number(wanted["owner"], lambda name: pwd.getpwnam(name).pw_uid)
        group = number(wanted["group"], lambda name: grp.getgrnam(name).gr_gid)
        if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != (int(wanted["mode"], 8), owner, group):
            return True
        if "sha256" in wanted:
            return hashlib.sha256(Path(wanted["path"]).read_bytes()).hexdigest() != wanted["sha256"]
    except (OSError, KeyError):
        return True
    return not stat.S_ISDIR(found.st_mode)


def states(names):
    """What systemd knows of each unit; nothing where there is no systemd."""
    if not names:
        return {}
    keys = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload"
    try:
        answer = subprocess.run(
            ["systemctl", "show", f"--property={keys}", "--", *names],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    except OSError:
        return {}
    # In the order of the question: a unit may answer with another of its names.
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in answer.stdout.strip().split("\n\n")]
    return dict(zip(names, blocks)) if len(blocks) == len(names) else {}


def boots(name, units):
    """Whether a unit starts at boot; without systemd, as in an image that is being made, systemctl reads its links."""
    if name in units:
        return units[name].get("UnitFileState") in STARTED_AT_BOOT
    try:
        answer = subprocess.run(
            ["systemctl", "is-enabled", "--", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return answer.stdout.strip() in STARTED_AT_BOOT


def main():
    wanted = json.load(sys.stdin)
    own = [file["path"][len(UNITS) :] for file in wanted["files"] if file["path"].startswith(UNITS)]
    own = [name for name in own if "/" not in name and "@." not in name]
    named = [name for key in ("units", "enabled", "masked", "stopped") for name in wanted[key]]
    units = states(list(dict.fromkeys(named + own)))
    files = [file["path"] for file in wanted["files"] if differs(file)]

    def has(name, key, values):
        return units.get(name, {}).get(key) in values

    answer = {
        "packages": missing_packages(wanted["packages"]),
        "directories": [entry["path"] for entry in wanted["directories"] if differs(entry)],
        "files": files,
        "homeless": [path for path in files if not Path(path).parent.is_dir()],
        "masked": [
            name
            for name in wanted["masked"]
            if not has(name, "LoadState", {"masked"}) or has(name, "ActiveState", {"active"})
        ],
        # A unit that is not there needs nothing.
        "stopped": [
            name
            for name in wanted["stopped"]
            if has(name, "LoadState", {"loaded"})
            and (has(name, "ActiveState", {"active", "activating"}) or has(name, "UnitFileState", {"enabled"}))
        ],
        "units": [
            name
            for name in wanted["units"]
            if not (has(name, "ActiveState", {"active", "activating"}) and has(name, "UnitFileState", STARTED_AT_BOOT))
        ],
        "enabled": [name for name in wanted["enabled"] if not boots(name, units)],
        "loaded": [name for name in units if has(name, "LoadState", {"loaded"})],
        # Also what a run wrote that was killed before it told systemd.
        "reload": not wanted["no_reload"]
        and (
            any(path.startswith(UNITS) for path in files)
            or any(has(name, "NeedDaemonReload", {"yes"}) for name in units)
            or any(not has(name, "LoadState", {"loaded"}) for name in wanted["units"])
        ),
    }
    answer["differs"] = any(
        answer[key] for key in ("packages", "directories", "files", "masked", "stopped", "units", "enabled", "reload")
    )
    json.dump(answer, sys.stdout)


main()
