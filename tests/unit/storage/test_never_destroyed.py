"""What must survive, case by case: each of these hosts has something on a disk that a plan could take for free."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.storage import plan_pools

from .hosts import Host, pool, select, volume


def only_problem(plan) -> str:
    """The one reason of a plan that stops."""
    assert len(plan.problems) == 1, plan.problems
    return plan.problems[0]


def test_a_file_system_on_an_array_is_not_wiped_for_a_group_whatever_the_switch_says():
    host = Host().disks("sdb sdc").array("md127", "data", 1, "sdb", "sdc").file_system("md127", "ext4")
    for devices in (["SDB", "SDC"], [select(kind="nvme")]):
        wish = pool("data", *devices, level=1, volumes=[volume("v", "rest", "/srv/v")])
        plan = plan_pools.make([wish], [], host.state, allow_destroy=True)
        problem = only_problem(plan)
        assert problem.startswith(
            "pool data: md127 is not empty: ext4 signature; if nothing on it is needed, run 'wipefs"
        )
        assert "storage_allow_destroy" not in problem


def test_a_file_system_of_another_type_on_a_volume_or_array_is_not_wiped_whatever_the_switch_says():
    host = Host().disks("sdb sdc").array("md127", "data", 1, "sdb", "sdc").file_system("md127", "ext4")
    plan = plan_pools.make([pool("data", "SDB", "SDC", level=1, mount="/srv/v")], [], host.state, allow_destroy=True)
    assert "md127 is not empty: ext4 signature" in only_problem(plan)
    assert "storage_allow_destroy" not in plan.problems[0]


def test_the_last_good_member_of_an_array_is_not_wiped_for_a_new_one_of_its_name():
    # SDB died and went, SDX came in its place, and the array was not started: all data is on SDC.
    host = Host().disks("sdc sdx").signature("sdc", "linux_raid_member", "data")
    plan = plan_pools.make([pool("data", "SDC", "SDX", level=1, mount="/srv/v")], [], host.state, allow_destroy=True)
    assert plan.problems == []
    assert [command for step in plan.steps for command in step["commands"]] == [
        ["mdadm", "--assemble", "/dev/md/data", "/dev/sdc"],
        ["udevadm", "settle"],
    ]


def test_an_inactive_array_of_other_disks_is_not_stopped_because_it_has_the_pools_name():
    host = Host().disks("sdb sdc sdd sde").array("md127", "data", 1, "sdd", slots=2, state="inactive")
    host.journal("array:data", "sdb", "sdc")
    plan = plan_pools.make([pool("data", "SDB", "SDC", level=1, mount="/srv/v")], [], host.state)
    assert "sdd (serial SDD)" in only_problem(plan)


def test_a_record_that_is_older_than_the_array_frees_no_disk():
    # The array was made in a run that failed later on; since then it holds data.
    wish = pool("data", "SDB", "SDC", level=1, mount="/srv/v")
    whole = Host().disks("sdb sdc").array("md127", "data", 1, "sdb", "sdc").file_system("md127", at="/srv/v")
    whole.journal("array:data", "sdb", "sdc")
    plan = plan_pools.make([wish], [], whole.state)
    assert "array:data" not in plan.noted(whole.state.journal)
    # Even with other pools' problems.
    plan = plan_pools.make([wish, pool("other", "NONE", mount="/srv/w")], [], whole.state)
    assert plan.problems
    assert "array:data" not in plan.noted(whole.state.journal)


def test_a_record_with_another_serial_frees_no_disk():
    host = Host().disks("sdb sdc").signature("sdb", "linux_raid_member", "data")
    host.state.journal = {
        "array:data": {"devices": [{"device": "/dev/sdb", "serial": "OLD"}, {"device": "/dev/sdc", "serial": "SDC"}]}
    }
    plan = plan_pools.make([pool("data", "SDB", "SDC", level=1, mount="/srv/v")], [], host.state)
    assert not any("--zero-superblock" in command for step in plan.steps for command in step.get("commands", []))


def test_a_record_of_one_partition_frees_no_other():
    host = Host().disks("sdb").part("sdb1").part("sdb2").signature("sdb", "gpt").signature("sdb2", "LVM2_member")
    host.journal("group:data", "sdb1")
    wish = pool("data", "/dev/disk/by-partuuid/sdb2-0001", volumes=[volume("v", "rest", "/srv/v")])
    assert "sdb2 (serial SDB) is not empty: LVM2_member" in only_problem(plan_pools.make([wish], [], host.state))


def test_a_volume_whose_device_is_not_there_gets_no_new_file_system():
    host = Host().disks("sdb").group("data", "sdb", v=("linear", 2560))
    del host.state.blocks[host.named("data-v")]
    plan = plan_pools.make([pool("data", "SDB", volumes=[volume("v", "10 GiB", "/srv/v")])], [], host.state)
    assert only_problem(plan) == (
        "pool data, volume v: lvm has it and the kernel does not, so what is on it cannot be told; activate it ('lvchange --activate y data/v')"
    )
