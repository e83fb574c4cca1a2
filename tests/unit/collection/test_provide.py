"""What the entry point `provide` of the role common finds to differ."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

PROBE = Path(__file__).resolve().parents[3] / "roles/common/files/provide_probe.py"
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


def probe(path=None, **wanted) -> dict:
    given = {"packages": [], "units": [], "enabled": [], "masked": [], "stopped": [], "directories": [], "files": []}
    given |= {"no_reload": False, **wanted}
    # Without a PATH, systemctl is not found: as in a container without systemd.
    environment = {"PATH": str(path)} if path else {}
    answer = subprocess.run(
        [sys.executable, str(PROBE)],
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
    )
    return json.loads(answer.stdout)


def file(path: Path, text: str, mode="0644") -> dict:
    return {"path": str(path), "mode": mode, "sha256": hashlib.sha256(text.encode()).hexdigest(), **ME}


def systemctl(folder: Path, *units: dict) -> Path:
    """A systemctl that knows these units."""
    blocks = "\n\n".join("\n".join(f"{key}={value}" for key, value in unit.items()) for unit in units)
    program = folder / "systemctl"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{blocks}\nEND\n")
    program.chmod(0o755)
    return Path(f"{folder}:/usr/bin:/bin")


def state(name: str, **values) -> dict:
    return {
        "Id": name,
        "LoadState": "loaded",
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "NeedDaemonReload": "no",
        **values,
    }


def test_nothing_wanted_is_nothing_to_do():
    assert probe()["differs"] is False


def test_files_are_compared_by_content_mode_and_owner(tmp_path):
    there = tmp_path / "there"
    there.write_text("one")
    there.chmod(0o644)
    assert probe(files=[file(there, "one")])["differs"] is False
    for other in (file(there, "two"), file(there, "one", "0600"), {**file(there, "one"), "owner": "no-such-user"}):
        assert probe(files=[other])["files"] == [str(there)]
    missing = tmp_path / "no/such"
    answer = probe(files=[file(missing, "one")])
    assert (answer["files"], answer["homeless"]) == ([str(missing)], [str(missing)])


def test_a_file_that_must_not_be_there(tmp_path):
    there = tmp_path / "there"
    there.touch()
    assert probe(files=[{"path": str(there), "absent": True}])["files"] == [str(there)]
    there.unlink()
    assert probe(files=[{"path": str(there), "absent": True}])["differs"] is False


def test_folders(tmp_path):
    tmp_path.chmod(0o755)
    assert probe(directories=[{"path": str(tmp_path), "mode": "0755", **ME}])["differs"] is False
    assert probe(directories=[{"path": str(tmp_path), "mode": "0700", **ME}])["directories"] == [str(tmp_path)]
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o755)
    assert probe(directories=[{"path": str(tmp_path / "file"), "mode": "0755", **ME}])["differs"]


def test_a_package_that_is_not_installed_is_missing():
    assert probe(path="/usr/bin:/bin", packages=["no-such-package"])["packages"] == ["no-such-package"]


def test_units_run_and_start_at_boot(tmp_path):
    path = systemctl(tmp_path, state("a.timer"), state("b.automount", UnitFileState="generated"))
    assert probe(path=path, units=["a.timer", "b.automount"])["differs"] is False
    path = systemctl(tmp_path, state("a.timer", ActiveState="inactive"), state("b.timer", UnitFileState="disabled"))
    assert probe(path=path, units=["a.timer", "b.timer"])["units"] == ["a.timer", "b.timer"]


def test_systemd_reads_what_it_does_not_know_yet(tmp_path):
    path = systemctl(tmp_path, state("a.timer", NeedDaemonReload="yes"))
    assert probe(path=path, units=["a.timer"])["reload"]
    path = systemctl(tmp_path, state("a.automount", LoadState="not-found", ActiveState="inactive"))
    assert probe(path=path, units=["a.automount"])["reload"]


def test_units_that_only_start_at_boot(tmp_path):
    path = systemctl(tmp_path, state("a.service", ActiveState="inactive"), state("b.service", UnitFileState="disabled"))
    assert probe(path=path, enabled=["a.service", "b.service"])["enabled"] == ["b.service"]
    # No systemd answers, and systemctl is-enabled says what is on the disk.
    program = tmp_path / "systemctl"
    program.write_text('#!/bin/sh\n[ "$1" = is-enabled ] || exit 1\n[ "$3" != a.service ] || echo enabled\n')
    assert probe(path=path, enabled=["a.service", "b.service"])["enabled"] == ["b.service"]


def test_systemd_reads_nothing_where_containers_would_lose_their_devices(tmp_path):
    path = systemctl(tmp_path, state("a.timer", NeedDaemonReload="yes"))
    assert probe(path=path, units=["a.timer"])["differs"]
    assert not probe(path=path, units=["a.timer"], no_reload=True)["differs"]


def test_masked_and_stopped_units(tmp_path):
    path = systemctl(tmp_path, state("rpc.socket", LoadState="masked", ActiveState="inactive", UnitFileState="masked"))
    assert probe(path=path, masked=["rpc.socket"])["differs"] is False
    path = systemctl(tmp_path, state("rpc.socket"))
    assert probe(path=path, masked=["rpc.socket"])["masked"] == ["rpc.socket"]
    assert probe(path=path, stopped=["rpc.socket"])["stopped"] == ["rpc.socket"]
    path = systemctl(tmp_path, state("rpc.socket", LoadState="not-found", ActiveState="inactive", UnitFileState=""))
    assert probe(path=path, stopped=["rpc.socket"])["differs"] is False


def test_without_systemd_every_unit_differs():
    assert probe(units=["a.timer"])["units"] == ["a.timer"]
