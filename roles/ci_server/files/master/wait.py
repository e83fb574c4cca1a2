"""Wait until the master says that its configuration is in force.

wait.py start MARK PID      after a start of the process PID
wait.py reload MARK PID     tell the process to read its configuration again, and wait for that
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

# A start has the limit of its unit.
LIMITS = {"start": float("inf"), "reload": 60}


def main():
    what, mark, process = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if what == "reload":
        mark.unlink(missing_ok=True)
        os.kill(process, signal.SIGHUP)
    deadline = time.monotonic() + LIMITS[what]
    while not mark.exists():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            sys.exit("The server has ended: the log above says why.")
        if time.monotonic() > deadline:
            sys.exit("The new configuration is not in force: the log above says why. The old one still is.")
        time.sleep(0.1)


main()
