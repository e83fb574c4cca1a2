"""Ask each mount of another server whether it answers, bring stale ones back, and write that for Prometheus' node exporter.

Called with the file to write and the mount points. A mount is asked in a process of its own, with a time limit: one that hangs
holds its caller for ever. What hangs is left alone, since its server may come back, and programs that wait then go on. What is
stale (ESTALE: the server does not know the files any more) never comes back by itself: it is unmounted lazily by a unit of its
own, and the automount unit mounts it anew.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 35
HEADER = """\
# HELP mlops_storage_mount_up Whether the file system of another server answers at this path.
# TYPE mlops_storage_mount_up gauge
{up}# HELP mlops_storage_mount_stale_total How often it was stale and was unmounted for that.
# TYPE mlops_storage_mount_stale_total counter
{stale}# HELP mlops_storage_mounts_checked_timestamp_seconds When this was written.
# TYPE mlops_storage_mounts_checked_timestamp_seconds gauge
mlops_storage_mounts_checked_timestamp_seconds {now}
"""


def ask(paths):
    """The error number of each path's file system; 0 for an answer, None for none in time. Mounts what is not mounted yet."""
    children = {}
    for path in paths:
        child = os.fork()
        if child == 0:
            number = 0
            try:
                os.statvfs(path + "/.")
            except OSError as error:
                number = error.errno or errno.EIO
            os._exit(min(number, 254))
        children[child] = path
    answers = dict.fromkeys(paths)
    deadline = time.monotonic() + SECONDS
    while children and time.monotonic() < deadline:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            answers[children.pop(child, "")] = os.waitstatus_to_exitcode(status)
        else:
            time.sleep(0.1)
    for child in children:
        os.kill(child, signal.SIGKILL)
    return answers


def mounted():
    """The places where something other than a waiting automount is mounted."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    return {line.split(" ")[4] for line in lines if " - autofs " not in line}


def unit(path, ending):
    """The unit's name, as systemd.unit(5) escapes paths."""
    text = re.sub(
        r"^\.|[^A-Za-z0-9:_./]",
        lambda match: "".join(f"\\x{byte:02x}" for byte in match.group(0).encode()),
        path.strip("/"),
    )
    return f"{text.replace('/', '-')}.{ending}"


def systemctl(*arguments):
    subprocess.run(["systemctl", *arguments], stdout=subprocess.DEVNULL, timeout=60, check=False)


def before(file):
    """The counters of the last run."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return {}
    return {
        path: int(number)
        for path, number in re.findall(r'^mlops_storage_mount_stale_total{path="([^"]*)"} (\d+)$', text, re.M)
    }


def main():
    file, paths = Path(sys.argv[1]), sys.argv[2:]
    stale = before(file)
    answers = ask(paths)
    again = []
    for path in paths:
        answer = answers[path]
        if answer == errno.ESTALE:
            print(f"{path} is stale: its server does not know its files any more. It is unmounted, and mounted again.")
            systemctl("start", "mlops-onprem-storage-unmount@" + unit(path, "service"))
            stale[path] = stale.get(path, 0) + 1
            again.append(path)
        elif answer is None:
            print(f"{path} does not answer within {SECONDS} s. It is left alone, since its server may come back.")
        elif answer != 0:
            print(f"{path} cannot be used: {os.strerror(answer)}.")
        if path in again or (answer is not None and path not in mounted()):
            # After five failed mounts in a row systemd gives an automount up; without this, it would stay so until a reboot.
            systemctl("reset-failed", unit(path, "mount"), unit(path, "automount"))
            systemctl("start", unit(path, "automount"))
            again.append(path)
    answers.update(ask(list(dict.fromkeys(again))))
    there = mounted()
    write(
        file,
        HEADER.format(
            up="".join(
                f'mlops_storage_mount_up{{path="{path}"}} {int(answers[path] == 0 and path in there)}\n'
                for path in paths
            ),
            stale="".join(f'mlops_storage_mount_stale_total{{path="{path}"}} {stale.get(path, 0)}\n' for path in paths),
            now=int(time.time()),
        ),
    )


def write(file, text):
    """Whole or not at all: the node exporter may read at any time."""
    new = file.with_suffix(".prom.new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)


main()
