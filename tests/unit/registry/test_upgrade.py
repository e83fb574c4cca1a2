"""What the upgrade does next, read from the tables and the journal; with a database and a systemd that only take notes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .scripts import forget, fresh

OLD, NEW, HALF = ["old", "old-auth"], ["new", "new-auth"], ["new", "old-auth"]


@pytest.fixture
def module(monkeypatch):
    yield fresh("upgrade", monkeypatch)
    forget("upgrade")


class Site:
    """A host with the old version, and what was done to it."""

    def __init__(self, module, folder, monkeypatch):
        self.module, self.done, self.tables, self.bytes, self.fails = module, [], OLD, 1, ()
        self.others = ""
        self.folder = folder / "backups"
        self.config, self.link = folder / "mlflow.env", folder / "current"
        self.config.write_text("old")
        self.link.symlink_to("/opt/mlflow/1.0-aaaaaaaaaaaa")
        monkeypatch.setattr(module, "systemctl", lambda *words: self.do(" ".join(words)))
        monkeypatch.setattr(module, "Database", lambda *about: self)
        stamps = (f"20260101T0000{second:02}Z" for second in range(60))
        monkeypatch.setattr(module.time, "strftime", lambda *about: next(stamps))
        for step in ("migrate", "try_out"):
            monkeypatch.setattr(module.Upgrade, step, lambda _self, step=step: self.do(step))
        monkeypatch.setattr(module.Upgrade, "wait_for", lambda _self, *about: self.do("wait"))

    def do(self, step):
        self.done.append(step)
        if step in self.fails:
            raise self.module.Problem(f"{step} failed")

    # the database
    def revisions(self):
        return self.tables

    def size(self):
        return self.bytes

    def refuse_other_clients(self):
        if self.others:
            raise self.module.Problem(f"another server uses this database, from {self.others}")

    def check_tools(self):
        self.do("check_tools")

    def dump(self, path):
        self.do("dump")
        path.write_text("dump")

    def restore(self, path):
        assert path.read_text() == "dump"
        self.do("restore")

    def upgrade(self):
        wanted = {
            **{
                "user": "mlflow",
                "connection": {},
                "password": "",
                "folder": str(self.folder),
                "service": "mlflow.service",
            },
            **{
                "port": 5000,
                "link": str(self.link),
                "files": [str(self.config)],
                "old_version": "1.0",
                "version": "2.0",
            },
            **{"old_schema": OLD, "schema": NEW},
        }
        return self.module.Upgrade(wanted)

    @property
    def journal(self):
        return json.loads((self.folder / "upgrade.json").read_text())


@pytest.fixture
def site(module, tmp_path, monkeypatch):
    return Site(module, tmp_path, monkeypatch)


def test_dump_comes_after_the_stop_and_before_the_migration(site):
    site.upgrade().upgrade()
    assert site.done == ["check_tools", "stop mlflow.service", "dump", "migrate", "try_out"]
    assert site.journal["state"] == "migrated"
    assert site.folder.stat().st_mode & 0o077 == 0
    assert Path(site.journal["folder"]).stat().st_mode & 0o077 == 0


def test_the_link_is_left_to_the_role(site):
    site.upgrade().upgrade()
    assert str(site.link.readlink()) == "/opt/mlflow/1.0-aaaaaaaaaaaa"


def test_without_room_nothing_is_stopped(site, module):
    site.bytes = 1 << 60
    with pytest.raises(module.Problem, match="model_registry_backup_dir"):
        site.upgrade().upgrade()
    assert site.done == ["check_tools"]


def test_while_another_server_writes_nothing_is_stopped(site, module):
    site.others = "192.0.2.7"
    with pytest.raises(module.Problem, match=r"from 192\.0\.2\.7"):
        site.upgrade().upgrade()
    assert site.done == []


def test_unknown_tables_are_left_alone(site, module):
    site.tables = ["somebody's", ""]
    with pytest.raises(module.Problem, match="neither the old version nor an upgrade that was begun"):
        site.upgrade().upgrade()
    assert not site.done


@pytest.mark.parametrize("step", ["dump", "migrate", "try_out"])
def test_what_fails_after_the_stop_gives_the_old_version_back(site, module, step):
    site.fails = (step,)
    with pytest.raises(module.Problem) as raised:
        site.upgrade().upgrade()
    assert f"{step} failed" in str(raised.value) and "MLflow 1.0 serves again" in str(raised.value)
    assert ("restore" in site.done) == (step != "dump")
    assert site.done[-2:] == ["start mlflow.service", "wait"]
    assert site.journal["state"] == "returned"


def test_a_way_back_that_fails_names_the_dump_and_stays_open(site, module):
    site.fails = ("migrate", "restore")
    with pytest.raises(module.Problem, match=r"The way back to MLflow 1\.0 failed, too.*database\.dump"):
        site.upgrade().upgrade()
    assert site.journal["state"] == "dumped"
    assert "start mlflow.service" not in site.done


@pytest.mark.parametrize("tables", [NEW, HALF])
def test_an_interrupted_upgrade_goes_on_with_the_first_dump(site, tables):
    site.upgrade().upgrade()
    folder = site.journal["folder"]
    site.tables, site.done = tables, []
    site.upgrade().upgrade()
    assert site.done == ["stop mlflow.service", "migrate", "try_out"]
    assert site.journal["folder"] == folder


def test_an_upgrade_that_was_interrupted_before_the_migration_takes_a_new_dump(site, module):
    """The old version may have served since: the first dump would lose what was written."""
    site.fails = ("migrate", "restore")
    with pytest.raises(module.Problem):
        site.upgrade().upgrade()
    site.fails, site.done = (), []
    site.upgrade().upgrade()
    assert "dump" in site.done


def test_back_gives_link_configuration_and_tables(site):
    site.upgrade().upgrade()
    site.link.unlink()
    site.link.symlink_to("/opt/mlflow/2.0-bbbbbbbbbbbb")
    site.config.write_text("new")
    site.tables, site.done = NEW, []
    site.upgrade().back()
    assert site.done == [
        *(
            "stop mlflow.service",
            "restore",
            "daemon-reload",
            "reset-failed mlflow.service",
            "start mlflow.service",
            "wait",
        ),
    ]
    assert str(site.link.readlink()) == "/opt/mlflow/1.0-aaaaaaaaaaaa"
    assert site.config.read_text() == "old"


def test_back_without_an_upgrade_is_refused(site, module):
    with pytest.raises(module.Problem, match="knows of no upgrade"):
        site.upgrade().back()


def test_finish_keeps_the_newest_dumps(site):
    site.folder.mkdir()
    for stamp in ("1.0-2.0-20260101T000000Z", "1.0-2.0-20270101T000000Z", "0.9-1.0-20260601T000000Z"):
        (site.folder / f"upgrade-{stamp}").mkdir()
    (site.folder / "upgrade.json").write_text("{}")
    site.upgrade().finish()
    assert sorted(path.name for path in site.folder.iterdir()) == [
        *("upgrade-0.9-1.0-20260601T000000Z", "upgrade-1.0-2.0-20270101T000000Z", "upgrade.json"),
    ]
    assert site.journal["state"] == "done"


def test_files_are_written_whole_and_closed(module, tmp_path):
    path = tmp_path / "secret"
    path.write_text("a longer text than the new one")
    module.write(path, "short")
    assert path.read_text() == "short" and path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
