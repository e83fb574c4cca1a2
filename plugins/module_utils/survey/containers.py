# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container engines and schedulers that a host already serves.

An engine is not asked for anything: a connection to its socket can start it (socket activation).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey import running

UNIX_SOCKETS = "/proc/net/unix"
# unix(7) calls it "flags"; __SO_ACCEPTCON in the kernel's include/linux/net.h: the socket waits for connections.
LISTENING = 0x10000


class Engine(NamedTuple):
    """How an engine is recognised: program, name of its process, socket, packages that bring it."""

    name: str
    programs: tuple[str, ...]
    process: str
    socket: str
    packages: tuple[str, ...]


ENGINES = (
    # The client alone is no engine, and podman-docker puts a `docker` there too.
    Engine(
        "docker", ("dockerd",), "dockerd", "/run/docker.sock", ("docker-ce", "docker.io", "moby-engine", "docker-ee")
    ),
    Engine("podman", ("podman",), "podman", "/run/podman/podman.sock", ("podman",)),
    Engine(
        "containerd", ("containerd",), "containerd", "/run/containerd/containerd.sock", ("containerd.io", "containerd")
    ),
    Engine("cri-o", ("crio",), "crio", "/run/crio/crio.sock", ("cri-o", "crio")),
)
KUBERNETES = ("kubelet", "k3s", "rke2")


def parse_sockets(text: str | None) -> set[str]:
    """Paths of the listening sockets in /proc/net/unix."""
    found = set()
    for line in (text or "").splitlines():
        fields = line.split(None, 7)
        if len(fields) == 8 and re.fullmatch("[0-9A-Fa-f]{8}", fields[3]) and int(fields[3], 16) & LISTENING:
            found.add(re.sub("^/var/run/", "/run/", fields[7]))
    return found


def read(tree: Tree, processes: dict[int, str] | None, versions: dict[str, str] | None) -> dict[str, Any]:
    """The `containers` facts. `versions`: of the installed packages, by name."""
    text = tree.text(UNIX_SOCKETS, 8 * MIB)
    listening = parse_sockets(text)
    engines = []
    for engine in ENGINES:
        program = running.binary(tree, *engine.programs)
        socket = engine.socket if tree.exists(engine.socket) else ""
        runs = running.runs(processes, engine.process)
        if not (program or socket or runs):
            continue
        version = next((versions[name] for name in engine.packages if name in versions), None) if versions else None
        fact = f"containers.engines[{engine.name}]"
        if version is None:
            tree.note(f"{fact}.version", program or engine.socket, "from no package; only the program itself tells it")
        if text is None:
            tree.note(f"{fact}.listening", UNIX_SOCKETS, tree.reason(UNIX_SOCKETS))
        engines.append(
            {
                "name": engine.name,
                "binary": program,
                "version": version,
                "socket": socket,
                "listening": None if text is None else engine.socket in listening,
                "running": runs,
            }
        )
    kubernetes = bool(running.binary(tree, *KUBERNETES)) or bool(running.runs(processes, *KUBERNETES))
    slurm = bool(running.binary(tree, "slurmd")) or bool(running.runs(processes, "slurmd"))
    return {"engines": engines, "kubernetes_node": kubernetes, "slurm_node": slurm}
