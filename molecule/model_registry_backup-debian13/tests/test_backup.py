"""A registry is backed up, destroyed, and comes back: on the same host, at another time, on an empty one. In order."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared/model_registry"))

import playing  # noqa: E402
from on_host import client, shell  # noqa: E402

SCENARIO = Path(__file__).resolve().parents[1]
PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"
METRICS = "/var/lib/prometheus/node-exporter/mlops_registry_{}.prom"
MAKE = """
factor = {factor}
class Times(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * factor
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=Times(), pip_requirements=[], registered_model_name="{name}")
client.set_registered_model_alias("{name}", "champion", 1)
"""
LOAD = """
for model in sorted(client.search_registered_models(), key=lambda model: model.name):
    loaded = mlflow.pyfunc.load_model(f"models:/{model.name}@champion")
    print(model.name, loaded.predict(pandas.DataFrame({"x": [21.0]})).iloc[0])
"""


def make(host, name, factor):
    client(host, MAKE.format(name=name, factor=factor))


def models(host):
    return dict(line.split() for line in client(host, LOAD) if line.count(" ") == 1)


def play(host, playbook, *more):
    return playing.play(playing.inventory_of(host), playbook, *more, **playing.PLAIN)


def provide(host, *more):
    code, text = play(host, SCENARIO / "converge.yml", *more)
    assert code == 0, text[-3000:]


def back_up(host):
    code, text = play(host, PLAYBOOKS / "backup.yml", "--tags", "model_registry")
    assert code == 0, text[-3000:]


def restore(host, *more):
    return play(host, PLAYBOOKS / "restore.yml", "--tags", "model_registry", *more)


def metrics(host, part):
    lines = shell(host, f"cat {METRICS.format(part)}").splitlines()
    prefix = f"mlops_registry_{part}_"
    return {name[len(prefix) :]: float(value) for name, value in (line.split() for line in lines if line[0] != "#")}


def hashes(host):
    return shell(host, "cd /var/lib/mlflow/artifacts && find . -type f | sort | xargs -r sha256sum")


def restic(host, words):
    read = "import json; config = json.load(open('/etc/mlflow/backup.json')); print(config['repository_password'])"
    return shell(host, f'RESTIC_PASSWORD="$(python3 -c "{read}")" restic --repo /srv/backup {words}')


@pytest.fixture(scope="module", autouse=True)
def first(host):
    """A registry with one model, and its backup; then another model, which the backup does not know."""
    # On a container that was kept, those of before.
    client(host, "for model in client.search_registered_models(): client.delete_registered_model(model.name)")
    make(host, "first", 2.0)
    back_up(host)
    found = {"hashes": hashes(host), "models": models(host), "time": shell(host, "date -u +%Y-%m-%dT%H:%M:%SZ")}
    shell(host, "sleep 1")
    make(host, "second", 3.0)
    back_up(host)
    return found


def test_what_the_timers_start_is_armed_and_closed(host):
    timers = "mlops-onprem-mlflow-backup.timer mlops-onprem-mlflow-drill.timer"
    assert (
        shell(host, f"systemctl is-active {timers}; systemctl is-enabled {timers}").split()
        == ["active"] * 2 + ["enabled"] * 2
    )
    assert "02:00:00" in shell(host, "systemctl show --property=TimersCalendar mlops-onprem-mlflow-backup.timer")
    assert (
        shell(host, "stat --format='%a %U' /etc/mlflow/backup.json /var/backups/mlflow /srv/backup")
        == "600 root\n700 root\n700 root"
    )


def test_a_snapshot_holds_database_artifacts_and_configuration(host):
    listing = restic(host, "ls latest")
    for path in ("/var/backups/mlflow/backup/database.dump", "/etc/mlflow/mlflow.env", "/var/lib/mlflow/artifacts/0/"):
        assert path in listing, path
    state = metrics(host, "backup")
    now = float(shell(host, "date +%s"))
    assert state["success"] == 1 and now - state["last_success_timestamp_seconds"] < 600


def test_a_drill_opens_a_model_by_its_alias_and_leaves_nothing(host):
    before = hashes(host)
    shell(host, "systemctl start mlops-onprem-mlflow-drill")
    assert "second@champion opens" in shell(host, "cat /var/backups/mlflow/drill-state.json")
    state = metrics(host, "drill")
    assert state["success"] == 1 and state["snapshot_timestamp_seconds"] < state["last_success_timestamp_seconds"]
    assert "mlflow_drill" not in shell(
        host, "cd / && runuser -u postgres -- psql -qtAc 'SELECT datname FROM pg_database'"
    )
    assert "drill" not in shell(host, "ls -d /var/backups/mlflow/*/")
    assert hashes(host) == before


def test_an_unreachable_repository_is_told_and_the_last_good_one_stays(host):
    good, listing = metrics(host, "backup"), restic(host, "snapshots --json")
    shell(host, "mv /srv/backup /srv/away && mkdir /srv/backup")
    try:
        code, text = play(host, PLAYBOOKS / "backup.yml")
    finally:
        left = shell(host, "ls -A /srv/backup")
        shell(host, "rm -rf /srv/backup && mv /srv/away /srv/backup")
    assert code != 0 and "no backup was taken" in text
    assert not left, "a repository was made in what may be the mount point of a missing disk"
    state = metrics(host, "backup")
    assert state["success"] == 0
    assert state["last_success_timestamp_seconds"] == good["last_success_timestamp_seconds"]
    assert restic(host, "snapshots --json") == listing


def test_a_full_repository_is_told_and_the_last_good_one_stays(host):
    good, listing = metrics(host, "backup"), restic(host, "snapshots --json")
    shell(host, "mv /srv/backup /srv/away && mkdir -m 700 /srv/backup")
    shell(host, "mount -t tmpfs -o mode=700,size=$(($(du -sk /srv/away | cut -f1) + 4096))k tmpfs /srv/backup")
    try:
        shell(host, "cp -a /srv/away/. /srv/backup/")
        code, text = play(host, PLAYBOOKS / "backup.yml")
        assert code != 0 and re.search(
            r"no backup was taken: /srv/backup has \d MiB free, and a backup needs \d+ MiB at least", text
        )
        assert metrics(host, "backup")["success"] == 0
        assert metrics(host, "backup")["last_success_timestamp_seconds"] == good["last_success_timestamp_seconds"]
        assert restic(host, "snapshots --json") == listing
    finally:
        shell(host, "umount /srv/backup && rmdir /srv/backup && mv /srv/away /srv/backup")


def test_another_host_keeps_it_over_sftp(host):
    """This host, as another user: what is used is restic, ssh and a server's sftp."""
    shell(
        host,
        "systemctl start ssh && useradd --create-home vault && mkdir -pm 700 /root/.ssh ~vault/.ssh"
        " && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && cp /root/.ssh/id_ed25519.pub ~vault/.ssh/authorized_keys"
        " && chown -R vault ~vault/.ssh && ssh-keyscan -t ed25519 127.0.0.1 > /root/.ssh/known_hosts",
    )
    where = "sftp:vault@127.0.0.1:/home/vault/registry"
    # A host that is not there is told by the run itself, and there is no backup that nobody takes.
    code, text = play(
        host, SCENARIO / "converge.yml", "-e", f"model_registry_backup_repository={where.replace('vault', 'nobody', 1)}"
    )
    assert code != 0 and "the registry serves, and is not backed up" in text
    provide(host, "-e", f"model_registry_backup_repository={where}")
    back_up(host)
    shell(host, "systemctl start mlops-onprem-mlflow-drill")
    assert "second@champion opens" in shell(host, "cat /var/backups/mlflow/drill-state.json")
    assert len(shell(host, "ls /home/vault/registry/snapshots").split()) == 1
    provide(host)


def test_a_drill_notices_artifacts_that_are_not_in_the_backup(host):
    where = "/var/lib/mlflow/artifacts"
    shell(host, f"mv {where}/0 /var/lib/mlflow/aside")
    try:
        back_up(host)
        shell(host, "systemctl start mlops-onprem-mlflow-drill", code=1)
        assert "lacks its files" in shell(host, "cat /var/backups/mlflow/drill-state.json")
        assert metrics(host, "drill")["success"] == 0
    finally:
        shell(host, f"mv /var/lib/mlflow/aside {where}/0")
        restic(host, "forget latest")


def test_a_dump_of_newer_code_is_refused_and_nothing_stops(host):
    before = shell(host, "systemctl show --property=InvocationID --value mlflow")
    shell(host, "cp -a /etc/mlflow/backup.json /run/kept.json")
    shell(
        host,
        'sed -i \'s/"version": "3.17.2"/"version": "3.16.1"/; s/dc11669786a5/b7e2c1a4d9f3/\' /etc/mlflow/backup.json',
    )
    try:
        code, text = restore(host)
    finally:
        shell(host, "mv /run/kept.json /etc/mlflow/backup.json")
    assert code != 0
    assert "the snapshot is of MLflow 3.17.2, and MLflow 3.16.1 is installed" in text and "nothing was restored" in text
    assert shell(host, "systemctl show --property=InvocationID --value mlflow") == before


def test_restore_to_a_point_in_time(host, first):
    assert set(models(host)) == {"first", "second"}
    code, text = restore(host, "-e", f"model_registry_restore_time={first['time']}")
    assert code == 0, text[-3000:]
    assert models(host) == first["models"] == {"first": "42.0"}
    assert shell(host, "ls /var/backups/mlflow/before-restore-*.dump")


def test_destroyed_and_restored_onto_an_empty_host(host, first):
    # The installed packages are moved aside, or the way back would be a download.
    shell(host, "mv /opt/mlflow /opt/aside")
    try:
        provide(host, "-e", '{"model_registry_state": "absent", "model_registry_remove_data": true}')
        assert not shell(
            host, "ls -d /var/lib/mlflow/artifacts /etc/mlflow /etc/systemd/system/mlops-onprem*", code=None
        )
        shell(host, "rm -rf /var/backups/mlflow /var/cache/mlops-onprem-mlflow")
    finally:
        shell(host, "rm -rf /opt/mlflow; mv /opt/aside /opt/mlflow")
    provide(host)
    assert models(host) == {} and hashes(host) == ""
    code, text = restore(host)
    assert code == 0, text[-3000:]
    assert models(host) == {"first": "42.0", "second": "63.0"}
    lines = hashes(host).splitlines()
    assert set(first["hashes"].splitlines()) <= set(lines) and first["hashes"]
    owners = shell(host, "find /var/lib/mlflow/artifacts -printf '%u\n' | sort -u")
    assert owners == "mlflow"


def test_without_a_repository_the_timers_go_and_the_snapshots_stay(host):
    provide(host, "-e", '{"model_registry_backup_repository": ""}')
    assert not shell(host, "ls /etc/systemd/system/mlops-onprem-mlflow-* /etc/mlflow/backup.json", code=None)
    assert shell(host, "ls /srv/backup/config")
    provide(host)
