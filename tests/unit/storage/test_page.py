"""What docs/storage.md and the role's README show: the examples are valid, and the tables are the ones that the planner prints for them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.mlops.onprem.plugins.module_utils.storage import plan_pools, plan_removal, sharing
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Plan, lines
from ansible_collections.mlops.onprem.plugins.modules.storage_plan import POOL

from .hosts import Host

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/storage.md").read_text()
README = (ROOT / "roles/storage/README.md").read_text()
SPEC = {"pools": {"type": "list", "elements": "dict", "options": POOL, "default": []}, **sharing.OPTIONS}
SERIALS = [f"S64FNE0R80{number}" for number in range(1, 9)]
QUOTAS = ["/srv/mlops/datasets/incoming"]
OPTIONS = "noatime,logbsize=256k,{}nofail,x-systemd.device-timeout=5min"


def blocks(text: str, kind: str) -> list[str]:
    """The code blocks of a kind, without the indentation that a list gives them."""
    # Opening and closing fences take turns.
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(body) for found, body in fenced if found == kind]


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def described(text: str) -> dict[str, Any]:
    """All role variables in the YAML of a section, without the prefix and with the defaults of the module."""
    given: dict[str, Any] = {}
    for block in blocks(text, "yaml"):
        data = yaml.safe_load(block)
        if isinstance(data, list):
            data = data[0]["roles"][0]
        given |= {key[len("storage_") :]: value for key, value in data.items() if key.startswith("storage_")}
    given = {key: value for key, value in given.items() if key in SPEC}
    for key, value in given.items():
        assert "{{" not in str(value) or key == "nfs_listen_addresses", key
    if "nfs_listen_addresses" in given or given.get("exports"):
        given["nfs_listen_addresses"] = ["10.20.0.21"]
    result = ArgumentSpecValidator(SPEC).validate(given)
    assert not result.error_messages, result.error_messages
    parameters: dict[str, Any] = result.validated_parameters
    return parameters


def drives(count: int, size: str, serials: list[str]) -> Host:
    host = Host()
    for number in range(count):
        host.disk(f"nvme{number}n1", serials[number], size)
    return host


def server(failed: str = "") -> Host:
    """The server of the example as the role leaves it; `failed` is the kernel name of a disk that does not serve."""
    host = drives(8, "3.84 TB", SERIALS)
    members = [f"nvme{number}n1" for number in range(8)]
    host.array("md127", "data", 10, *(name + (":faulty" if name == failed else "") for name in members), slots=8)
    host.group("data", "md127")
    total = host.state.groups["data"].extents
    for name, share, quota in (("datasets", 60, "prjquota,"), ("models", 25, "")):
        host.volume("data", name, "linear", total * share // 100)
        device = host.named(f"data-{name}")
        host.file_system(device, "xfs", f"/srv/mlops/{name}")
        host.fstab(f"UUID={device}-0000-uuid", f"/srv/mlops/{name}", OPTIONS.format(quota))
    host.state.with_quotas.add("/srv/mlops/datasets")
    return host


def shown(plan: Plan, text: str) -> None:
    assert not plan.problems, plan.problems
    table = lines(plan.rows)
    assert table
    assert any("\n".join(table) in block for block in blocks(text, "")), "\n".join(table)


ONE = section("Example: one NVMe drive as scratch")
EMPTY = ONE.split("If the drive is not empty")[0]
README_ONE, README_REST = README.split("A server with an array")
README_SERVER = README_REST.split("A client:")[0]
SERVER = section("Example: an NFS server with eight disks")
NODE = section("Example: scratch on a GPU node beside the server's files")
FAILS = section("A disk fails")


def workstation() -> Host:
    return Host().disk("nvme0n1", "S6CKNX0W123456", "2 TB")


def occupied() -> Host:
    return workstation().part("nvme0n1p1").file_system("nvme0n1p1", "ext4").signature("nvme0n1", "gpt")


@pytest.mark.parametrize(
    "text", [EMPTY, SERVER, NODE, README_ONE, README_SERVER], ids=["one", "server", "node", "readme", "readme server"]
)
def test_the_examples_are_valid(text: str) -> None:
    given = described(text)
    assert given["pools"]
    mounts = [mount for pool in given["pools"] for _place, mount in plan_pools.inputs.mount_points(pool)]
    assert sharing.problems(given, mounts) == []


def test_one_drive() -> None:
    pools = described(EMPTY)["pools"]
    shown(plan_pools.make(pools, [], workstation().state), ONE)
    shown(plan_pools.make(described(README_ONE)["pools"], [], workstation().state), README)
    (problem,) = plan_pools.make(pools, [], occupied().state).problems
    assert problem in " ".join(ONE.split())
    pools[0]["devices"] = [{"serial": "S6CKNX0W123456"}]
    shown(plan_pools.make(pools, [], occupied().state, allow_destroy=True), ONE)


def test_the_server() -> None:
    given = described(SERVER)
    quotas = [item["path"] for item in given["directories"] if item["quota"]]
    assert quotas == QUOTAS
    shown(plan_pools.make(given["pools"], quotas, drives(8, "3.84 TB", SERIALS).state), SERVER)


def test_the_server_is_right_afterwards() -> None:
    plan = plan_pools.make(described(SERVER)["pools"], QUOTAS, server().state)
    assert plan.steps == []
    assert {row["action"] for row in plan.rows} == {"keep"}


def test_the_gpu_node_and_four_more_drives() -> None:
    pools = described(NODE)["pools"]
    serials = [f"S64HNG0T40{number}" for number in range(8)]
    shown(plan_pools.make(pools, [], drives(4, "3.84 TB", serials).state), NODE)
    pools[0]["devices"][0]["select"]["count"] = 8
    host = drives(8, "3.84 TB", serials)
    host.group("scratch", *(f"nvme{number}n1" for number in range(4)))
    host.volume("scratch", "all", "striped:4", host.state.groups["scratch"].extents)
    host.file_system(host.named("scratch-all"), "xfs", "/srv/mlops/scratch")
    plan = plan_pools.make(pools, [], host.state)
    assert plan.problems == []
    assert {row["what"]: row["action"] for row in plan.rows}["volume scratch/all"] == "grow"


def test_a_failed_disk() -> None:
    pools = described(SERVER)["pools"]
    host = server(failed="nvme2n1")
    (warning,) = plan_pools.make(pools, QUOTAS, host.state).warnings
    assert warning in " ".join(FAILS.split())
    host.disk("nvme8n1", "S64FNE0R811", "3.84 TB")
    pools[0]["devices"][2] = {"serial": "S64FNE0R811"}
    shown(plan_pools.make(pools, QUOTAS, host.state), FAILS)


def test_a_volume_that_shall_shrink() -> None:
    pools = described(SERVER)["pools"]
    pools[0]["volumes"][0]["size"] = "50%"
    (problem,) = plan_pools.make(pools, QUOTAS, server().state).problems
    assert problem in " ".join(section("Growing").split())


def test_disks_that_moved_are_adopted() -> None:
    """On the new host, nothing is in fstab and nothing mounted."""
    host = server()
    host.state.fstab.clear()
    for mount in [entry for entry in host.state.mounts if entry.mount.startswith("/srv/")]:
        host.state.mounts.remove(mount)
    for block in host.state.blocks.values():
        block.mounts = [mount for mount in block.mounts if not mount.startswith("/srv/")]
    host.state.entries.clear()
    plan = plan_pools.make(described(SERVER)["pools"], QUOTAS, host.state)
    assert plan.problems == []
    assert {row["action"] for row in plan.rows} == {"keep", "mount"}


def test_removal() -> None:
    host = workstation().file_system("nvme0n1", "xfs", "/srv/mlops/scratch")
    host.fstab("UUID=nvme0n1-0000-uuid", "/srv/mlops/scratch", OPTIONS.format(""))
    pools = described(EMPTY)["pools"]
    shown(plan_removal.remove(pools, host.state, data=True), section("Taking it back"))
