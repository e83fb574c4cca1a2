"""Removal: mounts by default, and the rest only with both switches, only of what the pools name, and nothing of anybody else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.storage import plan_removal

from .hosts import Host, pool, volume

WISH = pool("data", "SDB", "SDC", level=1, volumes=[volume("v", "10 GiB", "/srv/v")])
PLAIN = pool("data", "SDB", "SDC", volumes=[volume("v", "10 GiB", "/srv/v")])


def commands(plan) -> list[list[str]]:
    return [command for step in plan.steps for command in step.get("commands", [])]


def whole(**more: Any) -> Host:
    host = (
        Host()
        .disks("sdb sdc sdd sde")
        .array("md127", "data", 1, "sdb", "sdc")
        .group("data", "md127", v=("linear", 2560), **more)
    )
    return host.file_system(host.named("data-v"), at="/srv/v").fstab("UUID=dm-0-0000-uuid", "/srv/v")


def test_mounts_go_and_data_stays():
    plan = plan_removal.remove([WISH], whole().state, data=False)
    assert [(step["kind"], step["mount"]) for step in plan.steps] == [("unmount", "/srv/v")]


def test_with_both_switches_all_layers_go_from_the_top():
    plan = plan_removal.remove([WISH], whole().state, data=True)
    assert plan.problems == []
    assert [step["kind"] for step in plan.steps] == ["unmount", "commands", "commands", "commands"]
    assert [command[0] for command in commands(plan)] == [
        "vgremove",
        "pvremove",
        "wipefs",
        "mdadm",
        "wipefs",
        "udevadm",
    ]
    assert commands(plan)[4][-2:] == ["/dev/sdb", "/dev/sdc"]


def test_a_second_time_there_is_nothing_to_do():
    plan = plan_removal.remove([WISH], Host().disks("sdb sdc").state, data=True)
    assert (plan.steps, plan.problems) == ([], [])


@pytest.mark.parametrize("layout", ["linear", "thin,sparse", "thin,pool"])
def test_volumes_of_others_in_the_group_stop_it(layout):
    plan = plan_removal.remove([WISH], whole(theirs=(layout, 10)).state, data=True)
    assert plan.problems == [
        "pool data: group data also holds theirs, which storage_pools does not name; remove or move that first"
    ]


def test_a_group_of_the_pools_name_on_other_disks_stays():
    host = Host().disks("sdb sdc sdd").group("data", "sdd", v=("linear", 10))
    plan = plan_removal.remove([PLAIN], host.state, data=True)
    assert plan.steps == []
    assert plan.problems == [
        "pool data: group data is also on sdd (serial SDD), which devices does not name; name it, or remove the group by hand"
    ]


def test_an_array_of_the_pools_name_on_other_disks_stays():
    host = Host().disks("sdb sdc sdd sde").array("md127", "data", 1, "sdd", "sde").file_system("md127")
    plan = plan_removal.remove([WISH], host.state, data=True)
    assert commands(plan) == []
    assert plan.problems == [
        "pool data: array md127 is also on sdd (serial SDD), sde (serial SDE), which devices does not name; name it, or remove the array by hand"
    ]


def test_what_somebody_else_mounted_there_stays():
    host = Host().disks("sdb sdc sdd").file_system("sdd", at="/srv/v").fstab("UUID=sdd-0000-uuid", "/srv/v")
    plan = plan_removal.remove([PLAIN], host.state, data=True)
    assert plan.steps == []
    assert plan.warnings == [
        "pool data, volume v: at /srv/v, /dev/sdd is mounted, which is none of the pool's; it stays"
    ]


def test_a_line_of_somebody_elses_disk_stays_in_fstab():
    host = Host().disks("sdb sdc sdd").file_system("sdd").fstab("UUID=sdd-0000-uuid", "/srv/v")
    assert plan_removal.remove([PLAIN], host.state, data=False).steps == []


def test_a_line_of_a_disk_that_is_gone_is_removed():
    host = Host().disks("sdb").fstab("UUID=gone", "/srv/v")
    assert [step["kind"] for step in plan_removal.remove([PLAIN], host.state, data=False).steps] == ["unmount"]


def test_a_disk_that_the_record_names_and_that_holds_something_else_by_now_is_not_wiped():
    host = (
        Host().disks("sdb sdc").journal("group:data", "sdb", "sdc").file_system("sdb").signature("sdc", "LVM2_member")
    )
    plan = plan_removal.remove([PLAIN], host.state, data=True)
    assert [command[-1] for command in commands(plan) if command[0] == "wipefs"] == ["/dev/sdc"]


def test_a_removal_that_was_cut_off_after_the_group_is_completed():
    host = Host().disks("sdb sdc").signature("sdb", "LVM2_member").signature("sdc", "LVM2_member")
    plan = plan_removal.remove([PLAIN], host.state, data=True)
    assert commands(plan)[0][-2:] == ["/dev/sdb", "/dev/sdc"]


def test_a_pool_of_one_file_system_is_unmounted_and_its_disk_wiped():
    host = Host().disks("sdb").file_system("sdb", at="/srv/v").fstab("UUID=sdb-0000-uuid", "/srv/v")
    plan = plan_removal.remove([pool("data", "SDB", mount="/srv/v")], host.state, data=True)
    assert [step["kind"] for step in plan.steps] == ["unmount", "commands"]


def test_deeper_mounts_go_first():
    host = Host().disks("sdb sdc").file_system("sdb", at="/srv/v").file_system("sdc", at="/srv/v/w")
    pools = [pool("one", "SDB", mount="/srv/v"), pool("two", "SDC", mount="/srv/v/w")]
    assert [step["mount"] for step in plan_removal.remove(pools, host.state, data=False).steps] == [
        "/srv/v/w",
        "/srv/v",
    ]


def test_bad_input_plans_nothing():
    assert plan_removal.remove([pool("data", "SDB")], Host().disks("sdb").state, data=True).problems
