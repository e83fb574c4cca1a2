"""The machines of one test file: their folder, key, network and inventory, and playbooks against them."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disk import Disk
from machine import Image, Machine, Wire
from recap import recap

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".build/venv/test/bin"


@dataclass(frozen=True)
class Play:
    """What ansible-playbook did. recap: by host, `ok`, `changed`, `failed`, `unreachable`, `skipped`, ..."""

    returncode: int
    output: str
    recap: dict[str, dict[str, int]]

    def changed(self, host: str) -> int:
        return self.recap[host]["changed"]


class Rack:
    """folder: kept for its logs; disks in it are removed at the end."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image = image
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Another run of the same file would remove the disks of this one under it. Held until the process ends.
        self._lock = folder.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another run uses {folder}") from None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # The path of a UNIX socket has 107 characters at most.
        self.run_folder = Path(tempfile.mkdtemp(prefix="mlops-vm-", dir="/tmp"))
        self.key = self.run_folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vm", "-f", str(self.key)], check=True)
        self.machines: dict[str, Machine] = {}

    def machine(self, name: str, disks: Sequence[Disk] = (), memory_mib: int = 1024, peer: str = "") -> Machine:
        """A machine that is off. peer: the machine at the other end of its second network card; each names the other."""
        wire = None
        if peer:
            # The same for both ends, whichever is made first.
            addresses = {host: f"10.77.0.{number}" for number, host in enumerate(sorted((name, peer)), start=1)}
            wire = Wire(addresses, self.run_folder / f"{name}.net", self.run_folder / f"{peer}.net")
        machine = Machine(
            name, self.image, self.folder / name, self.run_folder, self.key, list(disks), memory_mib, wire=wire
        )
        self.machines[name] = machine
        return machine

    def play(
        self, playbook: Path | list[dict[str, Any]], *options: str, timeout: float = 900, **environment: str
    ) -> Play:
        """Run a playbook (a path, or the plays themselves) against the machines that are on.

        options: for ansible-playbook, such as `--check`. TimeoutExpired after `timeout` seconds.
        """
        with self.playing(playbook, *options, **environment) as process:
            try:
                output = process.communicate(timeout=timeout)[0]
            except BaseException:
                # Its forks too: each would go on with its task.
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return Play(process.returncode, output, recap(output))

    def playing(
        self, playbook: Path | list[dict[str, Any]], *options: str, **environment: str
    ) -> subprocess.Popen[str]:
        """The same, under way and in a process group of its own: for what happens in the middle of it."""
        if not isinstance(playbook, Path):
            file = self.folder / "playbook.json"
            file.write_text(json.dumps(playbook, indent=1))  # JSON is YAML
            playbook = file
        inventory = self.folder / "inventory.json"
        hosts = {name: machine.inventory() for name, machine in self.machines.items() if machine.running}
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}, indent=1))
        return subprocess.Popen(
            [str(BIN / "ansible-playbook"), "-i", str(inventory), *options, str(playbook)],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build/collections"),
                "ANSIBLE_HOME": str(ROOT / ".build/ansible"),
                "ANSIBLE_NOCOLOR": "1",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def close(self) -> None:
        """All machines off, all but the logs removed."""
        for machine in self.machines.values():
            machine.stop()
            for pattern in ("*.raw", "*.qcow2"):
                for file in machine.folder.glob(pattern):
                    file.unlink()
        shutil.rmtree(self.run_folder, ignore_errors=True)
        self._lock.close()

    def how_to_enter(self) -> str:
        """For a person: the commands that log in to the machines, and end them."""
        lines = []
        for machine in self.machines.values():
            if machine.running:
                ssh = f"ssh -F none -i {machine.key} -p {machine.port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
                lines.append(f"{machine.name}: {ssh} root@127.0.0.1    (end it with: kill {machine.pid})")
        return "\n".join(lines)
