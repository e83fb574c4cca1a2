"""Look at a host of the store: account, file list, database. Reads JSON, writes JSON, changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import sys
import tempfile
from pathlib import Path


def account(name):
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


def file_list(config, folder):
    """Where this host's list of files is: `database`, `host`, or "" where there is none yet."""
    with contextlib.suppress(OSError):
        if re.search(r"(?m)^\[postgres2\]", Path(config).read_text()):
            return "database"
    return "host" if next(Path(folder).glob("*/CURRENT"), None) or (Path(folder) / "CURRENT").exists() else ""


def database(connection, password, ca):
    """What stands against the database, and how many connections it takes; None where there is no driver to ask with."""
    try:
        import psycopg2
    except ImportError:
        return None
    os.environ["HOME"] = "/nonexistent"
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        if ca:
            file.write(ca)
            file.flush()
            connection["sslrootcert"] = file.name
        try:
            session = psycopg2.connect(
                connect_timeout=5, application_name="mlops.onprem", password=password, **connection
            )
        except psycopg2.Error as error:
            return {"error": " ".join(str(error).split())}
    with session, session.cursor() as cursor:
        cursor.execute("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)")
        may_create = cursor.fetchone()[0]
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        )
        connections = cursor.fetchone()[0]
        cursor.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user")
        limit = cursor.fetchone()[0]
    session.close()
    return {
        "error": "" if may_create else "this user may not create tables",
        "connections": min(connections, limit) if limit >= 0 else connections,
    }


def main():
    wanted = json.load(sys.stdin)
    answer = {
        "account": account(wanted["user"]),
        "file_list": file_list(wanted["filer_config"], wanted["filer_folder"]),
        "database": database(wanted["connection"], wanted["password"], wanted["ca"]) if wanted["connection"] else None,
    }
    json.dump(answer, sys.stdout)


main()
