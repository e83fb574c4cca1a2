"""The reboot is decided by what is loaded and what is installed, and never on the computer that Ansible runs on."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.filter.gpu_driver_reboot import reboot

OLD, NEW = {"version": "580.178.04", "flavour": "open"}, {"version": "595.91.07", "flavour": "open"}
RUNS, NEXT = "6.1.0-40-amd64", "6.1.0-41-amd64"


def state(loaded: Any = None, running: Any = None, following: Any = None, **more: Any) -> dict[str, Any]:
    modules = {release: module for release, module in ((RUNS, running), (NEXT, following)) if module}
    return {"container": False, "kernel": {"running": RUNS}, "modules": modules, "loaded": loaded, **more}


# What is loaded, what is on the disk for the running and the next kernel, and whether that needs a reboot.
CASES = {
    "nothing is installed": (state(), None),
    "not loaded yet: the first question loads it": (state(None, NEW), None),
    "loaded and installed are the same": (state(NEW, NEW), None),
    "the installed one is newer": (state(OLD, NEW), "580.178.04 is loaded, 595.91.07 is installed"),
    "the way back is one, too": (state(NEW, OLD), "595.91.07 is loaded, 580.178.04 is installed"),
    "another flavour of the same version": (
        state({**NEW, "flavour": "proprietary"}, NEW),
        "the proprietary module is loaded, the open one is installed",
    ),
    "a flavour that nobody tells is no difference": (state({**NEW, "flavour": None}, NEW), None),
    "nouveau holds the GPUs": (state(None, NEW, nouveau={"loaded": True}), "nouveau is loaded"),
    "nouveau beside a loaded driver holds none": (state(NEW, NEW, nouveau={"loaded": True}), None),
    "built for the next kernel only": (state(None, None, NEW), f"is there for {NEXT} only"),
    "the kernel's own amdgpu states no version": (state({"version": None}, {"version": "6.10.5"}), None),
}


@pytest.mark.parametrize("name", CASES)
def test_whether_a_reboot_is_needed(name):
    info, reason = CASES[name]
    found = reboot(info)
    assert found["needed"] is (reason is not None)
    assert found["reboot"] is found["needed"]
    assert found["pending"] is False
    if reason:
        assert reason in found["message"]
    else:
        assert found["message"] == ""


NEEDED = state(OLD, NEW)
FINE = state(NEW, NEW)


@pytest.mark.parametrize(
    ("info", "policy", "changed", "does", "pending"),
    [
        (NEEDED, "never", True, False, True),
        (NEEDED, "if_needed", False, True, False),
        (NEEDED, "always", False, True, False),
        (FINE, "if_needed", True, False, False),
        (FINE, "always", True, True, False),
        # A second run changes nothing, and so reboots nothing.
        (FINE, "always", False, False, False),
        (FINE, "never", True, False, False),
    ],
)
def test_the_policy(info, policy, changed, does, pending):
    found = reboot(info, policy, "ssh", changed)
    assert (found["reboot"], found["pending"]) == (does, pending)
    assert bool(found["message"]) is (does or pending)


@pytest.mark.parametrize("policy", ["never", "if_needed", "always"])
@pytest.mark.parametrize("changed", [True, False])
def test_never_on_a_local_connection_and_never_a_container(policy, changed):
    local = reboot(NEEDED, policy, "local", changed)
    assert (local["reboot"], local["pending"]) == (False, True)
    assert "the computer that Ansible runs on" in local["message"]
    container = reboot({**NEEDED, "container": True}, policy, "docker", changed)
    assert (container["reboot"], container["pending"]) == (False, True)
    assert "container" in container["message"]
    assert reboot(FINE, policy, "local", changed)["reboot"] is False


@pytest.mark.parametrize("info", [{}, {"kernel": None, "modules": None, "loaded": None, "nouveau": None}])
def test_a_host_of_which_nothing_is_known_is_not_rebooted(info):
    assert reboot(info)["reboot"] is False


@pytest.mark.parametrize(("info", "policy"), [(None, "never"), ([], "never"), ({}, "sometimes")])
def test_what_is_no_state_or_no_policy_is_an_error(info, policy):
    with pytest.raises(AnsibleFilterError, match="gpu_driver_reboot"):
        reboot(info, policy)
