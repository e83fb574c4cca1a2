"""Run a command while no other server of the registry changes the tables: `with_lock.py COMMAND ...`, in the service's environment.

The lock is PostgreSQL's own, and goes with the session, however this ends. Who had to wait finds the work done: MLflow's migrations
are idempotent.
"""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg2

# Of this database only. Any number that nobody else takes.
LOCK = 0x6D6C6F7073


def main():
    address = os.environ["MLFLOW_BACKEND_STORE_URI"].replace("postgresql+psycopg2:", "postgresql:", 1)
    session = psycopg2.connect(address, connect_timeout=10, application_name="mlops.onprem")
    # No transaction: an idle one would hold up the migrations.
    session.autocommit = True
    session.cursor().execute("SELECT pg_advisory_lock(%s)", [LOCK])
    sys.exit(subprocess.run(sys.argv[1:], check=False).returncode)


main()
