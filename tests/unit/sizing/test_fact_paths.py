"""A requirement can only name facts that the facts module really returns."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.fact_paths import FACTS
from samples import ROOT


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    subprocess.run([sys.executable, ROOT / "scripts/lab/simulated_gpu_server.py", folder], check=True)
    return gather(str(folder / "root"), (folder / "root/nvidia-smi.xml").read_bytes(), None)


@pytest.mark.parametrize("path", FACTS)
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
