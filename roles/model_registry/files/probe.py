"""Say what differs from what is wanted: packages, folders, files, database. Reads JSON, writes JSON, changes nothing."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess
import sys
from pathlib import Path

EMPTY = {
    **{"error": "", "driver": False, "may_create": False, "begun": False, "tracking": "", "auth": ""},
    **{"connections": 0, "limit": "", "oidc": "", "may_add_schema": False},
}
DEFAULT_SITE = Path("/etc/nginx/sites-enabled/default")


def missing_packages(names):
    if Path("/usr/bin/dpkg-query").exists():
        query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Abbrev}\n"]
        ready = r"^%s ii ?$"
    else:
        query = ["rpm", "--query", "--queryformat", "%{NAME}\n"]
        ready = r"^%s$"
    answer = subprocess.run(query + names, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return [name for name in names if not re.search(ready % re.escape(name), answer.stdout, re.MULTILINE)]


def differs(wanted):
    try:
        found = Path(wanted["path"]).stat()
        if stat.S_IMODE(found.st_mode) != int(wanted["mode"], 8):
            return True
        if (found.st_uid, found.st_gid) != (pwd.getpwnam(wanted["owner"]).pw_uid, grp.getgrnam(wanted["group"]).gr_gid):
            return True
        if "sha256" in wanted:
            return hashlib.sha256(Path(wanted["path"]).read_bytes()).hexdigest() != wanted["sha256"]
    except (OSError, KeyError):
        return True
    return not stat.S_ISDIR(found.st_mode)


def default_site_is_untouched():
    """Only the example that the package brought, byte for byte: a site that somebody wrote is none of our business."""
    try:
        digest = hashlib.md5(DEFAULT_SITE.read_bytes()).hexdigest()
        query = ["dpkg-query", "--show", "--showformat", "${Conffiles}", "nginx-common"]
        known = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    except OSError:
        return False
    return f"/etc/nginx/sites-available/default {digest}" in known


def installed_version(link):
    """The version that the link points to, without the hash of its lock; "" where nothing is installed."""
    try:
        return Path(link).readlink().name.rpartition("-")[0]
    except OSError:
        return ""


def last_upgrade(path):
    """What the journal of upgrades tells."""
    try:
        return {key: str(value) for key, value in json.loads(Path(path).read_text()).items()}
    except (OSError, ValueError):
        return {}


def idle(units):
    """Those that do not run, or would not after a restart of the host."""
    if not units:
        return []
    query = ["systemctl", "show", "--property=Id,ActiveState,UnitFileState", "--", *units]
    answer = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in answer.strip().split("\n\n")]
    good = [one["Id"] for one in blocks if (one["ActiveState"], one["UnitFileState"]) == ("active", "enabled")]
    return [unit for unit in units if unit not in good]


def environment(path):
    """What a file for systemd's EnvironmentFile= sets; {} where there is none."""
    try:
        words = [line.partition("=") for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    except OSError:
        return {}
    return {name: re.sub(r"\\(.)", r"\1", value.strip('"')) for name, _sign, value in words}


def destination(env_file):
    """Where the server's artifacts are so far; "" where that is nowhere, or an empty folder."""
    found = environment(env_file).get("MLFLOW_ARTIFACTS_DESTINATION", "")
    with contextlib.suppress(OSError):
        if found.startswith("/") and not next(Path(found).iterdir(), None):
            return ""
    return found


def filesystem(path):
    """The kind of file system that a folder is on, or will be made on."""
    if not path:
        return ""
    path = Path(path)
    while not path.exists():
        path = path.parent
    path = f"{path.resolve()}/"
    best = ("", "")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _dash, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ").rstrip("/") + "/"
        # Of two mounts in one place, the later one is seen.
        if path.startswith(point) and len(point) >= len(best[0]):
            best = (point, right.split()[0])
    return best[1]


def connections(cursor):
    """How many sessions this user may have in this database, and what limits them."""
    cursor.execute("SELECT current_setting('max_connections')::int")
    maximum = cursor.fetchone()[0]
    cursor.execute(
        "SELECT coalesce(sum(setting::int), 0)::int FROM pg_settings WHERE name IN ('superuser_reserved_connections', 'reserved_connections')"
    )
    reserved = cursor.fetchone()[0]
    found = [(maximum - reserved, f"max_connections {maximum}, {reserved} of them reserved")]
    cursor.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user")
    found.append((cursor.fetchone()[0], "the role's own limit"))
    cursor.execute("SELECT datconnlimit FROM pg_database WHERE datname = current_database()")
    found.append((cursor.fetchone()[0], "the database's own limit"))
    return min(entry for entry in found if entry[0] >= 0)


def database(user, connection, password):
    """The state of the schema. As the service's user, since a local PostgreSQL asks the kernel who is there."""
    try:
        import psycopg2
    except ImportError:
        return {**EMPTY, "error": "the Python driver psycopg2 is not installed"}
    # libpq looks for certificates at home, and root's is closed to the user that this becomes.
    os.environ["HOME"] = "/nonexistent"
    with contextlib.suppress(KeyError):
        os.seteuid(pwd.getpwnam(user).pw_uid)
    try:
        if password:
            connection["password"] = password
        session = psycopg2.connect(connect_timeout=5, application_name="mlops.onprem", **connection)
    except psycopg2.Error as error:
        return {**EMPTY, "error": " ".join(str(error).split()), "driver": True}
    finally:
        os.seteuid(0)
    with session, session.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = ANY (current_schemas(false))")
        tables = {row[0] for row in cursor.fetchall()}
        cursor.execute("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)")
        state = {**EMPTY, "driver": True, "may_create": cursor.fetchone()[0]}
        state["connections"], state["limit"] = connections(cursor)
        # What a killed first run can leave: the first tables, before the migrations, which are one transaction.
        state["begun"] = tables <= {"experiments", "runs", "tags", "metrics", "params"}
        for table in tables if state["begun"] else ():
            cursor.execute(f"SELECT NOT EXISTS (SELECT FROM {table})")
            state["begun"] = state["begun"] and cursor.fetchone()[0]
        # Before 3.6, the login tables are in a schema of their own: both count their migrations in a table of one name.
        cursor.execute("SELECT to_regclass('mlflow_auth.alembic_version') IS NOT NULL")
        if cursor.fetchone()[0]:
            tables.add("mlflow_auth.alembic_version")
        # The login through a provider has its tables in a schema of its own, too: some have the same names.
        cursor.execute("SELECT to_regclass('mlflow_oidc.alembic_version') IS NOT NULL")
        if cursor.fetchone()[0]:
            tables.add("mlflow_oidc.alembic_version")
        cursor.execute("SELECT has_database_privilege(current_database(), 'CREATE')")
        state["may_add_schema"] = cursor.fetchone()[0]
        for name, table in (
            ("tracking", "alembic_version"),
            ("auth", "mlflow_auth.alembic_version"),
            ("auth", "alembic_version_auth"),
            ("oidc", "mlflow_oidc.alembic_version"),
        ):
            if table in tables:
                cursor.execute(f"SELECT version_num FROM {table}")
                state[name] = ",".join(sorted(row[0] for row in cursor.fetchall()))
    session.close()
    return state


def main():
    wanted = json.load(sys.stdin)
    try:
        user = bool(pwd.getpwnam(wanted["user"]))
    except KeyError:
        user = False
    answer = {
        "packages": missing_packages(wanted["packages"]),
        "user": user,
        "directories": [entry["path"] for entry in wanted["directories"] if differs(entry)],
        "files": [entry["path"] for entry in wanted["files"] if differs(entry)],
        "installed": installed_version(wanted["link"]),
        "upgrade": last_upgrade(wanted["journal"]),
        "timers": idle(wanted["timers"]),
        "unwanted": [path for path in wanted["unwanted"] if Path(path).exists()],
        "default_site": default_site_is_untouched(),
        "destination": destination(wanted["env_file"]),
        "filesystem": filesystem(wanted["artifacts"]),
        "database": database(wanted["user"], wanted["connection"], wanted["password"]),
    }
    json.dump(answer, sys.stdout)


main()
