"""The module that writes files: many in one execution, whole or not at all."""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.mlops.onprem.plugins.modules import host_files

ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.fixture
def run(capsys, tmp_path):
    def go(check=False, failed=False, **arguments):
        given = {key: [{**ME, **entry} for entry in entries] for key, entries in arguments.items()}
        with patch_module_args({**given, "_ansible_check_mode": check, "_ansible_remote_tmp": str(tmp_path / "tmp")}):
            (tmp_path / "tmp").mkdir(exist_ok=True)
            with pytest.raises(SystemExit):
                host_files.main()
        answer = json.loads(capsys.readouterr().out)
        assert answer.get("failed", False) is failed, answer
        return answer

    return go


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_written_once(run, tmp_path):
    path = tmp_path / "one"
    entry = {"path": str(path), "content": "über\n", "mode": "0640"}
    first = run(files=[entry])
    assert (first["changed"], first["paths"]) == (True, [str(path)])
    assert (path.read_text(encoding="utf-8"), mode(path)) == ("über\n", 0o640)
    assert run(files=[entry])["changed"] is False
    path.chmod(0o600)
    assert run(files=[entry])["changed"] is True
    assert mode(path) == 0o640


def test_a_file_without_content_must_not_be_there(run, tmp_path):
    path = tmp_path / "one"
    path.write_text("old")
    assert run(files=[{"path": str(path)}])["diff"][0]["before"] == "old"
    assert not path.exists()
    assert run(files=[{"path": str(path)}])["changed"] is False


def test_folders_come_first_with_those_above(run, tmp_path):
    inner = tmp_path / "a/b"
    run(directories=[{"path": str(inner), "mode": "0750"}], files=[{"path": str(inner / "f"), "content": "x"}])
    assert (mode(tmp_path / "a"), mode(inner), (inner / "f").read_text()) == (0o755, 0o750, "x")


def test_check_mode_predicts_and_writes_nothing(run, tmp_path):
    wanted = {
        "directories": [{"path": str(tmp_path / "a")}],
        "files": [{"path": str(tmp_path / "a/f"), "content": "x"}],
    }
    predicted = run(check=True, **wanted)
    assert not (tmp_path / "a").exists()
    assert predicted["paths"] == run(**wanted)["paths"] == [str(tmp_path / "a"), str(tmp_path / "a/f")]


def test_a_text_that_is_not_right_is_not_written(run, tmp_path):
    path = tmp_path / "one"
    path.write_text("good")
    answer = run(failed=True, files=[{"path": str(path), "content": "bad", "validate": "grep good %s"}])
    assert str(path) in answer["msg"]
    assert path.read_text() == "good"
    run(files=[{"path": str(path), "content": "good too", "validate": "grep good %s"}])
    assert path.read_text() == "good too"


def test_what_cannot_be_written_is_named(run, tmp_path):
    path = tmp_path / "none/f"
    assert str(path) in run(failed=True, files=[{"path": str(path), "content": "x"}])["msg"]
