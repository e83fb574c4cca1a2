"""What upgrade and backup share. The database: look at it, dump it, restore it, as the service's own user, with PostgreSQL's
own programs. The service: stop it, start it, ask it.

The password goes through the environment of the child processes only.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

LOCK = Path("/run/lock/mlops-onprem-mlflow-data.lock")
# A garbage collection by timer locks its own configuration while it runs.
GARBAGE_LOCK = Path("/etc/mlflow/housekeeping.json")
VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}
# Before 3.6, the login tables cannot be beside the others: both count their migrations in a table of the same name.
OLD_AUTH_SCHEMA = "mlflow_auth"
# The tables of the login through a provider.
OIDC_SCHEMA = "mlflow_oidc"
# Everything that a version of MLflow may have made: tables, types, trigger functions. Only --clean would leave what a newer version
# added. What an extension brought is not MLflow's.
EMPTY = f"""
SET client_min_messages = warning;
DO $$
DECLARE one text;
BEGIN
    FOR one IN SELECT format('DROP TABLE IF EXISTS %I.%I CASCADE', schemaname, tablename) FROM pg_tables
               WHERE schemaname = ANY (current_schemas(false))
    LOOP EXECUTE one; END LOOP;
    FOR one IN SELECT format('DROP TYPE IF EXISTS %s CASCADE', pg_type.oid::regtype) FROM pg_type
               JOIN pg_namespace ON pg_namespace.oid = typnamespace
               WHERE typtype = 'e' AND nspname = ANY (current_schemas(false))
    LOOP EXECUTE one; END LOOP;
    FOR one IN SELECT format('DROP FUNCTION IF EXISTS %s CASCADE', pg_proc.oid::regprocedure) FROM pg_proc
               JOIN pg_namespace ON pg_namespace.oid = pronamespace
               WHERE prokind = 'f' AND nspname = ANY (current_schemas(false))
                 AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP EXECUTE one; END LOOP;
END $$;
DROP SCHEMA IF EXISTS {OLD_AUTH_SCHEMA} CASCADE;
DROP SCHEMA IF EXISTS {OIDC_SCHEMA} CASCADE;
"""


class Problem(Exception):
    """What is wrong, as a sentence for a person."""


@contextlib.contextmanager
def locked():
    """Only one upgrade, backup or restore at a time; a garbage collection that runs is waited for, and held off."""
    with LOCK.open("w") as file, contextlib.ExitStack() as held:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Problem(
                "another upgrade, backup or restore of the registry is running; wait until it has ended"
            ) from None
        if GARBAGE_LOCK.exists():
            fcntl.flock(held.enter_context(GARBAGE_LOCK.open()), fcntl.LOCK_EX)
        yield


def last_words(text):
    """The end of a program's complaint, on one line."""
    return " ".join(text.split())[-600:] or "it said nothing"


class Database:
    """A PostgreSQL database that belongs to `user`. connection: libpq's parameters (host, dbname, user, ...)."""

    def __init__(self, user, connection, password=""):
        self.user = user
        self.name = connection["dbname"]
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
        self.environment.update({VARIABLES[key]: str(value) for key, value in connection.items()})
        if password:
            self.environment["PGPASSWORD"] = password

    def start(self, *command, **options):
        return subprocess.Popen(
            command, env=self.environment, cwd="/", user=self.user, group=self.user, extra_groups=[], **options
        )

    def run(self, *command, text="", **options):
        """What the program printed. Raises Problem with its complaint."""
        options = {"stdout": subprocess.PIPE, **options}
        process = self.start(*command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        output, errors = process.communicate(text.encode())
        if process.returncode:
            raise Problem(f"{command[0]} failed: {last_words(errors.decode(errors='replace'))}")
        return (output or b"").decode()

    def query(self, text):
        """The rows, as lists of text."""
        answer = self.run(
            *("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t"),
            *("--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-"),
            text=text,
        )
        return [line.split("\t") for line in answer.splitlines() if line]

    def size(self):
        """Bytes on the server's disk: more than a compressed dump takes."""
        return int(self.query("SELECT pg_database_size(current_database())")[0][0])

    def revisions(self):
        """(tracking, login) migration that the tables are at; "" where there is none."""
        found = []
        for tables in (("alembic_version",), ("alembic_version_auth", f"{OLD_AUTH_SCHEMA}.alembic_version")):
            revision = ""
            for table in tables:
                if not revision and self.query(f"SELECT to_regclass('{table}') IS NOT NULL")[0][0] == "t":
                    revision = ",".join(row[0] for row in self.query(f"SELECT version_num FROM {table} ORDER BY 1"))
            found.append(revision)
        return found

    def refuse_other_clients(self):
        """Tables that are replaced must have no other writer: a server on another host, which the stop of this one's does not stop."""
        rows = self.query(
            "SELECT DISTINCT coalesce(host(client_addr), 'its own host') FROM pg_stat_activity WHERE datname = current_database() "
            "AND usename = current_user AND pid <> pg_backend_pid() AND client_addr IS DISTINCT FROM inet_client_addr()"
        )
        if rows:
            raise Problem(
                f"another server uses this database, from {', '.join(sorted(row[0] for row in rows))}: stop mlflow there first "
                "(systemctl stop mlflow); nothing was changed"
            )

    def check_tools(self):
        """pg_dump refuses a server that is newer than itself: say so before anything is stopped."""
        major = re.search(r"(\d+)", self.run("pg_dump", "--version"))
        server = int(self.query("SHOW server_version_num")[0][0]) // 10000
        if not major or int(major[1]) < server:
            raise Problem(
                f"pg_dump of this host is version {major[1] if major else 'unknown'} and cannot dump the server's "
                f"PostgreSQL {server}: install postgresql-client-{server} on this host"
            )

    def dump(self, path):
        """A dump in PostgreSQL's custom format, for root only, complete or not there at all."""
        part = path.with_name(path.name + ".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            try:
                self.run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", stdout=file)
            except Problem:
                part.unlink()
                raise
            file.flush()
            os.fsync(file.fileno())
        # Reads the table of contents: a dump that was cut off has none.
        with part.open("rb") as file:
            listing = subprocess.run(["pg_restore", "--list"], stdin=file, capture_output=True, text=True, check=False)
        if listing.returncode or "alembic_version" not in listing.stdout:
            raise Problem(f"the dump {part} cannot be read back: {last_words(listing.stderr)}")
        part.rename(path)

    def restore(self, path):
        """Replace all tables by those of the dump, in one transaction: completely or not at all."""
        with path.open("rb") as file:
            reader = subprocess.Popen(
                ["pg_restore", "--no-owner", "--no-privileges", "--file=-"],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        psql = ["psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--file=-"]
        writer = self.start(*psql, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):
            writer.stdin.write(EMPTY.encode())
            shutil.copyfileobj(reader.stdout, writer.stdin)
            # A reader that failed half-way must not end in a commit.
            if reader.wait():
                writer.stdin.write(b"\\set ON_ERROR_STOP 1\nSELECT 1 / 0 AS the_dump_cannot_be_read;\n")
        reader.stdout.close()
        complaint = writer.communicate()[1].decode(errors="replace")
        if reader.wait():
            complaint = reader.stderr.read().decode(errors="replace")
        if writer.returncode or reader.returncode:
            raise Problem(f"the dump {path} could not be restored: {last_words(complaint)}")


def free_bytes(path):
    """What an ordinary user may still write below the path, or below its nearest folder that exists."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def write(path, text, mode=0o600, group=None):
    """Completely or not at all, and on the disk."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.chmod(mode)
    if group:
        shutil.chown(part, group=group)
    part.rename(path)


def systemctl(*words):
    answer = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise Problem(f"systemctl {' '.join(words)} failed: {last_words(answer.stderr)}")


def wait_for(unit, port, user, password, seconds):
    """Until the registry's API answers from its database: /health would not tell."""
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
        json.dumps({"max_results": 1}).encode(),
        {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
    )
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        try:
            with urllib.request.urlopen(request, timeout=15):
                return
        except urllib.error.HTTPError as error:
            said = f"it answered {error.code}: {last_words(error.read(400).decode(errors='replace'))}"
        except OSError as error:
            said = str(error)
        state = subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True, check=False)
        if time.monotonic() > deadline or state.stdout.strip() in ("failed", "inactive"):
            journal = ["journalctl", "--no-pager", "--lines=8", "--output=cat", f"--unit={unit}"]
            log = subprocess.run(journal, capture_output=True, text=True, check=False).stdout
            raise Problem(f"{unit} does not serve: {said}; its log ends with: {last_words(log)}")
        time.sleep(1)
