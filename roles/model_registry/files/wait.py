"""Wait until a server answers at an address. Its unit calls it, so that a start is over when the server serves, and limits the time."""

from __future__ import annotations

import sys
import time
import urllib.request

while True:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=5):
            break
    except OSError:
        time.sleep(1)
