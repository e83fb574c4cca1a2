"""An installed registry with data goes to a newer version, and comes back where that fails. In order: each test goes on from the last."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared/model_registry"))

import playing  # noqa: E402
from on_host import client, shell  # noqa: E402

CONVERGE = Path(__file__).resolve().parents[1] / "converge.yml"
ROLE = Path(__file__).resolve().parents[3] / "roles/model_registry"
SCHEMAS = yaml.safe_load((ROLE / "vars/main/versions.yml").read_text())["__model_registry_schemas"]
OLD, MIDDLE, NEW = "2.22.5", "3.16.1", "3.17.2"
UNIT = "mlops-onprem-mlflow-upgrade"
TO_NEW = ("-e", f"model_registry_version={NEW}", "-e", '{"model_registry_upgrade": true}')
MAKE = """
class Double(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * 2.0
with mlflow.start_run(experiment_id=client.create_experiment("of before")) as run:
    mlflow.log_metric("loss", 0.25)
    mlflow.pyfunc.log_model(artifact_path="model", python_model=Double(), pip_requirements=[], registered_model_name="kept")
client.set_registered_model_alias("kept", "champion", 1)
from mlflow.server import get_app_client
get_app_client("basic-auth", tracking_uri=mlflow.get_tracking_uri()).create_user("bob", "a long enough one")
"""
LOAD = """
run = client.search_runs([client.get_experiment_by_name("of before").experiment_id])[0]
value = mlflow.pyfunc.load_model("models:/kept@champion").predict(pandas.DataFrame({"x": [21.0]})).iloc[0]
os.environ.update(MLFLOW_TRACKING_USERNAME="bob", MLFLOW_TRACKING_PASSWORD="a long enough one")
client.search_experiments()
print(mlflow.__version__, run.data.metrics["loss"], float(value))
"""


def start(host, *more):
    """The role again, from the controller, with other input."""
    return playing.start(playing.inventory_of(host), CONVERGE, *more, **playing.PLAIN)


def play(host, *more):
    process = start(host, *more)
    output = process.communicate()[0]
    return process.returncode, playing.in_one_line(output)


def sql(host, query):
    text = base64.b64encode(query.encode()).decode()
    return shell(host, f"cd / && echo {text} | base64 -d | runuser -u mlflow -- psql -qtA mlflow")


def tables_are_of(host, version):
    return sql(host, "SELECT version_num FROM alembic_version") == SCHEMAS[version]["tracking"]


def installed(host):
    return shell(host, "readlink /opt/mlflow/current").rsplit("/", 1)[1].rsplit("-", 1)[0]


def lock(version):
    return (ROLE / f"files/requirements-{version}.txt").read_text()


def folder(version):
    return f"/opt/mlflow/{version}-{hashlib.sha256(lock(version).encode()).hexdigest()[:12]}"


def install_middle(host):
    """What its lock says, in seconds instead of minutes: it differs from the new version's in the three packages of MLflow only."""
    pins = [{line.split()[0] for line in lock(version).splitlines() if line[:1].isalnum()} for version in (MIDDLE, NEW)]
    other = pins[0] - pins[1]
    assert other == {f"{name}=={MIDDLE}" for name in ("mlflow", "mlflow-skinny", "mlflow-tracing")}
    digest = hashlib.sha256(lock(MIDDLE).encode()).hexdigest()
    shell(host, f"python3 -m venv {folder(MIDDLE)} && ls -d {folder(NEW)}/lib/python3*/site-packages > /run/shared.pth")
    shell(
        host,
        f"cp /run/shared.pth {folder(MIDDLE)}/lib/python3*/site-packages/ && echo {digest} > {folder(MIDDLE)}/.complete",
    )
    shell(host, f"{folder(MIDDLE)}/bin/pip install --quiet --no-deps --ignore-installed {' '.join(sorted(other))}")


def invocation(host):
    return shell(host, "systemctl show --property=InvocationID --value mlflow")


def assert_old_serves(host, version):
    assert installed(host) == version
    assert tables_are_of(host, version)
    assert client(host, LOAD)[-1] == f"{version} 0.25 42.0"


@pytest.fixture(scope="module", autouse=True)
def data(host):
    """Made by the old version; on a container that was kept, there already."""
    if not sql(host, "SELECT name FROM registered_models WHERE name = 'kept'"):
        client(host, MAKE)


def test_a_change_of_the_version_that_nobody_planned_is_refused(host):
    before, there = invocation(host), shell(host, "ls /opt/mlflow /etc/mlflow")
    code, text = play(host, "-e", f"model_registry_version={NEW}")
    assert code != 0
    assert f"MLflow {OLD} is installed, and model_registry_version is {NEW}" in text
    assert "mlops.onprem.upgrade --tags model_registry" in text and "Nothing was changed or stopped" in text
    assert invocation(host) == before
    assert shell(host, "ls /opt/mlflow /etc/mlflow") == there


def test_a_migration_that_fails_gives_the_old_version_and_its_database_back(host):
    # A known trouble of real sites: the migration wants to make a table that is there.
    sql(
        host,
        "DROP TABLE IF EXISTS secrets; CREATE TABLE secrets (canary text); INSERT INTO secrets VALUES ('still here')",
    )
    code, text = play(host, *TO_NEW)
    assert code != 0
    assert f"MLflow {OLD} was not upgraded to {NEW}" in text and "already exists" in text
    assert f"MLflow {OLD} serves again" in text
    assert sql(host, "SELECT canary FROM secrets") == "still here"
    assert_old_serves(host, OLD)
    sql(host, "DROP TABLE secrets")


def test_without_room_for_the_dump_nothing_is_stopped(host):
    before = invocation(host)
    shell(host, "mkdir -p /var/tiny && mount -t tmpfs -o size=1m tmpfs /var/tiny")
    try:
        code, text = play(host, *TO_NEW, "-e", "model_registry_backup_dir=/var/tiny/mlflow")
    finally:
        shell(host, "umount /var/tiny")
    assert code != 0
    assert "MiB free, and a dump of the database may take" in text
    assert invocation(host) == before


def test_an_interrupted_upgrade_is_taken_up_by_the_next_run(host):
    process = start(host, *TO_NEW)
    deadline = time.monotonic() + 300
    while not tables_are_of(host, NEW):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0][-3000:]
        time.sleep(1)
    shell(host, f"systemctl kill --signal=KILL {UNIT}")
    process.communicate()
    assert process.returncode != 0
    # The old version must not touch the new tables, whoever starts it.
    shell(host, "timeout 30 systemctl start mlflow", code=1)
    shell(host, "systemctl stop mlflow")
    code, text = play(host, *TO_NEW)
    assert code == 0, text[-3000:]
    assert "the interrupted upgrade was taken up again" in text
    assert "a new model was logged, registered and loaded; kept version 1 opens" in text


def test_what_the_old_version_had_is_served_by_the_new_one(host):
    assert installed(host) == NEW
    assert client(host, LOAD)[-1] == f"{NEW} 0.25 42.0"
    assert sql(host, "SELECT version_num FROM alembic_version_auth") == SCHEMAS[NEW]["auth"]


def test_the_check_left_nothing_behind(host):
    found = client(host, "print([m.name for m in client.search_registered_models()], len(client.search_experiments()))")
    assert found[-1] == "['kept'] 2", "the default experiment, and the one of before"
    assert shell(host, f"systemctl is-active {UNIT} mlops-onprem-mlflow-trial", code=None).split() == ["inactive"] * 2


def test_the_way_back_is_kept_and_closed_to_others(host):
    journal = json.loads(shell(host, "cat /var/backups/mlflow/upgrade.json"))
    assert (journal["from"], journal["to"], journal["state"]) == (OLD, NEW, "done")
    found = shell(
        host,
        f"stat --format='%a %U' {journal['folder']} {journal['folder']}/database.dump {journal['folder']}/mlflow.env",
    )
    assert found.splitlines() == ["700 root", "600 root", "600 root"]
    assert "toc" in shell(host, f"pg_restore --list {journal['folder']}/database.dump").lower()
    assert shell(host, f"{journal['link']}/bin/mlflow --version") == f"mlflow, version {OLD}"
    assert not shell(host, "find /run -name '*.env'"), "secrets of the trial are left"


def test_a_run_after_the_upgrade_changes_nothing(host):
    before = invocation(host)
    code, text = play(host, "-e", f"model_registry_version={NEW}")
    assert code == 0 and "changed=0" in text, text[-2000:]
    assert invocation(host) == before


def test_an_upgrade_is_undone_only_when_asked(host):
    code, text = play(host, "-e", '{"model_registry_upgrade": true}')
    assert code != 0
    assert "There is no migration to an older version" in text and "model_registry_upgrade_undo: true" in text
    code, text = play(host, "-e", '{"model_registry_upgrade_undo": true}')
    assert code == 0, text[-3000:]
    assert_old_serves(host, OLD)


def test_3_16_with_a_proxy_that_fails_at_the_end_comes_back_and_then_goes_up(host):
    # A fresh registry of that version, beside the installed packages of the others.
    shell(host, "systemctl stop mlflow && rm /opt/mlflow/current /var/backups/mlflow/upgrade.json")
    shell(host, "cd / && runuser -u postgres -- dropdb mlflow")
    install_middle(host)
    code, text = play(host, "-e", f"model_registry_version={MIDDLE}")
    assert code == 0, text[-3000:]
    client(host, MAKE)
    # After the tables and the link have moved: nginx refuses its configuration.
    shell(host, "echo nonsense > /etc/nginx/conf.d/broken.conf")
    code, text = play(host, *TO_NEW, "-e", '{"model_registry_server_aliases": ["new.example.test"]}')
    shell(host, "rm /etc/nginx/conf.d/broken.conf")
    assert code != 0
    assert f"MLflow {NEW} could not be put into service" in text and f"MLflow {MIDDLE} serves again" in text
    assert_old_serves(host, MIDDLE)
    code, text = play(host, *TO_NEW)
    assert code == 0, text[-3000:]
    assert installed(host) == NEW
    assert client(host, LOAD)[-1] == f"{NEW} 0.25 42.0"
