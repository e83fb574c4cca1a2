"""What the daily look takes for left over, and above all what it does not."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles/model_registry/files/housekeeping.py"
NOW = 1_800_000_000.0
OLD = NOW - 40 * 86400
RUNS = [letter * 32 for letter in "abcdef"]
MODELS = ["m-" + letter * 32 for letter in "abcdef"]


@pytest.fixture(scope="module")
def house() -> Any:
    spec = importlib.util.spec_from_file_location("housekeeping", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(experiments: Any = None, runs: Any = (), models: Any = (), sources: Any = ()) -> dict[str, Any]:
    return {
        "experiments": experiments or {"1": False},
        "runs": list(runs),
        "models": list(models),
        "sources": list(sources),
    }


def test_only_old_and_deleted_things_are_collected(house):
    every = list(itertools.product((False, True), repeat=2))
    chosen = house.choose(
        rows(
            {"1": False, "2": True, "10": True},
            [(run, "1", gone, old) for run, (gone, old) in zip(RUNS, every)],
            [(model, "1", gone, old, None) for model, (gone, old) in zip(MODELS, every)],
        )
    )
    assert (chosen["runs"], chosen["models"], chosen["experiments"]) == ([RUNS[3]], [MODELS[3]], ["2", "10"])
    assert chosen["used"] == []


@pytest.mark.parametrize(
    ("source", "used"),
    [
        (f"runs:/{RUNS[0]}/model", [RUNS[0]]),
        (f"mlflow-artifacts:/1/{RUNS[0]}/artifacts/model", [RUNS[0]]),
        (f"models:/{MODELS[1]}", [MODELS[1]]),
        (f"mlflow-artifacts:/1/models/{MODELS[1]}/artifacts", [MODELS[1]]),
        # A logged model has a name that ends as a run's: it is not that run.
        (f"models:/m-{RUNS[0]}", []),
        (f"runs:/{RUNS[5]}/model", []),
    ],
)
def test_what_a_registered_version_points_to_is_named(house, source, used):
    chosen = house.choose(
        rows(runs=[(RUNS[0], "1", True, True)], models=[(MODELS[1], "1", True, True, None)], sources=[source])
    )
    assert chosen["used"] == used


def test_what_is_used_within_a_deleted_experiment_is_named(house):
    """gc takes all of it, old or not."""
    chosen = house.choose(
        rows(
            {"2": True}, [(RUNS[0], "2", True, False)], [(MODELS[0], "2", False, False, None)], [f"models:/{MODELS[0]}"]
        )
    )
    assert (chosen["experiments"], chosen["used"]) == (["2"], [MODELS[0]])


@pytest.mark.parametrize("run", [None, RUNS[0], RUNS[1], "f" * 32])
@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("registered", [False, True])
def test_a_logged_model_is_an_orphan_when_its_run_is_gone_and_nobody_registered_it(house, run, gone, old, registered):
    """RUNS[0] is there, RUNS[1] was deleted, the last one is not in the database at all. Without a run, a person made it by hand."""
    chosen = house.choose(
        rows(
            runs=[(RUNS[0], "1", False, False), (RUNS[1], "1", True, True)],
            models=[(MODELS[2], "1", gone, old, run)],
            sources=[f"models:/{MODELS[2]}"] if registered else [],
        )
    )
    is_orphan = run in (RUNS[1], "f" * 32) and old and not gone and not registered
    assert chosen["orphan_models"] == ([MODELS[2]] if is_orphan else [])


def put(path: Path, when: float, text: str = "x" * 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for part in (path, *path.parents):
        if "pytest" in part.name:
            break
        os.utime(part, (when, when))
    return path


@pytest.fixture
def root(tmp_path):
    return tmp_path / "artifacts"


def test_folders_that_the_database_does_not_know_are_found(house, root):
    put(root / "1" / RUNS[0] / "artifacts/model.bin", OLD)
    put(root / "1" / RUNS[1] / "artifacts/model.bin", OLD)
    put(root / "1/models" / MODELS[0] / "artifacts/model.bin", OLD)
    put(root / "1/models" / MODELS[1] / "artifacts/model.bin", OLD)
    put(root / "7" / RUNS[3] / "artifacts/model.bin", OLD)
    known = rows(runs=[(RUNS[0], "1", True, True)], models=[(MODELS[0], "1", False, True, None)])
    found = house.orphan_folders(root, known, NOW - 30 * 86400)
    assert found == [
        (str(root / "1" / RUNS[1]), 10),
        (str(root / "1/models" / MODELS[1]), 10),
        (str(root / "7" / RUNS[3]), 10),
    ]


def test_folders_of_people_and_young_ones_are_not(house, root, tmp_path):
    for path in (
        f"data/{RUNS[1]}/x",
        "1/notes/x",
        f"1/{RUNS[1]}.bak/x",
        f"1/models/{RUNS[1]}/x",
        f"1/traces/{RUNS[1]}/x",
    ):
        put(root / path, OLD)
    # A new file deep inside an old folder.
    put(root / "1" / RUNS[2] / "artifacts/a/b/x", OLD)
    os.utime(root / "1" / RUNS[2] / "artifacts/a/b/x", (NOW, NOW))
    put(tmp_path / "elsewhere" / RUNS[3] / "x", OLD)
    (root / "5").symlink_to(tmp_path / "elsewhere")
    (root / "1" / RUNS[4]).symlink_to(tmp_path / "elsewhere")
    assert house.orphan_folders(root, rows(), NOW - 30 * 86400) == []
    assert house.orphan_folders(root / "not-there", rows(), NOW) == []


def test_partial_uploads_and_temporary_files_are_found_a_day_later(house, root, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    put(root / "1/a/.artifact.uploading.x1", OLD)
    put(root / "1/a/model.bin", OLD)
    put(temporary / "spool/large", OLD)
    put(temporary / "prometheus/gauge.db", OLD)
    put(temporary / "young", NOW)
    real = Path.lstat

    # The time of the last change of a file's record cannot be set, and a new file's is now.
    def aged(path: Any, **more: Any) -> Any:
        found = real(path, **more)
        return SimpleNamespace(st_mtime=found.st_mtime, st_ctime=found.st_mtime, st_size=found.st_size)

    monkeypatch.setattr(Path, "lstat", aged)
    found = house.stale_files(root, temporary, NOW - 86400)
    assert sorted(found) == sorted(
        [(str(root / "1/a/.artifact.uploading.x1"), 10), (str(temporary / "spool/large"), 10)]
    )


def test_a_file_that_was_just_made_is_not_stale_whatever_its_date_says(house, root, tmp_path):
    put(root / "1/.artifact.uploading.x1", OLD)
    assert house.stale_files(root, tmp_path / "tmp", root.stat().st_ctime - 86400) == []


@pytest.fixture
def look(house, root, tmp_path, monkeypatch):
    """A whole look with a stand-in for the database, gc and the API; returns what it found and what it called."""

    def run(**options: Any) -> tuple[dict[str, Any], list[Any]]:
        calls: list[Any] = []
        table = options.pop("table", rows())
        monkeypatch.setattr(house, "read_database", lambda cutoff: table)
        monkeypatch.setattr(house, "collect", lambda config: calls.append("gc"))
        monkeypatch.setattr(house, "call", lambda config, method, path: calls.append((method, path)))
        config = {
            "gc": "report",
            "age_days": 30,
            "orphans": False,
            "shared": True,
            "folders": {"artifacts": str(root), "temporary": str(tmp_path / "tmp")},
            "thresholds": [80, 90],
            **options,
        }
        return house.everything(config, NOW), calls

    return run


LEFT = rows(
    {"1": False},
    [(RUNS[0], "1", True, True)],
    [(MODELS[0], "1", True, True, None), (MODELS[1], "1", False, True, RUNS[0])],
)


def test_a_report_removes_nothing(look, root):
    path = put(root / "1" / RUNS[3] / "x", OLD)
    found, calls = look(table=LEFT)
    assert (found["deleted"]["runs"], found["deleted"]["orphan_models"]) == ([RUNS[0]], [MODELS[1]])
    assert found["orphan_folders"] == [(str(path.parent), 1 * 10)]
    assert (calls, path.exists(), found["failed"]) == ([], True, [])


def test_gc_and_orphans_are_asked_for_apart(look, root):
    path = put(root / "1" / RUNS[3] / "a/b/x", OLD)
    assert look(table=LEFT, gc="delete")[1] == ["gc"]
    assert path.exists()
    assert look(table=LEFT, orphans=True)[1] == [("DELETE", f"/api/2.0/mlflow/logged-models/{MODELS[1]}")]
    assert not (root / "1" / RUNS[3]).exists() and (root / "1").exists()


def test_gc_is_not_called_for_nothing_nor_while_something_is_used(look):
    assert look(gc="delete")[1] == []
    found, calls = look(gc="delete", table={**LEFT, "sources": [f"runs:/{RUNS[0]}/model"]})
    assert calls == []
    assert RUNS[0] in found["failed"][0] and "Restore these, or delete the versions" in found["failed"][0]


def test_of_a_bucket_the_database_is_looked_at_and_no_listing_made(look, root, tmp_path):
    stray = put(root / "1" / RUNS[3] / "x", OLD)
    folders = {"temporary": str(tmp_path / "tmp")}
    found, calls = look(table=LEFT, folders=folders, gc="delete", orphans=True)
    assert found["orphan_folders"] == [] and stray.exists()
    assert calls == ["gc", ("DELETE", f"/api/2.0/mlflow/logged-models/{MODELS[1]}")]


def test_another_server_looks_after_its_temporary_files_only(look, house, tmp_path, monkeypatch):
    spooled = put(tmp_path / "tmp/tmpabc/model.bin", OLD)
    monkeypatch.setattr(
        house, "stale_files", lambda root, temporary, cutoff: [(str(spooled), 10)] if root is None else 1 / 0
    )
    folders = {"temporary": str(tmp_path / "tmp")}
    found, calls = look(table=LEFT, folders=folders, shared=False, gc="delete", orphans=True)
    assert calls == [] and found["deleted"]["runs"] == [] and not spooled.exists()


def test_one_thing_that_cannot_be_removed_stops_no_other(look, root, house, monkeypatch):
    first, second = put(root / "1" / RUNS[3] / "x", OLD), put(root / "1" / RUNS[4] / "x", OLD)
    real = house.remove

    def remove(path: str) -> None:
        if RUNS[3] in path:
            raise PermissionError(path)
        real(path)

    monkeypatch.setattr(house, "remove", remove)
    found, _calls = look(orphans=True)
    assert len(found["failed"]) == 1 and RUNS[3] in found["failed"][0]
    assert first.exists() and not second.exists()


def test_removal_follows_no_link(house, tmp_path):
    kept = put(tmp_path / "kept/file", NOW)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(kept.parent)
    house.remove(str(folder))
    assert kept.exists() and not folder.exists()


@pytest.mark.parametrize(("free", "level"), [(25, 0), (20, 1), (11, 1), (10, 2), (0, 2)])
def test_thresholds(house, monkeypatch, free, level):
    status = SimpleNamespace(f_blocks=100, f_bfree=free, f_bavail=free, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda folder: status)
    found = house.disks({"folders": {"artifacts": "/x"}, "thresholds": [80, 90]})
    assert found == {"artifacts": {"used": round(1 - free / 100, 4), "free": free * 4096, "level": level}}


def test_metrics_are_lines_of_prometheus(house):
    text = house.disk_metrics({"artifacts": {"used": 0.5, "free": 7, "level": 0}}, [80, 90])
    assert 'mlops_model_registry_disk_used_ratio{folder="artifacts"} 0.5\n' in text
    assert 'mlops_model_registry_disk_threshold_ratio{level="critical"} 0.9\n' in text
    found = {"deleted": house.choose(LEFT), "orphan_folders": [("/x", 5)], "stale_files": [], "failed": ["a"]}
    text = house.leftover_metrics(found, NOW)
    assert 'mlops_model_registry_leftovers{kind="runs"} 1\n' in text
    assert 'mlops_model_registry_leftovers_bytes{kind="orphan_folders"} 5\n' in text
    assert "mlops_model_registry_housekeeping_failures 1\n" in text and "{}" not in text
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_a_shorter_text_replaces_a_longer_one(house, tmp_path):
    path = tmp_path / "x.prom"
    path.write_text("something long")
    house.write(path, "short\n")
    assert path.read_text() == "short\n"
    with pytest.raises(FileNotFoundError):
        house.write(tmp_path / "not-made-by-the-unit", "x")


def test_the_program_says_it_in_json_and_with_its_code(house, tmp_path, monkeypatch, capsys):
    (tmp_path / "mlops_model_registry_disk.prom").touch()
    config = {"folders": {"artifacts": str(tmp_path)}, "thresholds": [80, 90], "textfile_dir": str(tmp_path)}
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setattr("sys.argv", ["housekeeping.py", "disk", str(tmp_path / "config")])
    with pytest.raises(SystemExit) as end:
        house.main()
    assert end.value.code == 0
    assert 0 < json.loads(capsys.readouterr().out)["artifacts"]["used"] < 1
    assert "disk_alarm" in (tmp_path / "mlops_model_registry_disk.prom").read_text()
