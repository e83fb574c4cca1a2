"""Say what is on the host: account, database, secret files, repositories. Reads JSON, writes JSON, changes nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

DEFAULT_SITE = Path("/etc/nginx/sites-enabled/default")


def account(name):
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


def names(folder):
    with contextlib.suppress(OSError):
        return sorted(path.name for path in Path(folder).iterdir())
    return []


def default_site_is_untouched():
    """Only the example that the package brought, byte for byte: a site that somebody wrote is none of our business."""
    try:
        digest = hashlib.md5(DEFAULT_SITE.read_bytes()).hexdigest()
        query = ["dpkg-query", "--show", "--showformat", "${Conffiles}", "nginx-common"]
        known = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    except OSError:
        return False
    return f"/etc/nginx/sites-available/default {digest}" in known


def database(user, connection, password):
    """What stands against the database. As the service's user, since a local PostgreSQL asks the kernel who is there."""
    try:
        import psycopg2
    except ImportError:
        return {"driver": False, "error": "the Python driver psycopg2 is not installed"}
    # libpq looks for certificates at home, and root's is closed to the user that this becomes.
    os.environ["HOME"] = "/nonexistent"
    with contextlib.suppress(KeyError):
        os.seteuid(pwd.getpwnam(user).pw_uid)
    try:
        if password:
            connection["password"] = password
        session = psycopg2.connect(connect_timeout=5, application_name="mlops.onprem", **connection)
    except psycopg2.Error as error:
        return {"driver": True, "error": " ".join(str(error).split())}
    finally:
        os.seteuid(0)
    with session, session.cursor() as cursor:
        cursor.execute("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)")
        may_create = cursor.fetchone()[0]
    session.close()
    return {"driver": True, "error": "" if may_create else "this user may not create tables"}


def main():
    wanted = json.load(sys.stdin)
    public_key = ""
    with contextlib.suppress(OSError):
        public_key = (Path(wanted["secrets_dir"]) / "git_key.pub").read_text().strip()
    answer = {
        "user": account(wanted["user"]),
        "git_user": account("git"),
        "secrets": names(wanted["secrets_dir"]),
        "git_key": public_key,
        "repositories": names(wanted["git_dir"]) if wanted["git_dir"] else [],
        "default_site": default_site_is_untouched(),
        "database": database(wanted["user"], wanted["connection"], wanted["password"]),
    }
    json.dump(answer, sys.stdout)


main()
