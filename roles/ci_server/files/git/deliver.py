"""Tell the CI server of pushes, in their order, until it has taken all of them.

    deliver.py SPOOL SOCKET

The server's socket is not open to the account that receives pushes, so that nobody who may push can announce what was not pushed.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
import urllib.parse
from pathlib import Path

SITE = Path("/etc/buildbot/site.json")


class Connection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def tell(path, note):
    """Give a change to the server; "" when it has it, else what is wrong."""
    repositories = {project["name"]: project["repository"] for project in json.loads(SITE.read_text())["projects"]}
    change = {**note, "repository": repositories.get(note["project"], note["project"])}
    connection = Connection(path)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/change_hook/base", urllib.parse.urlencode(change), headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        return (
            ""
            if answer.status in (200, 202) and "1 change found" in text
            else f"it answered {answer.status}: {text[:200]}"
        )
    finally:
        connection.close()


def main():
    spool, path = Path(sys.argv[1]), sys.argv[2]
    pause, idle = 0.2, 0
    while True:
        waiting = sorted(note for note in spool.iterdir() if not note.name.startswith("."))
        if not waiting:
            # One push seldom comes alone, and a start takes longer than this.
            idle += 1
            if idle > 20:
                return
            time.sleep(0.1)
            continue
        idle = 0
        try:
            note = json.loads(waiting[0].read_text())
        except ValueError:
            print(f"{waiting[0]} is no note of a push, and is dropped", file=sys.stderr)
            waiting[0].unlink()
            continue
        try:
            problem = tell(path, note)
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
        if not problem:
            waiting[0].unlink()
            pause = 0.2
            continue
        # Nothing else is told before this one: the order of a branch is the order of its builds.
        print(f"the CI server has not taken {note.get('revision')}: {problem}; it is asked again", file=sys.stderr)
        time.sleep(pause)
        pause = min(pause * 2, 10)


main()
