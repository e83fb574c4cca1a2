"""What is wrong with storage_pools is told before any host is looked at: where, what, and how to mend it."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.storage import inputs, plan_pools, plan_removal
from hypothesis import given
from hypothesis import strategies as st

from .hosts import Host, pool, select, volume

HERE = "storage_pools[0] (data)"
NAME = "the name must be a letter and at most 19 more letters, digits or underscores"
THIN = volume("t", "1 GiB", "/srv/t", layout="thin")


def one(*devices, **more):
    return pool("data", *(devices or ("SDB",)), **more)


def sized(size: str, **more):
    return one(volumes=[volume("v", size, "/srv/v", **more)])


CASES = [
    # Names
    (pool("1st", "SDB", mount="/srv/v"), f"storage_pools[0] (1st): {NAME}"),
    (pool("a-b", "SDB", mount="/srv/v"), f"storage_pools[0] (a-b): {NAME}"),
    (one(volumes=[volume("v w", "1 GiB", "/srv/v")]), f"{HERE}: volume v w: {NAME}, and none of lvm's own"),
    (one(volumes=[volume("pvmove", "1 GiB", "/srv/v")]), f"{HERE}: volume pvmove: {NAME}, and none of lvm's own"),
    (one(volumes=[volume("thinpool", "1 GiB", "/srv/v")]), f"{HERE}: volume thinpool: {NAME}, and none of lvm's own"),
    (one(volumes=[volume("v", "1 GiB", "/srv/v"), volume("v", "1 GiB", "/srv/w")]), f"{HERE}: two volumes have the name v"),
    # Devices
    (pool("data", mount="/srv/v"), f"{HERE}: devices is empty; name at least one disk"),
    (
        one("/dev/sdb", mount="/srv/v"),
        f"{HERE}: device '/dev/sdb' may name another disk after the next boot; give its path below /dev/disk/by-id/ (ls -l "
        "/dev/disk/by-id), or {serial: NUMBER}",
    ),
    (
        one("/dev/disk/by-id/../../sda", mount="/srv/v"),
        f"{HERE}: device '/dev/disk/by-id/../../sda' may name another disk after the next boot; give its path below /dev/disk/by-id/ (ls -l "
        "/dev/disk/by-id), or {serial: NUMBER}",
    ),
    (one({"id": "x"}, mount="/srv/v"), f"{HERE}: device {{'id': 'x'}} is neither a path below /dev/disk/, nor {{serial: …}}, nor {{select: …}}"),
    (one(7, mount="/srv/v"), f"{HERE}: device 7 is neither a path below /dev/disk/, nor {{serial: …}}, nor {{select: …}}"),
    (one({"serial": " "}, mount="/srv/v"), f"{HERE}: a device has an empty serial"),
    (one({"serial": None}, mount="/srv/v"), f"{HERE}: a device has an empty serial"),
    (one("SDB", "SDB", level=1, mount="/srv/v"), f"{HERE}: device serial SDB is named twice"),
    (one({"serial": 5}, {"serial": "5"}, level=1, mount="/srv/v"), f"{HERE}: device serial 5 is named twice"),
    # Rules
    (one({"select": "nvme"}, mount="/srv/v"), f"{HERE}: select is 'nvme'; give it keys, as {{kind: nvme, min_size: 1.5 TB}}"),
    (one(select(kind="nvme", minsize="1 TB"), mount="/srv/v"), f"{HERE}: select has 'minsize', which it does not know; did you mean 'min_size'?"),
    (one(select(count=2), mount="/srv/v"), f"{HERE}: select would take every unused disk; add kind, min_size or model"),
    (one(select(kind="nmve"), mount="/srv/v"), f"{HERE}: select has kind 'nmve'; did you mean 'nvme'?"),
    (one(select(kind=7), mount="/srv/v"), f"{HERE}: select has kind '7'; valid: hdd, nvme, ssd, virtual"),
    (one(select(min_size="big"), mount="/srv/v"), f"{HERE}: select's min_size: 'big' is no size; write a number and a unit, as 500 GiB or 1.5 TB"),
    (
        one(select(min_size="2 TB", max_size="1 TB"), mount="/srv/v"),
        f"{HERE}: select's min_size 2 TB is larger than its max_size 1 TB; no disk is both",
    ),
    (
        one(select(model="("), mount="/srv/v"),
        f"{HERE}: select's model '(' is no regular expression: missing ), unterminated subpattern at position 0",
    ),
    (one(select(kind="nvme", count=0), mount="/srv/v"), f"{HERE}: select's count is 0; give a whole number of at least 1"),
    (one(select(kind="nvme", count=True), mount="/srv/v"), f"{HERE}: select's count is True; give a whole number of at least 1"),
    (one(select(kind="nvme", numa_node="x"), mount="/srv/v"), f"{HERE}: select's numa_node is 'x'; give a whole number of at least 0"),
    # Arrays
    (one("SDB", "SDC", mount="/srv/v"), f"{HERE}: one file system cannot lie on 2 disks as they are; add raid, or volumes"),
    (one("SDB", "SDC", level=1, spares=-1, mount="/srv/v"), f"{HERE}: raid.spares is -1; give 0 or more"),
    (
        one("SDB", "SDC", level=0, spares=1, mount="/srv/v"),
        f"{HERE}: raid.spares is set, and level 0 has no copy that a spare could be built from; leave it out",
    ),
    (one("SDB", "SDC", level=1, chunk_size="64 KiB", mount="/srv/v"), f"{HERE}: raid.chunk_size is set, and level 1 has no chunks; leave it out"),
    (one("SDB", "SDC", level=0, chunk_size="100 KiB", mount="/srv/v"), f"{HERE}: raid.chunk_size is 100 KiB; give a power of two of at least 4 KiB"),
    (one("SDB", "SDC", level=0, chunk_size="2 KiB", mount="/srv/v"), f"{HERE}: raid.chunk_size is 2 KiB; give a power of two of at least 4 KiB"),
    (
        one("SDB", "SDC", level=0, chunk_size="x", mount="/srv/v"),
        f"{HERE}: raid.chunk_size: 'x' is no size; write a number and a unit, as 500 GiB or 1.5 TB",
    ),
    # Volumes
    (one(), f"{HERE}: it has neither volumes nor mount; say what the disks are for"),
    (one(mount="/srv/v", thin_pool_size="80%"), f"{HERE}: thin_pool_size is set and there are no volumes; leave it out"),
    (one(mount="/srv/w", volumes=[volume("v", "rest", "/srv/v")]), f"{HERE}: it has both volumes and a mount of its own; move mount to a volume"),
    (
        one("SDB", "SDC", level=1, volumes=[volume("v", "rest", "/srv/v", layout="striped")]),
        f"{HERE}: volume v: layout striped goes over disks, and the group lies on one array; the array stripes already, so leave it out",
    ),
    (
        one(volumes=[volume("t", "rest", "/srv/t", layout="thin")], thin_pool_size="50%"),
        f"{HERE}: volume t: size 'rest' is for volumes with space of their own; give a thin volume a size",
    ),
    (
        one(volumes=[volume("t", "50%", "/srv/t", layout="thin")], thin_pool_size="50%"),
        f"{HERE}: volume t: size is 50%; give a thin volume a size with a unit, as 500 GiB",
    ),
    (sized("all"), f"{HERE}: volume v: size: 'all' is no size; write a number and a unit, as 500 GiB or 1.5 TB, or 60%, or rest"),
    (sized("0 GiB"), f"{HERE}: volume v: size is 0 GiB; give more than nothing"),
    (sized("0%"), f"{HERE}: volume v: size is 0%; give more than 0% and at most 100%"),
    (sized("101%"), f"{HERE}: volume v: size is 101%; give more than 0% and at most 100%"),
    (
        one(volumes=[volume("v", "60%", "/srv/v"), volume("w", "50%", "/srv/w")]),
        f"{HERE}: the sizes add up to 110% of the group; make them 100% at most",
    ),
    (
        one(volumes=[volume("v", "rest", "/srv/v"), volume("w", "rest", "/srv/w")]),
        f"{HERE}: more than one volume has size 'rest'; only one can have what the others leave",
    ),
    (
        one(volumes=[THIN], thin_pool_size="99%"),
        f"{HERE}: thin_pool_size is 99%; give more than 0% and at most 95%, since its metadata needs the rest",
    ),
    (
        one(volumes=[THIN], thin_pool_size="all"),
        f"{HERE}: thin_pool_size: 'all' is no size; write a number and a unit, as 500 GiB or 1.5 TB, or 80%",
    ),
    (one(volumes=[volume("v", "rest", "/srv/v")], thin_pool_size="50%"), f"{HERE}: thin_pool_size is set and no volume has layout thin; leave it out"),
    (one(volumes=[THIN]), f"{HERE}: volume t has layout thin; say with thin_pool_size how much space the thin volumes share"),
    (
        one(volumes=[THIN, volume("v", "60%", "/srv/v")], thin_pool_size="50%"),
        f"{HERE}: the sizes add up to 110% of the group; make them 100% at most",
    ),
    # Mount points
    *(
        (one(mount=m), f"{HERE}: mount is '{m}'; give an absolute path without spaces, '.' and '..'")
        for m in ("srv/v", "/srv/a b", "/srv/../etc", "/srv/./v", "//srv", "/srv//v")
    ),
    *(
        (one(mount=m), f"{HERE}: mount is {m}, which the system itself uses; give a directory of its own, as /srv/mlops/datasets")
        for m in ("/", "/var", "/etc/x", "/boot/efi", "/usr/local", "/var/lib", "/root", "/tmp", "/lib64")
    ),
    (
        one(volumes=[volume("v", "1 GiB", "/srv/v"), volume("w", "1 GiB", "/srv/v/")]),
        f"{HERE}, volume w: {HERE}, volume v is mounted at /srv/v too; give each its own",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wish", "text"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_each_mistake_is_told_in_one_sentence(wish, text):
    assert inputs.problems([wish]) == [text]


@pytest.mark.parametrize(("wish", "text"), CASES[::7])
def test_bad_input_ends_the_plan_before_the_host_is_looked_at(wish, text):
    for plan in (
        plan_pools.make([wish], [], Host().disks("sdb sdc").state, True),
        plan_removal.remove([wish], Host().state, True),
    ):
        assert (plan.problems, plan.steps, plan.rows) == ([text], [], [])


def test_two_pools_of_one_name_and_one_mount_point():
    assert inputs.problems([one(mount="/srv/v"), one("SDC", mount="/srv/v")]) == [
        "storage_pools[1] (data): storage_pools[0] (data) has the same name; give each pool its own",
        "storage_pools[1] (data): storage_pools[0] (data) is mounted at /srv/v too; give each its own",
    ]


def test_all_mistakes_are_told_at_once():
    assert len(inputs.problems([pool("1", "/dev/sda", "/dev/sda", level=0, spares=1), one(mount="/")])) == 7


def test_what_is_right_is_accepted():
    good = [
        one("/dev/disk/by-id/nvme-X", {"serial": 5}, level=10, chunk_size="512 KiB", mount="/srv/v"),
        pool("b", select(kind="nvme", min_size="1 TB", max_size="2 TB", count=2),
             volumes=[volume("v", "40%", "/srv/w", layout="striped"), volume("w", "rest", "/home")]),
        pool("c", "SDC", thin_pool_size="95%", volumes=[THIN]),
    ]  # fmt: skip
    assert inputs.problems(good) == []


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 5)
    | st.text(max_size=5)
    | st.sampled_from(["60%", "rest", "1 GiB", "/srv/v", "nvme"])
)
DEVICES = st.lists(
    LEAVES
    | st.dictionaries(
        st.sampled_from(["serial", "select", "x"]),
        LEAVES | st.dictionaries(st.sampled_from([*inputs.RULE_KEYS]), LEAVES),
        max_size=2,
    ),
    max_size=3,
)


@given(DEVICES, st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_whatever_is_written_there_is_a_list_of_sentences(devices, size, mount, name):
    wish = pool(name, level=1, volumes=[volume(name, size, mount)], thin_pool_size=size, chunk_size=size)
    wish["devices"] = devices
    before = copy.deepcopy(wish)
    assert all(text.startswith("storage_pools[0] (") for text in inputs.problems([wish]))
    assert wish == before
