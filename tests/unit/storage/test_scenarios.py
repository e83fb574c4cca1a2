"""One situation at a time: what is on the host, what is wanted, and what the plan says and does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.storage import plan_pools
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Plan
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_file_systems import options_of

from .hosts import EXTENT, GIB, MIB, Host, pool, select, volume
from .test_convergence import cut_everywhere

MIRROR = pool("data", "SDB", "SDC", level=1, mount="/srv/v")


def make(host: Host, *pools: dict[str, Any], quotas: tuple[str, ...] = (), allow: bool = False) -> Plan:
    before = copy.deepcopy(host.state)
    plan = plan_pools.make(list(pools), list(quotas), host.state, allow)
    assert host.state == before, "a plan changes what it was given"
    return plan


def commands(plan: Plan) -> list[list[str]]:
    return [c for step in plan.steps for c in step.get("commands", []) if c[0] != "udevadm"]


def only(plan: Plan) -> str:
    assert len(plan.problems) == 1, plan.problems
    return plan.problems[0]


def action(plan: Plan, what: str) -> str:
    return next(row["action"] for row in plan.rows if row["what"] == what)


def mirror(*members: str, **more: Any) -> Host:
    """An array of the pool `data`, with its file system mounted."""
    host = Host().disks("sdb sdc sdd sde").array("md127", "data", 1, *(members or ("sdb", "sdc")), **more)
    return host.file_system("md127", at="/srv/v").fstab("UUID=md127-0000-uuid", "/srv/v", KEPT)


KEPT = "noatime,logbsize=256k,nofail,x-systemd.device-timeout=5min"


# Arrays


def test_a_whole_array_is_kept():
    plan = make(mirror(), MIRROR)
    assert (plan.steps, plan.problems, plan.warnings) == ([], [], [])
    assert [row["action"] for row in plan.rows] == ["keep", "keep", "keep"]


def test_an_array_that_was_assembled_under_another_name_is_adopted():
    host = mirror()
    host.state.blocks["md127"].array.name = "oldhost"
    assert make(host, MIRROR).steps == []


def test_a_degraded_array_is_told_and_kept():
    plan = make(mirror("sdb", "sdc:faulty", slots=2), MIRROR)
    assert (plan.steps, plan.problems) == ([], [])
    assert plan.warnings == [
        "pool data: array data (md127) is degraded: sdc does not serve. It still works, and the next failure may lose all. "
        "Replace the disk, name the new one in its place in devices, and run this again"
    ]
    assert action(plan, "array data") == "DEGRADED"


def test_a_disk_that_is_gone_is_named():
    plan = make(mirror("sdb", slots=2).without("sdc"), MIRROR)
    assert "serial SDC does not serve" in plan.warnings[0]


def test_a_disk_that_is_gone_from_a_group_on_a_whole_array_is_told():
    host = mirror("sdb", "sdc").without("sdd")
    plan = make(host, pool("data", "SDB", "SDC", "SDD", level=1, spares=1, mount="/srv/v"))
    assert plan.warnings == ["pool data: serial SDD is not in this host, and array md127 is whole without it"]


def test_a_failed_disk_is_replaced_by_the_new_one_that_is_named():
    plan = make(mirror("sdb", "sdc:faulty", slots=2), pool("data", "SDB", "SDD", level=1, mount="/srv/v"))
    assert commands(plan) == [
        ["mdadm", "/dev/md127", "--remove", "failed"],
        ["mdadm", "/dev/md127", "--remove", "detached"],
        ["mdadm", "/dev/md127", "--add", "/dev/sdd"],
    ]
    assert action(plan, "array data") == "replace"


def test_a_new_disk_replaces_a_lost_one_that_is_still_named():
    host = mirror("sdb", slots=2).without("sdc")
    plan = make(host, pool("data", "SDB", "SDC", "SDD", level=1, mount="/srv/v"))
    assert commands(plan)[-1] == ["mdadm", "/dev/md127", "--add", "/dev/sdd"]
    assert not any("--grow" in command for command in commands(plan))


def test_a_rebuild_is_not_called_degraded():
    plan = make(mirror("sdb", "sdc:spare", slots=2, action="recover", done="25 / 100"), MIRROR)
    assert (plan.steps, plan.warnings) == ([], [])
    assert action(plan, "array data") == "rebuilding"
    assert "recover 25 %" in plan.rows[0]["found"]


def test_a_disk_that_is_too_small_is_refused():
    host = mirror("sdb", slots=2).disk("sdx", "SDX", "50 GiB")
    problem = only(make(host, pool("data", "SDB", "SDX", level=1, mount="/srv/v")))
    assert problem == (
        "pool data: array md127 needs 99.9 GiB of each disk, and sdx (serial SDX) has 50 GiB; name a disk that is large enough"
    )


def test_growth_waits_until_the_array_is_whole_and_idle():
    wish = pool("data", "SDB", "SDC", "SDD", level=1, mount="/srv/v")
    plan = make(mirror("sdb", "sdc", "sdd:spare", slots=2, action="resync"), wish)
    assert (plan.steps, plan.problems) == ([], [])
    assert plan.warnings == [
        "pool data: array md127 (raid1 of 2, resync) grows to 3 disks only when it is whole and idle; run this again then"
    ]


def test_a_degraded_array_with_more_disks_is_mended_first():
    wish = pool("data", "SDB", "SDD", "SDE", level=1, mount="/srv/v")
    plan = make(mirror("sdb", "sdc:faulty", slots=2), wish)
    assert commands(plan)[-1] == ["mdadm", "/dev/md127", "--add", "/dev/sdd", "/dev/sde"]
    assert "grows to 3 disks only when it is whole" in plan.warnings[0]


def test_a_reshape_that_runs_is_left_alone():
    host = (
        Host()
        .disks("sdb sdc sdd sde")
        .array("md127", "data", 5, "sdb", "sdc", "sdd", "sde", action="reshape", done="none")
    )
    host.file_system("md127", at="/srv/v").fstab("UUID=md127-0000-uuid", "/srv/v", KEPT)
    plan = make(host, pool("data", *["SDB", "SDC", "SDD", "SDE"], level=5, mount="/srv/v"))
    assert (plan.steps, plan.problems) == ([], [])
    assert plan.warnings and "run this again then" in plan.warnings[0].lower()


@pytest.mark.parametrize(("level", "count"), [(1, 2), (5, 3), (6, 4), (10, 4)])
def test_each_level_with_copies_grows_by_a_disk(level, count):
    names = ["sdb", "sdc", "sdd", "sde", "sdf"]
    host = Host().disks(" ".join(names)).array("md127", "data", level, *names[:count]).file_system("md127", at="/srv/v")
    plan = make(host, pool("data", *(name.upper() for name in names[: count + 1]), level=level, mount="/srv/v"))
    assert plan.problems == []
    assert commands(plan)[:2] == [
        ["mdadm", "/dev/md127", "--add", f"/dev/{names[count]}"],
        ["mdadm", "--grow", "/dev/md127", f"--raid-devices={count + 1}"],
    ]


def test_level_0_does_not_grow():
    host = Host().disks("sdb sdc sdd").array("md127", "data", 0, "sdb", "sdc")
    problem = only(make(host, pool("data", "SDB", "SDC", "SDD", level=0, mount="/srv/v")))
    assert problem == "pool data: an array of level 0 is not grown by disks; make another pool of sdd (serial SDD)"


def test_level_0_of_unequal_disks_is_no_reason_to_grow_it():
    host = Host().disk("sdb", "SDB", "100 GiB").disk("sdc", "SDC", "200 GiB").array("md127", "data", 0, "sdb", "sdc")
    host.state.blocks["md127"].array.component_bytes = 50 * GIB
    host.file_system("md127", at="/srv/v").fstab("UUID=md127-0000-uuid", "/srv/v", KEPT)
    assert make(host, pool("data", "SDB", "SDC", level=0, mount="/srv/v")).steps == []


def test_larger_disks_grow_the_array():
    host = mirror()
    for name in ("sdb", "sdc"):
        host.state.blocks[name].size_bytes *= 2
    assert commands(make(host, MIRROR)) == [["mdadm", "--grow", "/dev/md127", "--size=max"]]


@pytest.mark.parametrize(
    ("host", "wish", "text"),
    [
        (
            mirror(),
            pool("data", "SDB", "SDC", level=0, mount="/srv/v"),
            "pool data: array md127 of its disks is raid1, and raid.level is 0; set the level that is there",
        ),
        (
            mirror("sdb", "sdc", "sdd"),
            MIRROR,
            "pool data: array md127 also has sdd (serial SDD), which devices does not name; name it (an array never shrinks)",
        ),
        (
            mirror("sdb", "sdc", slots=3),
            MIRROR,
            "pool data: array md127 has places for 3 disks, and devices names 2; name all of them (an array never shrinks)",
        ),
        (
            mirror().disks("sdx").array("md126", "other", 1, "sdd", "sde"),
            pool("data", "SDB", "SDD", level=1, mount="/srv/v"),
            "pool data: its disks belong to several arrays (md127, md126); name those of one",
        ),
        (
            Host().disks("sdb sdc").array("md127", "data", 1, "sdb", slots=2, state="inactive"),
            MIRROR,
            "pool data: array md127 of its disks does not run (inactive): too few of its disks are there (sdb (serial SDB), sdc (serial "
            "SDC)); connect the missing ones, or look with 'mdadm --examine' and start it by hand ('mdadm --run /dev/md127')",
        ),
        (
            Host().disks("sdb").array("md127", "data", 1, "sdb", slots=2, state="inactive"),
            MIRROR,
            "pool data: array md127 of its disks does not run (inactive): too few of its disks are there (sdb (serial SDB); missing: serial "
            "SDC); connect the missing ones, or look with 'mdadm --examine' and start it by hand ('mdadm --run /dev/md127')",
        ),
        (
            Host().disks("sdb"),
            MIRROR,
            "pool data: serial SDC is not in this host; check the name (ls -l /dev/disk/by-id)",
        ),
        (
            Host().disks("sdb sdc"),
            pool("data", "SDB", "SDC", level=6, mount="/srv/v"),
            "pool data: raid level 6 needs at least 4 disks, and there are 2; add disks or take another level",
        ),
        (
            Host().disks("sdb sdc"),
            pool("data", "SDB", "SDC", level=1, spares=1, mount="/srv/v"),
            "pool data: raid level 1 needs at least 2 disks besides spares, and there is 1; add disks or take another level",
        ),
    ],
)
def test_arrays_that_are_refused(host, wish, text):
    assert only(make(host, wish)) == text


def test_an_unfinished_array_is_cleared_and_made_again():
    host = (
        Host()
        .disks("sdb sdc")
        .array("md127", "data", 1, "sdb", slots=2, state="inactive")
        .journal("array:data", "sdb", "sdc")
    )
    assert commands(make(host, MIRROR)) == [
        ["mdadm", "--stop", "/dev/md127"],
        ["mdadm", "--zero-superblock", "/dev/sdb"],
    ]


def test_members_that_nobody_started_are_started():
    host = (
        Host()
        .disks("sdb sdc")
        .signature("sdb", "linux_raid_member", "h:data")
        .signature("sdc", "linux_raid_member", "h:data")
    )
    assert commands(make(host, MIRROR)) == [["mdadm", "--assemble", "/dev/md/data", "/dev/sdb", "/dev/sdc"]]


def test_an_array_is_made_with_what_was_asked_for():
    wish = pool("data", *["SDB", "SDC", "SDD", "SDE"], level=5, spares=1, chunk_size="64 KiB", mount="/srv/v")
    (command,) = commands(make(Host().disks("sdb sdc sdd sde"), wish))
    assert command[:3] == ["mdadm", "--create", "/dev/md/data"]
    assert {"--level=5", "--raid-devices=3", "--spare-devices=1", "--chunk=64K", "--bitmap=internal"} <= set(command)
    assert command[-4:] == ["/dev/sdb", "/dev/sdc", "/dev/sdd", "/dev/sde"]


# Groups and volumes

V = volume("v", "10 GiB", "/srv/v")


@pytest.mark.parametrize(
    ("host", "wish", "text"),
    [
        (
            Host().disks("sdb").group("theirs", "sdb"),
            pool("data", "SDB", volumes=[V]),
            "pool data: sdb (serial SDB) is in group theirs; give the pool that name, or name another disk",
        ),
        (
            Host().disks("sdb sdc").group("data", "sdb", "sdc"),
            pool("data", "SDB", volumes=[V]),
            "pool data: group data also has sdc (serial SDC), which devices does not name; name it (a group never shrinks)",
        ),
        (
            Host().disks("sdb").group("data", "sdb", missing=1),
            pool("data", "SDB", volumes=[V]),
            "pool data: group data lacks 1 of its disks ([unknown]), and what was on them; connect them again, or mend the group by hand "
            "(vgreduce --removemissing data, lvs -o +devices data)",
        ),
        (
            Host().disks("sdb").signature("sdb", "LVM2_member"),
            pool("data", "SDB", volumes=[V]),
            "pool data: sdb (serial SDB) is not empty: LVM2_member signature; if nothing on it is needed, run 'wipefs --all "
            "/dev/disk/by-id/virtio-SDB' on the host, or set storage_allow_destroy; else name another disk",
        ),
        (
            Host(),
            pool("data", "SDB", volumes=[V]),
            "pool data: serial SDB is not in this host; check the name (ls -l /dev/disk/by-id)",
        ),
        (
            Host().disks("sdb"),
            pool("data", "SDB", "SDC", volumes=[V]),
            "pool data: serial SDC is not in this host; check the name (ls -l /dev/disk/by-id)",
        ),
        (
            Host().disks("sdb"),
            pool("data", "SDB", volumes=[volume("v", "200 GiB", "/srv/v")]),
            "pool data: its volumes want 200 GiB more, and group data has 100 GiB free of 100 GiB; make them smaller, or add disks",
        ),
        (
            Host().disks("sdb"),
            pool("data", "SDB", volumes=[volume("v", "100%", "/srv/v"), volume("w", "rest", "/srv/w")]),
            "pool data, volume w: the others leave nothing for it; make them smaller",
        ),
        (
            Host().disks("sdb"),
            pool(
                "data", "SDB", thin_pool_size="80%",
                volumes=[volume("t", "1 GiB", "/srv/t", layout="thin"), volume("v", "20%", "/srv/v")],
            ),
            "pool data: its volumes want 100 GiB more and 160 MiB for the thin pool's metadata, and group data has 100 GiB free of 100 GiB; "
            "make them smaller, or add disks",
        ),
        (
            Host().disks("sdb"),
            pool("data", "SDB", thin_pool_size="10 GiB", volumes=[volume("t", "11 GiB", "/srv/t", layout="thin")]),
            "pool data: the thin volumes promise 11 GiB, and their pool has 10 GiB; make them smaller, or set overcommit on each of them and "
            "watch how full the pool gets (a full one stops all writes)",
        ),
        (
            Host().disks("sdb"),
            pool("data", "SDB", volumes=[volume("v", "1 GiB", "/srv/v", layout="striped")]),
            "pool data, volume v: layout striped needs at least two disks; the group has one",
        ),
        (
            Host().disks("sdb").group("data", "sdb", v=("linear", 5120)),
            pool("data", "SDB", volumes=[V]),
            "pool data, volume v: it has 20 GiB, and size asks for 10 GiB; a volume is never made smaller, so give at least what it has",
        ),
        (
            Host().disks("sdb").group("data", "sdb", v=("thin,sparse", 2560)),
            pool("data", "SDB", volumes=[V]),
            "pool data, volume v: it is there with layout thin, and layout asks for linear; set what is there",
        ),
        (
            Host().disks("sdb").group("data", "sdb", v=("raid,raid1", 2560)),
            pool("data", "SDB", volumes=[V]),
            "pool data, volume v: it is there with layout raid,raid1, which this role does not make; leave it to whoever made it, and use "
            "another name",
        ),
        (
            Host().disks("sdb").group("data", "sdb").volume("data", "v", "linear", 2560, active=False),
            pool("data", "SDB", volumes=[V]),
            "pool data, volume v: it is there and not active; activate it ('lvchange --activate y data/v') or find out why it was switched off",
        ),
    ],
)  # fmt: skip
def test_groups_and_volumes_that_are_refused(host, wish, text):
    plan = make(host, wish)
    assert text in plan.problems
    assert len(plan.problems) == 1


def test_foreign_volumes_in_the_group_are_left_alone():
    host = Host().disks("sdb").group("data", "sdb", v=("linear", 2560), theirs=("linear", 100))
    host.file_system(host.named("data-v"), at="/srv/v").fstab("UUID=dm-0-0000-uuid", "/srv/v", KEPT)
    plan = make(host, pool("data", "SDB", volumes=[V]))
    assert plan.steps == []
    assert not any("theirs" in row["what"] for row in plan.rows)


def test_rounding_of_stripes_is_no_difference():
    # lvm rounds 10 GiB up to whole stripes over three disks.
    host = Host().disks("sdb sdc sdd").group("data", "sdb", "sdc", "sdd", v=("striped:3", 2562))
    wish = pool("data", "SDB", "SDC", "SDD", volumes=[volume("v", "10 GiB", "/srv/v", layout="striped")])
    host.file_system(host.named("data-v"), at="/srv/v").fstab("UUID=dm-0-0000-uuid", "/srv/v", KEPT)
    assert make(host, wish).steps == []


def test_what_is_not_striped_any_more_in_part_is_striped():
    host = Host().disks("sdb sdc").group("data", "sdb", "sdc", v=("striped:2", 2560))
    assert make(host, pool("data", "SDB", "SDC", volumes=[{**V, "layout": "striped"}])).problems == []


def test_a_disk_more_and_a_larger_volume_go_together():
    host = Host().disks("sdb sdc").group("data", "sdb", v=("linear", 2560)).file_system("dm-0", at="/srv/v")
    host.fstab("UUID=dm-0-0000-uuid", "/srv/v", KEPT)
    cut_everywhere(host, [pool("data", "SDB", "SDC", volumes=[volume("v", "150 GiB", "/srv/v")])])


def test_larger_disks_and_a_larger_volume_go_together():
    host = Host().disks("sdb sdc").array("md127", "data", 1, "sdb", "sdc").group("data", "md127", v=("linear", 2560))
    host.file_system("dm-0", at="/srv/v").fstab("UUID=dm-0-0000-uuid", "/srv/v", KEPT)
    for name in ("sdb", "sdc"):
        host.state.blocks[name].size_bytes *= 2
    cut_everywhere(host, [pool("data", "SDB", "SDC", level=1, volumes=[volume("v", "150 GiB", "/srv/v")])])


def test_striped_and_linear_share_the_disks():
    wish = [volume("l", "60%", "/srv/l"), volume("s", "rest", "/srv/s", layout="striped")]
    cut_everywhere(Host().disks("sdb sdc"), [pool("data", "SDB", "SDC", volumes=wish)])


def test_a_striped_volume_of_unequal_disks_ends_with_the_smallest():
    host = Host().disk("sdb", "SDB", "100 GiB").disk("sdc", "SDC", "50 GiB")
    cut_everywhere(host, [pool("data", "SDB", "SDC", volumes=[volume("s", "rest", "/srv/s", layout="striped")])])
    plan = make(host, pool("data", "SDB", "SDC", volumes=[volume("s", "90%", "/srv/s", layout="striped")]))
    assert only(plan) == (
        "pool data, volume s: it lies on 2 disks at a time, and there is not so much free on so many of them; make it smaller, or add 2 disks"
    )


def test_one_disk_more_does_not_grow_what_is_striped_over_two():
    host = (
        Host().disks("sdb sdc sdd").group("data", "sdb", "sdc", v=("striped:2", 51198)).file_system("dm-0", at="/srv/v")
    )
    host.fstab("UUID=dm-0-0000-uuid", "/srv/v", KEPT)
    cut_everywhere(host, [pool("data", "SDB", "SDC", "SDD", volumes=[volume("v", "rest", "/srv/v", layout="striped")])])


def test_a_large_extent_is_no_grown_disk():
    host = Host().disks("sdb").group("data", "sdb")
    group = host.state.groups["data"]
    group.extent_bytes, group.extents, group.free_extents = 128 * MIB, 799, 799
    group.members[0].size_bytes = 799 * 128 * MIB
    assert make(host, pool("data", "SDB", volumes=[V])).steps[0]["kind"] == "volume"


def test_a_share_that_is_striped_takes_what_it_can_have():
    host = (
        Host().disks("sdb sdc sdd").group("data", "sdb", "sdc", v=("striped:2", 51198)).file_system("dm-0", at="/srv/v")
    )
    host.fstab("UUID=dm-0-0000-uuid", "/srv/v", KEPT)
    wish = [volume("v", "90%", "/srv/v", layout="striped"), volume("w", "rest", "/srv/w")]
    cut_everywhere(host, [pool("data", "SDB", "SDC", "SDD", volumes=wish)])


# Thin pools


def test_a_thin_pool_comes_first_and_the_rest_when_its_metadata_is_there():
    thin = [volume("t", "20 GiB", "/srv/t", layout="thin"), volume("r", "rest", "/srv/r")]
    host = Host().disks("sdb").group("data", "sdb")
    plan = make(host, pool("data", "SDB", thin_pool_size="40%", volumes=thin))
    assert [(step["volume"], step["layout"]) for step in plan.steps if step["kind"] == "volume"] == [
        ("thinpool", "thin pool")
    ]
    assert plan.again


def test_thin_volumes_may_promise_more_where_that_is_said():
    thin = [volume(name, "60 GiB", f"/srv/{name}", layout="thin", overcommit=True) for name in "ab"]
    assert make(Host().disks("sdb"), pool("data", "SDB", thin_pool_size="80%", volumes=thin)).problems == []


# File systems and mounts

ONE = pool("data", "SDB", mount="/srv/v")


@pytest.mark.parametrize(
    ("host", "text"),
    [
        (
            Host().disks("sdb").file_system("sdb", "ext4"),
            "pool data: sdb (serial SDB) is not empty: ext4 signature; if nothing on it is needed, run 'wipefs --all "
            "/dev/disk/by-id/virtio-SDB' on the host, or set storage_allow_destroy; else name another disk",
        ),
        (
            Host().disks("sdb").file_system("sdb", half_made=True),
            "pool data: making xfs on sdb (serial SDB) was interrupted, not by this role; if nothing on it is needed, run 'wipefs --all "
            "/dev/disk/by-id/virtio-SDB'",
        ),
        (
            Host().disks("sdb sdc").file_system("sdc", at="/srv/v"),
            "pool data: at /srv/v, /dev/sdc is mounted; unmount it and its line in /etc/fstab first, or mount elsewhere",
        ),
        (
            Host().disks("sdb").file_system("sdb", at="/data"),
            "pool data: its file system is mounted at /data, and mount is /srv/v; set what is there, or unmount it and remove its line in "
            "/etc/fstab first",
        ),
        (
            Host().disks("sdb sdc").file_system("sdc").fstab("UUID=sdc-0000-uuid", "/srv/v"),
            "pool data: /etc/fstab mounts UUID=sdc-0000-uuid at /srv/v; remove that line first, or mount elsewhere",
        ),
        (
            Host().disks("sdb").fstab("server:/export", "/srv/v", kind="nfs4"),
            "pool data: /etc/fstab mounts server:/export at /srv/v; remove that line first, or mount elsewhere",
        ),
        (
            Host().disks("sdb").entries("/srv/v", "a", "b", "c", "d"),
            "pool data: /srv/v is not empty (a, b, c and more), and a file system mounted there would hide it; move that away first",
        ),
        (
            Host().disks("sdb").part("sdb1").signature("sdb", "dos"),
            "pool data: sdb (serial SDB) is not empty: partition sdb1; dos signature; if nothing on it is needed, run 'wipefs --all "
            "/dev/disk/by-id/virtio-SDB' on the host, or set storage_allow_destroy; else name another disk",
        ),
        (
            Host().disks("sdb").part("sdb1").swap("sdb1").signature("sdb", "dos"),
            "pool data: serial SDB is sdb (serial SDB), which the system runs on (swap); name another disk",
        ),
    ],
)
def test_file_systems_and_mounts_that_are_refused(host, text):
    assert only(make(host, ONE)) == text


@pytest.mark.parametrize("source", ["/dev/sdb", "/dev/disk/by-id/virtio-SDB", 'UUID="sdb-0000-uuid"'])
def test_a_line_that_names_the_same_device_otherwise_is_rewritten(source):
    plan = make(Host().disks("sdb").file_system("sdb", at="/srv/v").fstab(source, "/srv/v"), ONE)
    assert [(step["kind"], step["source"], step["mounted"]) for step in plan.steps] == [
        ("mount", "UUID=sdb-0000-uuid", True)
    ]
    assert "fstab: defaults" in plan.rows[-1]["found"]


@pytest.mark.parametrize("source", ["/dev/data/v", "/dev/mapper/data-v", "/dev/dm-0"])
def test_a_line_that_names_the_volume_otherwise_is_rewritten(source):
    host = (
        Host()
        .disks("sdb")
        .group("data", "sdb", v=("linear", 2560))
        .file_system("dm-0", at="/srv/v")
        .fstab(source, "/srv/v")
    )
    assert [step["kind"] for step in make(host, pool("data", "SDB", volumes=[V])).steps] == ["mount"]


def test_an_automount_that_waits_is_no_other_file_system():
    host = Host().disks("sdb").file_system("sdb").fstab("UUID=sdb-0000-uuid", "/srv/v")
    host.mount("sdb", "/srv/v", "autofs").entries("/srv/v")
    host.state.blocks["sdb"].mounts = []
    assert [step["kind"] for step in make(host, ONE).steps] == ["mount"]


def test_a_file_system_without_a_uuid_cannot_be_mounted_by_one():
    host = Host().disks("sdb").signature("sdb", "xfs")
    assert only(make(host, ONE)) == (
        "pool data: the xfs on sdb (serial SDB) tells no UUID, by which it would be mounted; look at it with 'blkid --probe "
        "/dev/disk/by-id/virtio-SDB'"
    )


def test_what_is_there_is_mounted_and_kept():
    plan = make(Host().disks("sdb").file_system("sdb"), ONE)
    assert [step["kind"] for step in plan.steps] == ["mount"]
    assert action(plan, "file system /srv/v") == "keep"


def test_a_file_system_grows_after_it_is_mounted():
    host = Host().disks("sdb").file_system("sdb", size=50 * GIB)
    assert [step["kind"] for step in make(host, ONE).steps] == ["mount", "grow"]
    # An allocation group that does not fit is no growth.
    host = Host().disks("sdb").file_system("sdb", size=100 * GIB - 4 * MIB)
    assert [step["kind"] for step in make(host, ONE).steps] == ["mount"]


def test_mounts_above_come_before_mounts_below():
    pools = [
        pool("deep", "SDC", mount="/srv/a/b/c"),
        pool("middle", "SDD", mount="/srv/a/b"),
        pool("top", "SDB", mount="/srv/a"),
    ]
    plan = make(Host().disks("sdb sdc sdd"), *pools)
    assert [step["mount"] for step in plan.steps if step["kind"] == "mount"] == ["/srv/a", "/srv/a/b", "/srv/a/b/c"]


def test_the_quota_goes_to_the_deepest_mount_above_the_directory():
    pools = [
        pool("top", "SDB", mount="/srv/a"),
        pool("deep", "SDC", mount="/srv/a/b"),
        pool("side", "SDD", mount="/srv/a/bc"),
    ]
    plan = make(Host().disks("sdb sdc sdd"), *pools, quotas=("/srv/a/b/users/x",))
    mounts = {step["mount"]: step["options"].split(",") for step in plan.steps if step["kind"] == "mount"}
    assert {mount for mount, options in mounts.items() if "prjquota" in options} == {"/srv/a/b"}


def test_a_quota_on_what_is_mounted_without_one_takes_a_new_mount():
    """xfs takes the option with a mount only: a line in fstab that a remount changed is not enough."""
    options = ",".join(options_of("xfs", [], True))
    host = Host().disks("sdb").file_system("sdb", at="/srv/v").fstab("UUID=sdb-0000-uuid", "/srv/v", options)
    plan = make(host, ONE, quotas=("/srv/v/x",))
    assert [step["kind"] for step in plan.steps] == ["commands", "mount"]
    assert plan.steps[0]["commands"] == [["umount", "/srv/v"]]
    assert [found["found"] for found in plan.rows if found["what"] == "mount /srv/v"] == ["mounted, without quotas"]
    host.state.with_quotas = {"/srv/v"}
    assert make(host, ONE, quotas=("/srv/v/x",)).steps == []
    # One that nobody asks for any more does no harm until the next mount.
    assert [step["kind"] for step in make(host, ONE).steps] == ["mount"]


def test_mount_options_replace_those_of_their_family():
    assert options_of("xfs", ["relatime", "ro", "discard", "logbsize=64k"], False) == [
        "nofail", "x-systemd.device-timeout=5min", "relatime", "ro", "discard", "logbsize=64k",
    ]  # fmt: skip
    assert options_of("ext4", ["x-systemd.device-timeout=5s"], True) == [
        "noatime",
        "prjquota",
        "nofail",
        "x-systemd.device-timeout=5s",
    ]
    assert options_of("xfs", ["uquota"], True)[-1] == "uquota"


def test_a_pool_may_be_mounted_at_home_and_is_not_the_system_for_it():
    host = Host().disks("sdb").file_system("sdb", at="/home").fstab("UUID=sdb-0000-uuid", "/home", KEPT)
    assert make(host, pool("data", "SDB", mount="/home")).steps == []
    # The system's own disk stays it.
    host.mount("sda1", "/home")
    assert "which the system runs on (/, swap)" in only(make(host, pool("data", "SYS", mount="/home")))


# Choosing disks


def test_the_root_disk_is_refused_by_any_name():
    for device in ("SYS", "/dev/disk/by-id/virtio-SYS", "/dev/disk/by-path/pci-sda", "/dev/disk/by-partuuid/sda1-0001"):
        assert "which the system runs on (/" in only(make(Host(), pool("data", device, mount="/srv/v"), allow=True))


def test_the_disk_below_an_encrypted_root_on_lvm_is_refused():
    host = Host(root=False).disks("sdb sdc").group("system", "sdb", root=("linear", 100))
    host.mount(host.named("system-root"), "/")
    assert "which the system runs on (/)" in only(make(host, ONE, allow=True))


def test_one_disk_by_two_names_or_in_two_pools_is_refused():
    host = Host().disks("sdb")
    twice = make(host, pool("data", "SDB", "/dev/disk/by-id/virtio-SDB", level=1, mount="/srv/v"))
    assert (
        only(twice)
        == "pool data: /dev/disk/by-id/virtio-SDB is sdb (serial SDB), which pool data has already; name it once"
    )
    two = make(host, ONE, pool("other", "SDB", mount="/srv/w"))
    assert only(two) == "pool other: serial SDB is sdb (serial SDB), which pool data has already; name it once"


def test_a_serial_of_two_disks_is_refused():
    host = Host().disk("sdb", "SDB").disk("sdc", "SDB")
    assert (
        only(make(host, ONE))
        == "pool data: serial SDB is sdb and sdc; name one of them by its path below /dev/disk/by-path/"
    )


def test_a_rule_leaves_out_what_is_not_free_and_says_why():
    host = Host().disks("sdb").file_system("sdb").disk("sdc", "SDC", removable=True).disk("sdd", "SDD", media="hdd")
    problem = only(make(host, pool("data", select(kind="nvme"), mount="/srv/v")))
    assert problem.startswith(
        "pool data: select kind nvme finds 0 of at least 1 disks; these fit and are not free: sdb (serial SDB): xfs signature"
    )


def test_a_rule_by_every_key():
    host = Host().disk("sdb", "B", "1 TB").disk("sdc", "C", "2 TB").disk("sdd", "D", "3 TB", media="hdd")
    for name, node in (("sdb", 0), ("sdc", 1), ("sdd", 1)):
        host.state.blocks[name].numa_node, host.state.blocks[name].model = node, f"FAST {name}"
    for rule, expected in [
        ({"kind": "hdd"}, "sdd"),
        ({"min_size": "1.5 TB", "max_size": "2.5 TB"}, "sdc"),
        ({"model": "FAST sdb$"}, "sdb"),
        ({"kind": "nvme", "numa_node": 1}, "sdc"),
        ({"kind": "nvme", "count": 1}, "sdb"),
    ]:
        plan = make(host, pool("data", select(**rule), mount="/srv/v"))
        assert [step["device"] for step in plan.steps if step["kind"] == "filesystem"] == [
            host.state.blocks[expected].lasting
        ]


def test_a_rule_takes_first_what_the_pool_has():
    host = Host().disks("sdb sdc").file_system("sdc", at="/srv/v").fstab("UUID=sdc-0000-uuid", "/srv/v", KEPT)
    assert make(host, pool("data", select(kind="nvme", count=1), mount="/srv/v")).steps == []


def test_a_rule_takes_no_disk_made_of_others():
    host = Host(root=False).disk("bcache0", None, slaves=["sdx"])
    assert "finds 0" in only(make(host, pool("data", select(kind="nvme"), mount="/srv/v")))


def test_one_pools_problem_stops_the_others():
    plan = make(Host().disks("sdb sdc").file_system("sdc", "ext4"), ONE, pool("other", "SDC", mount="/srv/w"))
    assert only(plan).startswith("pool other: sdc")


def test_programs_that_are_missing_are_told():
    host = Host().disks("sdb sdc")
    host.state.programs = set()
    wish = pool(
        "data",
        "SDB",
        "SDC",
        level=1,
        thin_pool_size="50%",
        volumes=[V, volume("t", "1 GiB", "/srv/t", layout="thin", filesystem="ext4")],
    )
    assert make(host, wish).packages == ["mdadm", "lvm2", "xfsprogs", "e2fsprogs", "thin-provisioning-tools"]


def test_extents_are_what_the_drawings_say():
    assert EXTENT == 4 * MIB
