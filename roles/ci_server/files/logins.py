"""Write the files of logins that nginx reads. Passwords come on the standard input and are kept as salted hashes.

A hash that fits its password stays, so that nothing changes when nothing is to change. With `--check`, nothing is written. Prints what
differed.
"""

from __future__ import annotations

import grp
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path


def hashed(password, salt):
    """SHA-512 crypt, which nginx understands by the C library."""
    command = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    answer = subprocess.run(command, input=f"{password}\n", stdout=subprocess.PIPE, text=True, check=True)
    return answer.stdout.strip()


def known(path):
    try:
        return dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    except OSError:
        return {}


def line(name, password, old):
    if old.startswith("$6$") and hashed(password, old.split("$")[2]) == old:
        return f"{name}:{old}"
    return f"{name}:{hashed(password, secrets.token_hex(8))}"


def is_as_wanted(path, text, group):
    try:
        found = path.stat()
        return (found.st_mode & 0o777, found.st_uid, found.st_gid, path.read_text()) == (0o640, 0, group, text)
    except OSError:
        return False


def write(path, text, group):
    """In one step: nginx reads the file at each request."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.chown(new, 0, group)
    new.chmod(0o640)
    new.rename(path)


def main():
    wanted = json.load(sys.stdin)
    checking = "--check" in sys.argv
    try:
        group = grp.getgrnam(wanted["group"]).gr_gid
    except KeyError:
        group = -1
    for name, logins in wanted["files"].items():
        path = Path(wanted["dir"]) / name
        old = known(path)
        text = "".join(line(user, password, old.get(user, "")) + "\n" for user, password in sorted(logins.items()))
        if not is_as_wanted(path, text, group):
            print(f"changed {path}")
            if not checking:
                write(path, text, group)


main()
