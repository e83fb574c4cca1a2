# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of systemd: one service for each slot, a slice that bounds them all, and two timers.

Sources: GitLab's documentation (SIGQUIT lets jobs end), the service template of GitHub's runner (KillMode=process), gitea-runner's and
forgejo-runner's `shutdown_timeout`, buildbot-worker's `allow_shutdown='signal'` (SIGHUP), systemd.exec(5), systemd.resource-control(5).
"""

from __future__ import annotations

from typing import Any

PREFIX = "mlops-ci-runner-"
SLICE = "mlops-ci.slice"
RECORDS = "/run/mlops-onprem/ci"
UNITS = "/etc/systemd/system"
_MADE = "# Managed by mlops.onprem (role ci_runner): changes are overwritten.\n"
# How a runner is told to end after its job, and the exit codes that are no failure.
_STOP = {
    "gitlab": ("SIGQUIT", "control-group", ""),
    "github": ("SIGTERM", "process", ""),
    "forgejo": ("SIGTERM", "mixed", ""),
    "gitea": ("SIGTERM", "mixed", ""),
    "buildbot": ("SIGHUP", "mixed", "143"),
}
# Jobs are other people's programs, which start debuggers and use namespaces: what is closed here does not break them.
_HARDENING = {
    "NoNewPrivileges": "yes",
    "PrivateTmp": "yes",
    "ProtectSystem": "full",
    "ProtectHome": "yes",
    "ProtectControlGroups": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "ProtectProc": "invisible",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
    "CapabilityBoundingSet": "",
    "UMask": "0077",
}


def unit(slot: str) -> str:
    """Return the name of a slot's service."""
    return f"{PREFIX}{slot}.service"


def service(slot: dict[str, Any], options: dict[str, Any], command: str, reads: list[str]) -> str:
    """Return the text of a slot's service. reads: the files that make a restart necessary when they change."""
    name, home = slot["name"], f"{options['work_dir']}/{slot['name']}"
    signal, kill, codes = _STOP[options["provider"]]
    record = f"{RECORDS}/{unit(name)}.sha256"
    files = " ".join([f"{UNITS}/{unit(name)}", *reads])
    lines = [
        "[Unit]",
        # Another version of the program is another unit: it is restarted for that as for any change.
        f"Description=CI runner of the slot {name} ({options['provider']} {options['version']})",
        "After=network-online.target",
        "Wants=network-online.target",
        # An unhealthy host is asked again and again, for as long as it takes.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=exec",
        f"User={user(name)}",
        f"Group={user(name)}",
        f"WorkingDirectory={home}",
        f"Slice={SLICE}",
    ]
    environment = dict(options.get("environment", {}))
    if options["executor"] == "shell":
        environment.update(slot["environment"])
    lines += [f'Environment="{key}={_escaped(value)}"' for key, value in sorted(environment.items())]
    lines += [
        f"ExecStartPre=+/bin/sh -c 'umask 077; mkdir -p {RECORDS} && sha256sum {files} > {record}'",
        f"ExecStartPre=+{options['health_script']} {name}",
        f"ExecStart={command}",
        f"KillSignal={signal}",
        f"KillMode={kill}",
        f"TimeoutStopSec={options['stop_timeout'] + 60}",
        "Restart=always",
        "RestartSec=30",
    ]
    lines += [f"SuccessExitStatus={codes}"] if codes else []
    lines += [f"MemoryMax={options['slot_memory_max']}"] if options.get("slot_memory_max") else []
    # Also for runners that only talk to a container engine: they open no device at all.
    lines += ["DevicePolicy=closed"]
    if options["executor"] == "shell":
        lines += [f"DeviceAllow={one}" for one in slot["device_allow"]]
    lines += [f"ReadWritePaths={home}"]
    lines += [f"{key}={value}" for key, value in _HARDENING.items()]
    return _MADE + "\n".join([*lines, "", "[Install]", "WantedBy=multi-user.target", ""])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def user(slot: str) -> str:
    """Return the user of a slot: jobs of one slot read nothing of another's."""
    return f"ci-{slot}"


def bounds(options: dict[str, Any]) -> str:
    """Return the text of the slice, which bounds all slots together; what is empty is not bounded."""
    limits = [
        ("CPUQuota", options.get("cpu_quota")),
        ("MemoryHigh", options.get("memory_high")),
        ("MemoryMax", options.get("memory_max")),
    ]
    lines = ["[Unit]", "Description=All jobs of CI", "", "[Slice]", "CPUAccounting=yes", "MemoryAccounting=yes"]
    return _MADE + "\n".join([*lines, *(f"{key}={value}" for key, value in limits if value), ""])


def timer(name: str, what: str, when: str, command: str) -> dict[str, str]:
    """Return a timer and its service, by name of the unit."""
    return {
        f"{name}.service": _MADE + f"[Unit]\nDescription={what}\n\n[Service]\nType=oneshot\nExecStart={command}\n",
        f"{name}.timer": _MADE
        + f"[Unit]\nDescription={what}\n\n[Timer]\n{when}\n\n[Install]\nWantedBy=timers.target\n",
    }
