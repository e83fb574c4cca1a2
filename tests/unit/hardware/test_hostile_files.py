"""Files made to hurt: nothing raises, hangs, or leaves the root."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import (
    cpu,
    dmi,
    limits,
    lists,
    mounts,
    nvidia_smi,
    pci,
    rocm_smi,
    system,
    tree,
)
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Broken, Tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .test_parsers import GPU
from .trees import DAMAGES, SERVER, damage, write

RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SECRET = "read from outside the root"
PATHS = sorted(SERVER)


@pytest.mark.parametrize(
    "target",
    [
        "/etc/outside",
        "../outside",
        "../../../../../../../../outside",
        "{outside}",
        "/proc/self/root{outside}",
        "loop",
        ".",
    ],
)
def test_a_link_never_leaves_the_root(target, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text(SECRET)
    root = tmp_path / "root"
    (root / "sys").mkdir(parents=True)
    (root / "sys/loop").symlink_to("loop")
    (root / "sys/x").symlink_to(target.format(outside=outside))
    reader = Tree(str(root))
    for path in ("/sys/x", "/sys/x/outside", "/sys/../../outside", "/../outside", "/sys/x/../../outside"):
        assert SECRET not in (reader.text(path) or "")
        assert "outside" not in reader.names(path)


def test_an_absolute_link_starts_at_the_root(tmp_path):
    write(tmp_path, {"/a/b": "inside", "/c": "-> /a/b", "/d": "-> /../../a/../a"})
    assert Tree(str(tmp_path)).text("/c") == "inside"
    assert Tree(str(tmp_path)).text("/d/b") == "inside"


def test_pipes_sockets_and_directories_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    reader = Tree(str(tmp_path))
    assert reader.text("/pipe") is None
    assert reader.text("/directory") is None
    assert reader.reason("/pipe") == "not a regular file"


def test_a_machine_of_pipes(tmp_path):
    write(tmp_path, SERVER)
    for path in PATHS:
        place = tmp_path / path.lstrip("/")
        if place.is_file() and not place.is_symlink():
            place.unlink()
            os.mkfifo(place)
    facts = gather(str(tmp_path))
    assert facts["cpu"]["model"] is None
    assert facts["accelerators"] == []


@pytest.mark.parametrize("group", ["/../../../../outside", "/a/../../../outside", "/" + "a/" * 5000, "/\0", "//"])
def test_a_control_group_does_not_lead_out_of_the_root(group, tmp_path):
    write(tmp_path / "outside", {"/memory.max": "4096"})
    root = write(tmp_path / "root", {**SERVER, "/proc/self/cgroup": f"0::{group}"})
    assert gather(str(root))["limits"]["memory_bytes"] in (2**30, None)


def test_bridges_that_stand_in_each_other_end(tmp_path):
    place = tmp_path / "sys/bus/pci/devices"
    place.mkdir(parents=True)
    (place / "0000:01:00.0").symlink_to("0000:02:00.0/0000:01:00.0")
    (place / "0000:02:00.0").symlink_to("0000:01:00.0/0000:02:00.0")
    facts = gather(str(tmp_path))
    assert facts["accelerators"] == []
    assert any(entry["fact"] == "accelerators" for entry in facts["unreadable"])


def test_a_pretended_gigabyte_is_read_up_to_the_limit(tmp_path):
    with (tmp_path / "big").open("wb") as handle:
        handle.truncate(2**30)
    assert len(Tree(str(tmp_path)).data("/big") or b"") == tree.SMALL_FILE_BYTES


def test_a_whole_tree_of_pretended_gigabytes(tmp_path):
    write(tmp_path, SERVER)
    for path in PATHS:
        place = tmp_path / path.lstrip("/")
        if place.is_file() and not place.is_symlink():
            with place.open("r+b") as handle:
                handle.truncate(2**30)
    assert gather(str(tmp_path))["schema"] == 1


def test_links_that_multiply_end(tmp_path):
    place = tmp_path / "sys/class/net"
    place.mkdir(parents=True)
    for number in range(60):
        (place / f"n{number}").symlink_to(f"n{number + 1}/n{number + 1}")
    (place / "device").symlink_to("..")
    assert gather(str(tmp_path))["network"] is not None


CONTENT = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.integers().map(lambda number: str(number).encode()),
    st.sampled_from(
        [b"", b"\n", b"-1", b"0x", b"9" * 5000, b"0-65535", b"\0" * 100, "é".encode("latin-1"), b"nan", b"[N/A]"]
    ),
)
CHANGES = st.dictionaries(
    st.sampled_from(PATHS),
    st.one_of(CONTENT, st.sampled_from(DAMAGES)),
    max_size=12,
)


@RELAXED
@given(changes=CHANGES)
def test_a_damaged_machine_still_gives_facts(changes):
    with tempfile.TemporaryDirectory() as name:
        root = write(Path(name), SERVER)
        damage(root, changes)
        facts = gather(str(root))
    json.dumps(facts)
    assert len(facts) == 14
    for key in ("sockets", "cores", "threads", "threads_per_core"):
        assert facts["cpu"][key] is None or facts["cpu"][key] > 0
    assert facts["memory"]["total_bytes"] != 0
    assert all(card["memory_bytes"] is None or card["memory_bytes"] > 0 for card in facts["accelerators"])


@RELAXED
@given(start=st.integers(0, len(GPU)), length=st.integers(0, 40), put=st.binary(max_size=20))
def test_damaged_xml_is_read_or_broken(start, length, put):
    data = GPU[:start] + put + GPU[start + length :]
    facts = gather("/nonexistent", data)
    assert all(card["memory_bytes"] != 0 for card in facts["accelerators"])


@RELAXED
@given(data=st.binary(max_size=2000))
def test_parsers_take_any_bytes(data):
    text = data.decode("utf-8", "replace")
    dmi.parse_table(data)
    dmi.parse_udev(text)
    pci.parse_names(data, {"10de:1234"})
    pci.largest_region(text)
    lists.cpu_list(text)
    lists.cpu_mask(text)
    lists.kib_fields(text)
    lists.chosen(text)
    limits.parse_groups(text)
    limits.quota(text)
    limits.allowed_cpus(text)
    system.parse_os_release(text)
    cpu.parse_cpuinfo(text)
    mounts.parse_mountinfo(text)
    mounts.parse_mounts(text)
    for parse in (nvidia_smi.parse, rocm_smi.parse):
        try:
            parse(data)
        except Broken:
            continue


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["card0", "gpu_data", "vram", "size", "value", "unit", "asic", "bus", "Device ID", "system"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@RELAXED
@given(document=JSON)
def test_any_json_of_rocm_is_read_or_broken(document):
    gather("/nonexistent", None, json.dumps(document).encode())


def test_json_nested_without_end_is_broken():
    with pytest.raises(Broken):
        rocm_smi.parse(b"[" * 200000)
