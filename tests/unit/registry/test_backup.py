"""Which snapshot is restored, which is refused, and what the metrics tell; restic and the database are stand-ins."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from .scripts import forget, fresh

SNAPSHOTS = [
    {"id": "a", "short_id": "a", "time": "2027-01-01T10:00:00.123456789+01:00", "paths": []},
    {"id": "c", "short_id": "c", "time": "2027-01-03T00:00:00.5Z", "paths": []},
    {"id": "b", "short_id": "b", "time": "2027-01-02T00:00:00Z", "paths": []},
]


@pytest.fixture
def module(monkeypatch):
    yield fresh("backup", monkeypatch)
    forget("backup")


@pytest.mark.parametrize(
    ("until", "chosen"),
    [
        ("", "c"),
        ("2027-01-02T23:59:59Z", "b"),
        ("2027-01-02T00:00:00Z", "b"),
        ("2027-01-01T09:00:00Z", None),
        ("2027-01-01T09:00:01Z", "a"),
        ("2027-01-01T10:00:01+01:00", "a"),
        ("2027-01-02", "b"),
    ],
)
def test_the_newest_snapshot_that_is_not_too_new(module, until, chosen):
    if chosen is None:
        with pytest.raises(module.Problem, match="the oldest is of 2027-01-01T10:00:00"):
            module.choose(SNAPSHOTS, until)
    else:
        assert module.choose(SNAPSHOTS, until)["id"] == chosen


def test_no_snapshot_and_no_time(module):
    with pytest.raises(module.Problem, match="has no snapshot"):
        module.choose([], "")
    with pytest.raises(module.Problem, match="is not a time"):
        module.choose(SNAPSHOTS, "yesterday")


@pytest.mark.parametrize(
    ("theirs", "word"), [("3.20.0", "upgrade this registry to 3.20.0 first"), ("3.9.0", "install 3.9.0 on")]
)
def test_a_dump_for_other_code_is_refused(module, theirs, word):
    manifest, config = {"version": theirs, "schema": ["x", "y"]}, {"version": "3.17.2", "schema": ["a", "b"]}
    with pytest.raises(module.Problem, match=word):
        module.refuse_other_code(manifest, config)
    module.refuse_other_code({**manifest, "schema": ["a", "b"]}, config)


class Site:
    def __init__(self, module, folder, monkeypatch):
        self.module, self.done, self.fails = module, [], ()
        self.tables, self.bytes, self.others = ["t", "l"], 1, ""
        # Free bytes by path; elsewhere there is plenty.
        self.free = {}
        self.config = {
            **{"user": "mlflow", "connection": {"user": "mlflow", "dbname": "mlflow"}, "password": "", "local": True},
            **{"folder": str(folder / "backups"), "artifacts_dir": "/artifacts", "env_file": "/etc/mlflow/mlflow.env"},
            **{"metrics_dir": str(folder / "metrics"), "host": "models", "version": "3.17.2", "schema": ["t", "l"]},
            **{"keep": {"daily": 3, "weekly": 2}, "service": "mlflow.service", "port": 5000, "admin_user": "admin"},
            **{"admin_password": "x", "timeout": 5, "repository": str(folder / "repository")},
        }
        monkeypatch.setattr(module, "Database", lambda *about: self)
        monkeypatch.setattr(module, "systemctl", lambda *words: self.do(" ".join(words)))
        monkeypatch.setattr(module, "wait_for", lambda *about: self.do("wait"))
        monkeypatch.setattr(module, "free_bytes", lambda path: self.free.get(str(path), 1 << 40))
        monkeypatch.setattr(module.Registry, "restic", lambda _self, *words: self.restic(*words))
        self.metrics = folder / "metrics"

    def do(self, step):
        self.done.append(step)
        if step in self.fails:
            raise self.module.Problem(f"{step} failed")

    def restic(self, *words):
        self.do(words[0])
        self.words = words if words[0] == "forget" else getattr(self, "words", ())
        self.paths = [word for word in words if word[0] == "/"] if words[0] == "backup" else getattr(self, "paths", [])
        return '{"message_type": "summary", "snapshot_id": "0123456789"}'

    def refuse_other_clients(self):
        if self.others:
            raise self.module.Problem(f"another server uses this database, from {self.others}")

    def revisions(self):
        return self.tables

    def size(self):
        return self.bytes

    def dump(self, path):
        self.do("dump")
        path.write_text("dump")

    def restore(self, path):
        self.do("replace tables")

    def registry(self):
        return self.module.Registry(self.config)

    def fetched(self, monkeypatch, **manifest):
        @contextmanager
        def here(_self):
            yield Path("/nowhere")

        about = {"version": "3.17.2", "schema": ["t", "l"], "artifacts_dir": "/artifacts", **manifest}
        monkeypatch.setattr(self.module.Registry, "scratch_folder", here)
        monkeypatch.setattr(self.module.Registry, "fetch", lambda *_: (SNAPSHOTS[0], Path("dump"), about))
        monkeypatch.setattr(self.module.Registry, "check_room", lambda *_: None)
        monkeypatch.setattr(self.module.Registry, "keep_present_tables", lambda _: self.do("keep"))
        monkeypatch.setattr(self.module.subprocess, "run", lambda *_, **__: self.do("chown"))


@pytest.fixture
def site(module, tmp_path, monkeypatch):
    return Site(module, tmp_path, monkeypatch)


def test_the_database_comes_before_the_artifacts_and_old_snapshots_go_last(site):
    assert site.registry().backup() == "snapshot 01234567"
    assert site.done == ["cat", "unlock", "dump", "backup", "forget"]
    assert {"--keep-daily=3", "--keep-weekly=2", "--prune"} <= set(site.words)
    assert site.paths == [f"{site.config['folder']}/backup", "/artifacts", "/etc/mlflow/mlflow.env"]
    folder = Path(site.config["folder"])
    manifest = json.loads((folder / "backup/manifest.json").read_text())
    assert (manifest["version"], manifest["schema"], len(manifest["sha256"])) == ("3.17.2", ["t", "l"], 64)
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("step", ["cat", "dump", "backup"])
def test_a_backup_that_fails_forgets_no_snapshot(site, module, step):
    site.fails = (step,)
    with pytest.raises(module.Problem):
        site.registry().backup()
    assert "forget" not in site.done


def test_a_half_migrated_database_is_not_backed_up(site, module):
    site.tables = ["t", "older"]
    with pytest.raises(module.Problem, match="was begun and not finished"):
        site.registry().backup()
    assert "dump" not in site.done


def test_without_room_for_the_dump_nothing_is_written(site, module):
    site.bytes = 1 << 60
    with pytest.raises(module.Problem, match="MiB free"):
        site.registry().backup()
    assert not site.done


def test_a_full_local_repository_is_told_before_restic_tries_for_a_quarter_of_an_hour(site, module):
    site.free = {site.config["repository"]: module.REPOSITORY_ROOM + 3}
    with pytest.raises(module.Problem, match="has 128 MiB free"):
        site.registry().backup()
    assert "backup" not in site.done and "forget" not in site.done
    site.free = {site.config["repository"]: module.REPOSITORY_ROOM + len("dump")}
    site.registry().backup()
    # Of a repository elsewhere nothing is known beforehand.
    site.free, site.config["repository"] = {}, "sftp:vault:/backup"
    site.registry().backup()


def test_a_restore_stops_the_server_before_it_touches_anything(site, monkeypatch):
    site.fetched(monkeypatch)
    site.registry().restore()
    assert site.done == [
        "stop mlflow.service",
        "keep",
        "restore",
        "chown",
        "replace tables",
        "start mlflow.service",
        "wait",
    ]


@pytest.mark.parametrize("wrong", [{"schema": ["x", "y"], "version": "4.0.0"}, {"artifacts_dir": "/elsewhere"}])
def test_a_snapshot_that_does_not_fit_is_refused_before_the_server_stops(site, module, monkeypatch, wrong):
    site.fetched(monkeypatch, **wrong)
    with pytest.raises(module.Problem):
        site.registry().restore()
    assert not site.done


def test_a_restore_that_fails_starts_the_server_again(site, module, monkeypatch):
    site.fetched(monkeypatch)
    site.fails = ("replace tables",)
    with pytest.raises(module.Problem):
        site.registry().restore()
    assert site.done[-1] == "start mlflow.service"


def test_a_restore_while_another_server_writes_is_refused_before_the_server_stops(site, module, monkeypatch):
    site.fetched(monkeypatch)
    site.others = "192.0.2.7"
    with pytest.raises(module.Problem, match=r"from 192\.0\.2\.7"):
        site.registry().restore()
    assert not site.done


class TestInABucket:
    """What a snapshot is, and says that it is, when the artifacts are in a bucket."""

    @pytest.fixture
    def site(self, site):
        site.config.update(artifacts_dir="s3://models/prod", artifacts_environment={"AWS_ACCESS_KEY_ID": "key"})
        return site

    def test_the_backup_is_of_the_database_and_says_so(self, site):
        said = site.registry().backup()
        assert "of the database; the artifacts are in s3://models/prod" in said
        assert site.paths == [f"{site.config['folder']}/backup", "/etc/mlflow/mlflow.env"]

    def test_a_restore_leaves_the_bucket_alone(self, site, monkeypatch):
        site.fetched(monkeypatch, artifacts_dir="s3://models/prod")
        assert "the artifacts in s3://models/prod were left as they are" in site.registry().restore()
        assert site.done == ["stop mlflow.service", "keep", "replace tables", "start mlflow.service", "wait"]

    def test_a_snapshot_of_a_folder_is_refused(self, site, module, monkeypatch):
        site.fetched(monkeypatch)
        with pytest.raises(module.Problem, match="this registry's are in s3://models/prod"):
            site.registry().restore()
        assert not site.done

    def test_a_drill_opens_the_model_of_the_bucket(self, site, module, monkeypatch):
        site.fetched(monkeypatch, artifacts_dir="s3://models/prod")
        site.tables, calls = ["t", "l"], []

        @contextmanager
        def scratch(_self):
            yield site

        monkeypatch.setattr(module.Registry, "scratch_database", scratch)
        monkeypatch.setattr(module.Registry, "aliased_model", lambda *_: ("m", "champion", "1/models/m-1/artifacts"))
        monkeypatch.setattr(
            module.Registry, "run", lambda _self, code, *words, **more: calls.append((code, words, more)) or "flavors"
        )
        assert "m@champion opens (from s3://models/prod, as it is now)" in site.registry().drill()
        assert calls == [
            (
                module.FROM_BUCKET,
                ("s3://models/prod/1/models/m-1/artifacts",),
                {"environment": {"AWS_ACCESS_KEY_ID": "key"}},
            ),
            (module.OPEN, (), {"text": "flavors"}),
        ]


def test_metrics_keep_the_last_success_of_a_row_of_failures(site, monkeypatch, module):
    clock = iter((1000.0, 2000.0))
    monkeypatch.setattr(module.time, "time", lambda: next(clock))
    registry = site.registry()
    registry.folder.mkdir()
    registry.snapshot_time = 990.0
    registry.tell("backup", True, 3.0, "snapshot")
    registry.tell("backup", False, 1.0, "unreachable")
    found = dict(
        line.split()
        for line in (site.metrics / "mlops_registry_backup.prom").read_text().splitlines()
        if line[0] != "#"
    )
    assert found == {
        "mlops_registry_backup_success": "0.000",
        "mlops_registry_backup_last_try_timestamp_seconds": "2000.000",
        "mlops_registry_backup_last_success_timestamp_seconds": "1000.000",
        "mlops_registry_backup_duration_seconds": "1.000",
        "mlops_registry_backup_snapshot_timestamp_seconds": "990.000",
    }
    assert (site.metrics / "mlops_registry_backup.prom").stat().st_mode & 0o777 == 0o644


def test_the_model_of_a_drill(site, module):
    class Rows:
        def __init__(self, *answers):
            self.answers = list(answers)

        def query(self, text):
            return self.answers.pop(0)

    registry = site.registry()
    assert registry.aliased_model(Rows([])) is None
    assert (
        registry.aliased_model(Rows([["m", "champion", "mlflow-artifacts:/1/models/m-1/artifacts"]]))[2]
        == "1/models/m-1/artifacts"
    )
    assert registry.aliased_model(Rows([["m", "best", "models:/m-1"]], [["mlflow-artifacts:/1/x"]])) == (
        "m",
        "best",
        "1/x",
    )
    with pytest.raises(module.Problem, match="not part of this backup"):
        registry.aliased_model(Rows([["m", "best", "s3://bucket/x"]]))
