"""The module around the plan: reasons and steps exclude each other, check mode writes nothing, the journal is what the plan says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.mlops.onprem.plugins.module_utils.storage import journal
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import Unreadable
from ansible_collections.mlops.onprem.plugins.modules import storage_plan

from .hosts import Host

POOL = {"name": "data", "devices": [{"serial": "SDB"}, {"serial": "SDC"}], "raid": {"level": 1}, "mount": "/srv/v"}


@pytest.fixture
def module(monkeypatch, capsys, tmp_path):
    """A function that runs the module on a host and returns what it printed, and the journal after it."""
    path = tmp_path / "journal.json"

    def run(host: Host | Exception, check: bool = False, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        def gather(_run: Any, _mounts: Any, place: str) -> Any:
            if isinstance(host, Exception):
                raise host
            host.state.journal = journal.read(place)
            return host.state

        monkeypatch.setattr(storage_plan, "gather", gather)
        arguments = {"pools": [POOL], "journal": str(path), "_ansible_check_mode": check, **options}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            storage_plan.main()
        return json.loads(capsys.readouterr().out), journal.read(str(path))

    run.path = path
    return run


def test_steps_come_with_the_record_of_what_they_make(module):
    result, noted = module(Host().disks("sdb sdc"))
    assert [step["kind"] for step in result["steps"]] == ["commands"]
    assert result["passes"] == 1
    assert [entry["serial"] for entry in noted["array:data"]["devices"]] == ["SDB", "SDC"]
    assert result["diff"]["after"].startswith("what")


def test_check_mode_plans_the_same_and_writes_nothing(module):
    result, noted = module(Host().disks("sdb sdc"), check=True)
    assert len(result["steps"]) == 1
    assert (noted, module.path.exists()) == ({}, False)


@pytest.mark.parametrize(
    ("host", "options"),
    [
        (Host().disks("sdb"), {}),
        (Host().disks("sdb sdc").file_system("sdc"), {}),
        (Host().disks("sdb sdc"), {"pools": [POOL, {**POOL, "name": "other"}]}),
        (Unreadable("lvm cannot read the volume groups: it ended with 5"), {}),
    ],
)
def test_with_any_reason_to_stop_there_are_no_steps(module, host, options):
    result, noted = module(host, **options)
    assert result["failed"]
    assert result["problems"]
    assert "steps" not in result
    assert noted == {}
    assert all(problem in result["msg"] for problem in result["problems"])
    assert result["msg"].endswith(". Nothing was changed.")


def test_the_record_goes_when_all_is_as_planned(module):
    module(Host().disks("sdb sdc"))
    host = Host().disks("sdb sdc").array("md127", "data", 1, "sdb", "sdc").file_system("md127", at="/srv/v")
    # The array is there: only its mount is still open.
    result, noted = module(host)
    assert [step["kind"] for step in result["steps"]] == ["mount"]
    assert noted == {}
    options = result["steps"][0]["options"]
    result, noted = module(host.fstab("UUID=md127-0000-uuid", "/srv/v", options))
    assert (result["steps"], result["changed"], noted) == ([], False, {})
    assert not module.path.exists()


def test_the_record_stays_while_there_is_a_reason_to_stop(module):
    _result, noted = module(Host().disks("sdb sdc"))
    result, after = module(Host().disks("sdb"))
    assert result["failed"]
    assert after == noted != {}


def test_programs_come_first(module):
    host = Host().disks("sdb sdc")
    host.state.programs = {"mkfs.xfs"}
    result, noted = module(host)
    assert (result["packages"], result["steps"], noted) == (["mdadm"], [], {})


def test_data_is_removed_only_with_both_switches(module):
    host = Host().disks("sdb sdc").array("md127", "data", 1, "sdb", "sdc").file_system("md127", at="/srv/v")
    for destroy, remove, kinds in [
        (False, False, {"unmount"}),
        (True, False, {"unmount"}),
        (False, True, {"unmount"}),
        (True, True, {"unmount", "commands"}),
    ]:
        result, _noted = module(host, state="absent", allow_destroy=destroy, remove_data=remove)
        assert {step["kind"] for step in result["steps"]} == kinds


def test_no_pools_are_nothing_to_do(module):
    result, noted = module(Host(), pools=[])
    assert (result["steps"], result["rows"], noted) == ([], [], {})


def test_the_journal_is_below_the_collections_own_folder():
    assert Path(journal.PATH).parts[:4] == ("/", "var", "lib", "mlops-onprem")
