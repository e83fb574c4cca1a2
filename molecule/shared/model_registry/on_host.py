"""What the registry's tests run on its host: a command, and MLflow's client."""

from __future__ import annotations

import base64

# With the Python of the installed version, as a user of the registry.
CLIENT = """
import os, sys, logging, tempfile
secrets = dict(line.rstrip().split("=", 1) for line in open("/etc/mlflow/mlflow.env") if "=" in line)
os.environ.update(MLFLOW_TRACKING_URI="http://127.0.0.1:5000", MLFLOW_TRACKING_USERNAME="admin", GIT_PYTHON_REFRESH="quiet",
                  MLFLOW_TRACKING_PASSWORD=secrets["MLFLOW_AUTH_ADMIN_PASSWORD"].strip('"'), HOME=tempfile.mkdtemp())
import mlflow, pandas
logging.getLogger("mlflow").setLevel(logging.ERROR)
client = mlflow.MlflowClient()
"""


def shell(host, command, code=0):
    """What it says; `code` is how it has to end, None where that is not known."""
    result = host.run(command)
    assert code is None or result.rc == code, f"{command}: {result.rc}\n{result.stdout}\n{result.stderr}"
    return result.stdout.strip()


def client(host, code):
    """The lines that `code` prints, which has the client as `client`."""
    text = base64.b64encode((CLIENT + code).encode()).decode()
    return shell(host, f"cd /tmp && echo {text} | base64 -d | /opt/mlflow/current/bin/python -").splitlines()
