"""A requirement can only name facts that the facts module really returns."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.derived import DERIVED
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.fact_paths import FACTS
from samples import ROOT


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    subprocess.run([sys.executable, ROOT / "scripts/lab/simulated_gpu_server.py", folder], check=True)
    return gather(str(folder / "root"), (folder / "root/nvidia-smi.xml").read_bytes(), None)


# Slots and modules of real servers: SYS-4029GP (two slots a channel), AS-4124GS (every channel filled), an 8-socket SR950.
@pytest.mark.parametrize(("slots", "used", "missing"), [(24, 4, 8), (32, 16, 0), (128, 8, 56), (8, 3, 1), (1, 1, 0)])
def test_modules_that_are_missing(slots, used, missing):
    facts = {"memory": {"dimm_slots": slots, "dimms_populated": used}}
    assert DERIVED["memory.dimms_missing"](facts) == missing
    assert set(DERIVED) <= set(FACTS)


@pytest.mark.parametrize("memory", [{}, None, 4, {"dimm_slots": 8}, {"dimm_slots": 8, "dimms_populated": True}])
def test_modules_that_are_not_known(memory):
    assert DERIVED["memory.dimms_missing"]({"memory": memory}) is None


@pytest.mark.parametrize("path", sorted(set(FACTS) - set(DERIVED)))
def test_path_is_in_the_facts(simulated, path):
    first, *fields = path.split(".")
    found = simulated[first.replace("[]", "")]
    if "[]" in first:
        assert isinstance(found, list)
        assert found, "the simulated machine has none of these: the test would prove nothing"
        found = found[0]
    for field in fields:
        assert field in found, path
        found = found[field]
