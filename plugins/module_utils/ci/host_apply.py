# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a host to what is wanted: one execution, whatever the number of slots. Files are replaced whole, and the runner's own stay.

Running jobs end before their runner does: a restart is asked for and not waited for. systemd reads its units again only while no job has
a GPU open: containers would lose it (nvidia-container-toolkit, "Failed to initialize NVML").
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from ansible_collections.mlops.onprem.plugins.module_utils.ci import gitlab_config, toml, units

Run = Callable[[list[str]], "tuple[int, str]"]


class Failed(Exception):
    """Something on the host did not go as it should."""


@dataclass
class Outcome:
    """done: phrases. deferred: what waits for jobs. diffs: texts before and after, of files without secrets."""

    done: list[str] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)
    diffs: list[dict[str, str]] = field(default_factory=list)


class Host:
    """check: nothing is changed. gpu_jobs: whether a job has a GPU open."""

    def __init__(self, run: Run, check: bool, gpu_jobs: Callable[[], bool]) -> None:
        self.run, self.check, self.gpu_jobs = run, check, gpu_jobs
        self.outcome = Outcome()
        self._new_users: set[str] = set()

    def apply(self, wanted: dict[str, Any], leftover: list[str], work_dir: str) -> Outcome:
        """Do all of it, in the order in which each thing needs the one before."""
        for slot in leftover:
            self.remove(slot, work_dir)
        self.purge(wanted.get("stopped", []), wanted.get("removed", []))
        for path in map(Path, wanted.get("emptied", [])):
            # It may be a disk that others use, too.
            if path.is_dir() and not any(path.iterdir()) and not path.is_mount() and self.do(f"remove {path}"):
                path.rmdir()
        for user in wanted["users"]:
            self.user(user)
        for one in wanted["directories"]:
            self.directory(one)
        for one in wanted["trees"]:
            self.tree(one)
        for one in wanted["files"]:
            self.file(one)
        for one in wanted["registrations"]:
            self.register(one)
        self.systemd(wanted["units"])
        return self.outcome

    def do(self, text: str) -> bool:
        """Note what is done, and say whether to do it."""
        self.outcome.done.append(text)
        return not self.check

    def command(self, argv: list[str]) -> None:
        code, said = self.run(argv)
        if code != 0:
            raise Failed(f"{' '.join(argv[:3])} failed with {code}: {' '.join(said.split())[-400:]}")

    def user(self, user: dict[str, Any]) -> None:
        name = user["name"]
        missing = [group for group in user["groups"] if not _is_member(name, group)]
        try:
            pwd.getpwnam(name)
        except KeyError:
            self._new_users.add(name)
            if self.do(f"make the user {name}"):
                groups = ["--groups", ",".join(user["groups"])] if user["groups"] else []
                nologin = "/usr/sbin/nologin"
                self.command(
                    [
                        "useradd",
                        "--system",
                        "--user-group",
                        "--no-create-home",
                        "--home-dir",
                        user["home"],
                        "--shell",
                        nologin,
                        *groups,
                        name,
                    ]
                )
            return
        if missing and self.do(f"let {name} into {', '.join(missing)}"):
            self.command(["usermod", "--append", "--groups", ",".join(missing), name])

    def directory(self, one: dict[str, Any]) -> None:
        path = Path(one["path"])
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise Failed(f"{path} is no folder; move it away")
        if path.is_dir() and self.owned(path, one):
            return
        if self.do(f"make the folder {path}"):
            path.mkdir(parents=True, exist_ok=True)
            self.own(path, one)

    def file(self, one: dict[str, Any]) -> None:
        path = Path(one["path"])
        before = path.read_text() if path.is_file() and not path.is_symlink() else ""
        text = self.merged(one, before)
        if path.is_file() and not path.is_symlink() and before == text:
            if not self.owned(path, one) and self.do(f"set the rights of {path}"):
                self.own(path, one)
            return
        if not one.get("secret"):
            self.outcome.diffs.append(
                {"before_header": str(path), "after_header": str(path), "before": before, "after": text}
            )
        if self.do(f"write {path}"):
            self.write(path, text, one)

    def merged(self, one: dict[str, Any], before: str) -> str:
        if one.get("merge") != "gitlab":
            return str(one["content"])
        try:
            return gitlab_config.merge(before, json.loads(one["content"]))
        except toml.Unreadable as error:
            raise Failed(
                f"{one['path']} cannot be read ({error}), so that nothing was written to it. Mend it, or move it away"
            ) from error

    def write(self, path: Path, text: str, one: dict[str, Any]) -> None:
        # In a folder that belongs to jobs, a name that can be known beforehand could be a link to elsewhere.
        handle, name = tempfile.mkstemp(prefix=".mlops.", dir=path.parent)
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
            stream.flush()
            if os.geteuid() == 0:
                os.fchown(stream.fileno(), *_numbers(one))
            os.fchmod(stream.fileno(), int(one["mode"], 8))
            os.fsync(stream.fileno())
        Path(name).replace(path)

    def tree(self, one: dict[str, Any]) -> None:
        """Have a copy of a program's folder: GitHub's runner wants one for each runner."""
        stamp = Path(one["path"]) / ".mlops-version"
        if stamp.is_file() and stamp.read_text().strip() == one["version"]:
            return
        if self.do(f"copy the program {one['version']} to {one['path']}"):
            # As the slot's user: the folder is its own, and a job may have put links to elsewhere in it.
            # The folder's own rights stay: it has a token in it.
            script = (
                'tar --create --directory="$1" --exclude=./archive . | tar --extract --directory="$2" --no-overwrite-dir '
                '&& cp -f "$2/bin/runsvc.sh" "$2/runsvc.sh"'
            )
            argv = ["/bin/sh", "-c", script, "sh", one["source"], one["path"]]
            code, said = _as_user(one["owner"], argv, one["path"], {})
            if code != 0:
                raise Failed(f"the program could not be copied to {one['path']} ({code}): {said}")
            self.write(stamp, one["version"] + "\n", {"mode": "0644", "owner": one["owner"], "group": one["group"]})

    def register(self, one: dict[str, Any]) -> None:
        if not self.do(f"register the slot {one['slot']}"):
            return
        for name in one["left"]:
            (Path(one["home"]) / name).unlink(missing_ok=True)
        code, said = _as_user(one["user"], one["argv"], one["home"], one["environment"])
        if code != 0:
            raise Failed(f"the slot {one['slot']} could not be registered ({code}): {said or 'it said nothing'}")

    def remove(self, slot: str, work_dir: str) -> None:
        """Take a slot off the host: its service after its job, then all that it had."""
        name = units.unit(slot)
        if not self.do(f"remove the slot {slot}"):
            return
        # By itself, systemctl would have systemd read its units again.
        self.command(["systemctl", "disable", "--now", "--no-reload", name])
        (Path(units.UNITS) / name).unlink(missing_ok=True)
        (Path(units.RECORDS) / f"{name}.sha256").unlink(missing_ok=True)
        shutil.rmtree(Path(work_dir) / slot, ignore_errors=True)
        self.run(["userdel", units.user(slot)])

    def purge(self, stopped: list[str], removed: list[str]) -> None:
        """Take what all slots shared off the host, after the last one."""
        there = [path for path in map(Path, removed) if path.exists() or path.is_symlink()]
        if not there or not self.do(f"remove {', '.join(map(str, there))}"):
            return
        self.run(["systemctl", "disable", "--now", "--no-reload", *stopped])
        for path in there:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def systemd(self, wanted: list[dict[str, Any]]) -> None:
        states = self.states([one["name"] for one in wanted])
        changed = any(state.get("NeedDaemonReload") == "yes" for state in states.values())
        wrote = any(
            text.startswith(f"write {units.UNITS}/") or text.startswith("remove ") for text in self.outcome.done
        )
        if self.check:
            self.outcome.done += [
                f"start {one['name']}" for one in wanted if states.get(one["name"], {}).get("ActiveState") != "active"
            ]
            return
        if changed or wrote:
            if self.gpu_jobs():
                self.outcome.deferred.append(
                    "systemd does not read changed units now: jobs have GPUs open, and their containers would lose them. Run this again when "
                    "they have ended"
                )
            else:
                self.do("let systemd read its units")
                self.command(["systemctl", "daemon-reload"])
                states = self.states([one["name"] for one in wanted])
        start = [
            one["name"]
            for one in wanted
            if states.get(one["name"], {}).get("ActiveState")
            not in ("active", "activating", "reloading", "deactivating")
        ]
        off = [one["name"] for one in wanted if states.get(one["name"], {}).get("UnitFileState") != "enabled"]
        if off:
            self.do(f"have {', '.join(off)} start at boot")
            self.command(["systemctl", "enable", "--no-reload", *off])
        if start:
            self.do(f"start {', '.join(start)}")
            self.command(["systemctl", "start", "--no-block", *start])
        for one in wanted:
            if one["name"] in start or not one["record"] or not _is_other(one):
                continue
            state = states.get(one["name"], {})
            if state.get("ActiveState") == "deactivating":
                self.outcome.deferred.append(f"{one['name']} ends after its job")
                continue
            if state.get("NeedDaemonReload") == "yes":
                # What systemd has not read would be noted as read.
                self.outcome.deferred.append(f"{one['name']} waits for that, too")
                continue
            if self.busy(state.get("ControlGroup", "")):
                self.outcome.deferred.append(
                    f"{one['name']} has a job, which a restart would end: it reads its files in a later run"
                )
                continue
            self.do(f"restart {one['name']} after its job")
            self.command(["systemctl", "restart", "--no-block", one["name"]])

    def states(self, names: list[str]) -> dict[str, dict[str, str]]:
        keys = "Id,ActiveState,UnitFileState,NeedDaemonReload,ControlGroup"
        said = self.run(["systemctl", "show", f"--property={keys}", "--", *names])[1] if names else ""
        blocks = [
            dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            for block in said.strip().split("\n\n")
        ]
        return dict(zip(names, blocks)) if len(blocks) == len(names) else {}

    def busy(self, group: str) -> bool:
        """Whether GitHub's runner has a job: it ends it when it is stopped, where the others wait for theirs."""
        try:
            numbers = Path(f"/sys/fs/cgroup{group}/cgroup.procs").read_text().split()
        except OSError:
            return False
        return any(_command(number) == "Runner.Worker" for number in numbers)

    def owned(self, path: Path, one: dict[str, Any]) -> bool:
        found = path.stat()
        if {one.get("owner"), one.get("group")} & self._new_users:
            return False
        uid, gid = _numbers(one)
        return (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (int(one["mode"], 8), uid, gid)

    def own(self, path: Path, one: dict[str, Any]) -> None:
        uid, gid = _numbers(one)
        if os.geteuid() == 0:
            os.chown(path, uid, gid)
        path.chmod(int(one["mode"], 8))


def _as_user(user: str, argv: list[str], folder: str, environment: dict[str, str]) -> tuple[int, str]:
    """Run a program as a slot's user; what is secret is in its environment, and on no command line."""
    root = os.geteuid() == 0
    account = pwd.getpwnam(user) if root else None
    done = subprocess.run(
        argv,
        cwd=folder,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **environment},
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
        text=True,
    )
    return done.returncode, " ".join(done.stdout.split())[-400:]


def _numbers(one: dict[str, Any]) -> tuple[int, int]:
    owner, group = one.get("owner"), one.get("group")
    try:
        uid = pwd.getpwnam(owner).pw_uid if owner else os.geteuid()
        gid = grp.getgrnam(group).gr_gid if group else os.getegid()
    except KeyError as error:
        raise Failed(f"{one.get('path', '')}: {error.args[0]}") from error
    return uid, gid


def _is_member(user: str, group: str) -> bool:
    try:
        return user in grp.getgrnam(group).gr_mem
    except KeyError as error:
        raise Failed(
            f"there is no group {group}: is the container engine installed? ci_runner_groups names what its socket belongs to"
        ) from error


def _is_other(one: dict[str, Any]) -> bool:
    """Whether a service has read something else than what is on the disk."""
    try:
        record = Path(one["record"]).read_text()
    except OSError:
        return True
    found = {line[66:]: line[:64] for line in record.splitlines()}
    return {path: _sum(path) for path in one["reads"]} != found


def _sum(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def _command(number: str) -> str:
    try:
        return Path(f"/proc/{number}/comm").read_text().strip()
    except OSError:
        return ""
