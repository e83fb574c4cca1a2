"""Run a command while no other server of the registry changes the tables: `with_lock.py COMMAND ...`, in the service's environment.

The lock is PostgreSQL's own, and goes with the session, however this ends; the one of a host that lost its power goes when PostgreSQL hears
nothing of it for 90 seconds. Who had to wait finds the work done: MLflow's migrations are idempotent.
"""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg2

# Of this database only. Any number that nobody else takes.
LOCK = 0x6D6C6F7073
SETTINGS = {
    "lock_timeout": "15min",
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


def main():
    address = os.environ["MLFLOW_BACKEND_STORE_URI"].replace("postgresql+psycopg2:", "postgresql:", 1)
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    session = psycopg2.connect(address, connect_timeout=10, application_name="mlops.onprem", options=options)
    # No transaction: an idle one would hold up the migrations.
    session.autocommit = True
    try:
        session.cursor().execute("SELECT pg_advisory_lock(%s)", [LOCK])
    except psycopg2.errors.LockNotAvailable:
        sys.exit(
            f"Another server has been making the tables for {SETTINGS['lock_timeout']}. Does it still run? Then wait, and run this again."
        )
    sys.exit(subprocess.run(sys.argv[1:], check=False).returncode)


main()
