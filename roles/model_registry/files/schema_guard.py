"""Let MLflow start only on the schema of its own version: otherwise it would migrate the database, with no way back.

Called by the unit before each start, with the expected revisions as TABLE=REVISION. Waits for a database that is not up yet.
"""

from __future__ import annotations

import os
import sys
import time

import psycopg2

WAIT_SECONDS = 60


def connect():
    # libpq reads the same address that SQLAlchemy gets, without the driver's name.
    address = os.environ["MLFLOW_BACKEND_STORE_URI"].replace("postgresql+psycopg2:", "postgresql:", 1)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return psycopg2.connect(address, connect_timeout=5)
        except psycopg2.OperationalError as error:
            if time.monotonic() > deadline:
                sys.exit(f"The database cannot be reached: {error}")
            time.sleep(1)


def main():
    session = connect()
    with session, session.cursor() as cursor:
        for table, expected in (word.split("=", 1) for word in sys.argv[1:]):
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
            found = "none"
            if cursor.fetchone()[0]:
                cursor.execute(f"SELECT version_num FROM {table}")
                found = ",".join(sorted(row[0] for row in cursor.fetchall())) or "none"
            if found != expected:
                sys.exit(
                    f"Refusing to start: {table} is at revision {found}, and this version works on {expected}. "
                    "The server would migrate the database, with no way back. Restore a database of this version."
                )


main()
