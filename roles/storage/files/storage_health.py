"""Write the state of arrays and disks for Prometheus' node exporter. Called with the file to write.

Arrays are read from sysfs (the kernel's md.rst), disks by smartctl, which speaks to SATA, SAS and NVMe alike. Debian has collectors
of its own; in Debian 12 their package brings the node exporter, which then listens on all addresses from the next boot on, and
the two releases name the values differently. What is not told is left out, never written as 0.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

SMARTCTL = "smartctl"
# A disk that fails can take long to say so.
SECONDS = 30
MOST_DISKS = 512
# smartctl(8), EXIT STATUS: with one of these bits, the disk was not asked (wrong call, not opened or asleep).
NOT_ASKED = 0b11
# The ATA attributes that foretell a failure.
ATA = {5: "reallocated_sectors", 197: "pending_sectors", 198: "uncorrectable_sectors"}
RUNNING = {"clean", "active", "active-idle", "write-pending", "readonly", "read-auto"}
HELP = {
    "array_info": "An array of md, with its level.",
    "array_running": "Whether the array can be used.",
    "array_disks": "How many disks the array shall have.",
    "array_missing_disks": "How many of them it lacks.",
    "array_faulty_disks": "How many disks failed and are still in it.",
    "array_spare_disks": "How many disks wait for one to fail.",
    "array_sync_action": "What the array does now: idle, resync, recover, check, repair or reshape.",
    "array_sync_done_ratio": "How much of that is done, from 0 to 1.",
    "array_mismatch_sectors": "How many sectors differed between copies in the last check.",
    "disk_info": "A disk, with model and serial number.",
    "disk_asked": "Whether the disk told its state; not while it sleeps.",
    "disk_healthy": "Whether the disk calls itself healthy.",
    "disk_temperature_celsius": "Its temperature.",
    "disk_powered_on_hours": "How long it has been on.",
    "disk_used_ratio": "How much of the writes it is made for it has had, as it says; may be more than 1.",
    "disk_spare_ratio": "How many of its spare blocks are left.",
    "disk_critical_warning": "NVMe's bits of what is wrong (0 is nothing).",
    "disk_media_errors": "How often its data could not be read back right.",
    "disk_reallocated_sectors": "Sectors that were replaced.",
    "disk_pending_sectors": "Sectors that wait to be replaced.",
    "disk_uncorrectable_sectors": "Sectors that could not be read.",
}


def text(path):
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number(value):
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def names():
    """Kernel name -> name below /dev/md."""
    try:
        return {link.resolve().name: link.name for link in Path("/dev/md").iterdir() if link.is_symlink()}
    except OSError:
        return {}


def arrays():
    known = names()
    for folder in sorted(Path("/sys/block").glob("md*/md")):
        kernel = folder.parent.name
        labels = {"array": known.get(kernel, kernel), "device": kernel}
        # Without a level there is a name and no array.
        level = text(folder / "level")
        if not level:
            continue
        yield "array_info", {**labels, "level": level}, 1
        yield "array_running", labels, int(text(folder / "array_state") in RUNNING)
        yield "array_disks", labels, whole(text(folder / "raid_disks"))
        yield "array_missing_disks", labels, whole(text(folder / "degraded"))
        states = [(text(path) or "").split(",") for path in folder.glob("dev-*/state")]
        yield "array_faulty_disks", labels, sum("faulty" in state for state in states)
        yield "array_spare_disks", labels, sum("spare" in state for state in states)
        action = text(folder / "sync_action")
        if action:
            yield "array_sync_action", {**labels, "action": action}, 1
        progress = re.fullmatch(r"(\d+) / (\d+)", text(folder / "sync_completed") or "")
        if progress and int(progress.group(2)):
            yield "array_sync_done_ratio", labels, round(int(progress.group(1)) / int(progress.group(2)), 4)
        yield "array_mismatch_sectors", labels, whole(text(folder / "mismatch_cnt"))


def whole(value):
    return int(value) if value and value.isdigit() else None


def smartctl(*arguments):
    """What smartctl answers, and its exit status; nothing where it does not."""
    try:
        answer = subprocess.run([SMARTCTL, "--json", *arguments], stdout=subprocess.PIPE, timeout=SECONDS, check=False)
        return json.loads(answer.stdout), answer.returncode
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}, NOT_ASKED


def disks():
    found, _status = smartctl("--scan")
    for device in found.get("devices", [])[:MOST_DISKS]:
        # A plain type is a guess that smartctl makes better when it opens the disk; one with a number is a disk behind a controller.
        kind = ["--device", device["type"]] if "," in device.get("type", "") else []
        told, status = smartctl("--nocheck=standby", "--info", "--health", "--attributes", *kind, device["name"])
        labels = {"disk": device["name"].rsplit("/", 1)[-1] + (f":{kind[1]}" if kind else "")}
        yield "disk_asked", labels, int(not status & NOT_ASKED)
        if status & NOT_ASKED:
            continue
        model = told.get("model_name") or told.get("scsi_model_name") or ""
        yield "disk_info", {**labels, "model": model, "serial": told.get("serial_number", "")}, 1
        yield from values(labels, told)


def values(labels, told):
    passed = told.get("smart_status", {}).get("passed")
    yield "disk_healthy", labels, int(passed) if isinstance(passed, bool) else None
    yield "disk_temperature_celsius", labels, number(told.get("temperature", {}).get("current"))
    yield "disk_powered_on_hours", labels, number(told.get("power_on_time", {}).get("hours"))
    nvme = told.get("nvme_smart_health_information_log", {})
    used = number(nvme.get("percentage_used"))
    if used is None:
        used = number(told.get("scsi_percentage_used_endurance_indicator"))
    yield "disk_used_ratio", labels, None if used is None else used / 100
    spare = number(nvme.get("available_spare"))
    yield "disk_spare_ratio", labels, None if spare is None else spare / 100
    yield "disk_critical_warning", labels, number(nvme.get("critical_warning"))
    yield "disk_media_errors", labels, number(nvme.get("media_errors"))
    for row in told.get("ata_smart_attributes", {}).get("table", []):
        if row.get("id") in ATA:
            yield "disk_" + ATA[row["id"]], labels, number(row.get("raw", {}).get("value"))


def escaped(value):
    return str(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", " ")


def main():
    rows = {}
    for name, labels, value in [*arrays(), *disks()]:
        if value is not None:
            shown = ",".join(f'{key}="{escaped(label)}"' for key, label in labels.items())
            rows.setdefault(name, []).append(f"mlops_storage_{name}{{{shown}}} {value}\n")
    parts = [
        f"# HELP mlops_storage_{name} {HELP[name]}\n# TYPE mlops_storage_{name} gauge\n{''.join(rows[name])}"
        for name in HELP
        if name in rows
    ]
    stamp = "mlops_storage_health_checked_timestamp_seconds"
    parts.append(f"# HELP {stamp} When this was written.\n# TYPE {stamp} gauge\n{stamp} {int(time.time())}\n")
    file = Path(sys.argv[1])
    # Whole or not at all: the node exporter may read at any time.
    new = file.with_suffix(".prom.new")
    new.write_text("".join(parts), encoding="utf-8")
    new.replace(file)


main()
