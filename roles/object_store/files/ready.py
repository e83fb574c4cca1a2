"""Wait until a service of the store answers: seaweedfs-ready.py URL SECONDS.

Ends with 0 in any case, since a unit calls it after its start: a store whose other hosts are still to come is no reason to stop
this one. The role's own check at the end is the judge.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path

TLS = "/etc/mlops-onprem/tls/object_store_cluster"


def alive():
    """Whether the service that was started still runs: nobody need wait for one that refuses its configuration."""
    return Path(f"/proc/{os.environ.get('MAINPID', 'self')}").exists()


def main():
    url, seconds = sys.argv[1], float(sys.argv[2])
    # Only whether it answers is asked; nothing is sent. A given certificate need not be for this address.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(f"{TLS}/cert.pem", f"{TLS}/key.pem")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), opener.open(url, timeout=3):
            return
        if not alive():
            sys.stderr.write(f"the service has ended before {url} answered\n")
            return
        time.sleep(0.3)
    sys.stderr.write(f"{url} does not answer within {seconds:.0f} s; going on\n")


main()
