# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file buildbot.tac of a Buildbot worker.

Source: `buildbot-worker create-worker` of 4.3.0 and Twisted's endpoint `tls:`, whose certificate is checked against the files *.pem of a
folder (`trustRoots`), or what the system trusts.
"""

from __future__ import annotations

from typing import Any

_TEXT = """# Managed by mlops.onprem (role ci_runner): changes are overwritten.
import os

from buildbot_worker.bot import Worker
from twisted.application import service
from twisted.python.log import FileLogObserver, ILogObserver
from twisted.python.logfile import LogFile

basedir = {basedir!r}
umask = 0o077

# note: this line is matched against to check that this is a worker directory; do not edit it.
application = service.Application('buildbot-worker')
logfile = LogFile.fromFullPath(os.path.join(basedir, 'twistd.log'), rotateLength=10000000, maxRotatedFiles=10)
application.setComponent(ILogObserver, FileLogObserver(logfile).emit)

# With SIGHUP, the worker takes no more builds and ends after the running one.
s = Worker(None, None, {name!r}, {password!r}, basedir, 600, umask=umask, maxdelay=60, numcpus=None,
           allow_shutdown='signal', protocol='pb', delete_leftover_dirs=True, connection_string={connection!r})
s.setServiceParent(application)
"""


def connection(master: str, tls: bool, ca_dir: str) -> str:
    """Return the connection string. master: HOST:PORT, an IPv6 address in brackets."""
    host, _colon, port = master.rpartition(":")
    host = host.strip("[]").replace(":", "\\:")
    text = f"{'tls' if tls else 'tcp'}:host={host}:port={port}"
    return f"{text}:trustRoots={ca_dir}" if tls and ca_dir else text


def tac(slot: dict[str, Any], options: dict[str, Any], secret: dict[str, str]) -> str:
    """Return the text of buildbot.tac."""
    return _TEXT.format(
        basedir=f"{options['work_dir']}/{slot['name']}",
        name=slot["runner"],
        password=secret["token"],
        connection=connection(options["master"], options["master_tls"], options.get("ca_dir", "")),
    )
