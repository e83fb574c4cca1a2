"""The virtual machines themselves: what the tests of roles take for granted, on real md, LVM and XFS."""

from __future__ import annotations

import socket

import pytest
from disk import Disk
from machine import Machine
from rack import Rack

GIB = 1024**3
FIRST, SECOND, NVME = Disk("FIRST", GIB), Disk("SECOND", GIB), Disk("FAST", GIB, "nvme")
THIRD = Disk("THIRD", GIB)
SCSI = Disk("OLD", GIB, "scsi")


@pytest.fixture(scope="module")
def machine(rack: Rack) -> Machine:
    return rack.machine("plain", [FIRST, SECOND, NVME, SCSI]).start()


def degraded(machine: Machine) -> bool:
    return machine.ok("cat /sys/block/md0/md/degraded") == "1"


def test_disks_have_their_serial_and_size(machine: Machine) -> None:
    for disk in (FIRST, SECOND, NVME, SCSI):
        assert machine.ok(f"blockdev --getsize64 {disk.by_id}") == str(GIB), disk


def test_a_playbook_reaches_the_machine(rack: Rack, machine: Machine) -> None:
    tasks = [{"ansible.builtin.command": "hostname", "register": "found", "changed_when": "found.stdout == 'plain'"}]
    play = rack.play([{"hosts": "plain", "gather_facts": False, "tasks": tasks}])
    assert play.returncode == 0, play.output
    assert play.changed("plain") == 1


def test_nothing_is_reached_from_inside(machine: Machine) -> None:
    """Not even this computer, which is 10.0.2.2 in QEMU's network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = f"timeout 5 bash -c '</dev/tcp/10.0.2.2/{server.getsockname()[1]}'"
        assert machine.run(connect).returncode != 0
    assert machine.ok("ip route show default") == ""


def test_a_hash_changes_only_with_the_content(machine: Machine) -> None:
    before = machine.disk_hash(SCSI.serial)
    assert machine.disk_hash(SCSI.serial) == before
    machine.ok(f"dd if=/dev/zero of={SCSI.by_id} bs=1M count=4 seek=100 oflag=direct status=none")
    assert machine.disk_hash(SCSI.serial) == before, "zeros over zeros are the same content"
    machine.ok(f"printf x | dd of={SCSI.by_id} bs=1 seek=500000000 conv=fsync status=none")
    assert machine.disk_hash(SCSI.serial) != before


def test_an_array_survives_a_failed_disk_and_rebuilds_on_a_new_one(rack: Rack, machine: Machine) -> None:
    machine.ok(
        "mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --bitmap=internal --assume-clean"
        f" {FIRST.by_id} {SECOND.by_id} && pvcreate -q /dev/md0 && vgcreate -q data /dev/md0"
        " && lvcreate -q -L 700M -n all data && mkfs.xfs -q /dev/data/all && mkdir /data && mount /dev/data/all /data"
    )
    assert not degraded(machine)
    machine.fail_disk(SECOND.serial)
    machine.ok("echo one > /data/one && sync /data/one")
    machine.wait_for("grep -qx 1 /sys/block/md0/md/degraded", 30)
    machine.pull_disk(SECOND.serial)
    machine.add_disk(THIRD)
    machine.ok(f"mdadm --manage /dev/md0 --fail detached --remove detached; mdadm /dev/md0 --add {THIRD.by_id}")
    machine.wait_for("grep -qx 0 /sys/block/md0/md/degraded", 120)
    assert machine.ok("cat /data/one") == "one"


def test_the_guest_sees_a_disk_grow(machine: Machine) -> None:
    machine.grow_disk(FIRST.serial, 2 * GIB)
    machine.wait_for(f"test $(blockdev --getsize64 {FIRST.by_id}) = {2 * GIB}", 30)


def test_what_was_flushed_outlives_a_power_cut(machine: Machine) -> None:
    before = machine.boot_id()
    machine.ok("dd if=/dev/urandom of=/data/kept bs=1M count=20 conv=fsync status=none; sync /data")
    checksum = machine.ok("sha256sum < /data/kept")
    machine.ok("echo lost > /data/lost")
    machine.power_cut()
    assert not machine.running
    machine.start()
    assert machine.boot_id() != before
    machine.wait_for("test -b /dev/data/all", 120)
    machine.ok("mount /dev/data/all /data")
    assert machine.ok("sha256sum < /data/kept") == checksum
    assert machine.run("grep -x lost /data/lost").returncode != 0, "the guest's memory outlived the power cut"
    assert [disk.serial for disk in machine.disks] == ["FIRST", "FAST", "OLD", "THIRD"]
