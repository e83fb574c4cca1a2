"""The module and the action around it: arguments in, facts out."""

from __future__ import annotations

import json
import time

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.plugins.action import ActionBase
from ansible_collections.mlops.onprem.plugins.action.survey_facts import ActionModule
from ansible_collections.mlops.onprem.plugins.modules import survey_facts
from hardware.trees import write

from .machine import SERVER


def run(capsys, **arguments):
    with patch_module_args(arguments), pytest.raises(SystemExit):
        survey_facts.main()
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_flow_is_a_target_as_it_is(check_mode, tmp_path, capsys):
    flow = {"from": ["a"], "to": "db", "address": "10.0.0.2", "port": 5432, "required": False}
    root = str(write(tmp_path, SERVER))
    result = run(capsys, root=root, targets=[flow], names=["x"], _ansible_check_mode=check_mode)
    survey = result["ansible_facts"]["mlops_survey"]
    assert result["changed"] is False
    assert (survey["reach"][0]["host"], survey["reach"][0]["address"]) == ("db", "10.0.0.2")
    assert survey["dns"]["names"][0]["name"] == "x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": "/nonexistent"}, "root: /nonexistent is no directory"),
        ({"timeout": 0}, "timeout: 0.0 is not between"),
        ({"timeout": 61}, "timeout: 61.0 is not between"),
        ({"targets": [{"host": "a", "port": 0}]}, "port 0 of a is not between"),
        ({"targets": [{"host": "a", "port": 1, "protocol": "udp"}]}, "udp"),
    ],
)
def test_bad_arguments_are_named(arguments, message, capsys):
    result = run(capsys, **arguments)
    assert result["failed"] is True
    assert message in result["msg"]


@pytest.mark.parametrize("ahead", [0, 3600])
def test_the_action_compares_the_clocks(ahead, monkeypatch):
    def module(**_more):
        times = {"clock_utc": time.time() + ahead, "clock_utc_end": time.time() + ahead}
        return {"changed": False, "ansible_facts": {"mlops_survey": {"time": times, "unreadable": []}}}

    monkeypatch.setattr(ActionBase, "run", lambda *_args: {})
    action = ActionModule.__new__(ActionModule)
    monkeypatch.setattr(action, "_execute_module", module, raising=False)
    found = action.run(None, {})["ansible_facts"]["mlops_survey"]["time"]
    assert abs(found["offset_seconds"] - ahead) <= found["offset_error_seconds"] + 0.001


def test_a_module_that_failed_stays_failed(monkeypatch):
    monkeypatch.setattr(ActionBase, "run", lambda *_args: {})
    action = ActionModule.__new__(ActionModule)
    monkeypatch.setattr(action, "_execute_module", lambda **_more: {"failed": True, "msg": "x"}, raising=False)
    assert action.run(None, {}) == {"failed": True, "msg": "x"}
