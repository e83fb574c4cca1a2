"""The storage role on real disks, arrays, volumes and file systems: made, restarted, broken, grown, cut off, and refused."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from disk import Disk
from machine import Machine
from rack import Play, Rack

GIB = 1024**3
# The pool under test, disks for what comes later, and disks that belong to somebody else.
FIRST, SECOND, THIRD = Disk("FIRST", GIB), Disk("SECOND", GIB), Disk("THIRD", 2 * GIB)
FAST, FASTER = Disk("FAST", GIB, "nvme"), Disk("FASTER", GIB, "nvme")
FOREIGN = {
    "EXTFS": "mkfs.ext4 -q {path}",
    "TABLE": "sgdisk --new=1:0:+100M {path}",
    "GROUP": "vgcreate -q theirs {path}",
    "ARRAY": "mdadm --create /dev/md/theirs --run --level=1 --raid-devices=2 --metadata=1.2 {path} missing",
    # Read-only, so that the only one who could write to it is the role.
    "BUSY": "mkfs.xfs -q {path} && mkdir /busy && mount -o ro {path} /busy",
}


@pytest.fixture(scope="module")
def machine(rack: Rack) -> Machine:
    foreign = [Disk(serial, 512 * 1024**2) for serial in FOREIGN]
    return rack.machine("store", [FIRST, SECOND, FAST, FASTER, *foreign]).start()


def pools(*disks: str, raid: int = 1, share: str = "60%") -> list[dict[str, Any]]:
    return [
        {
            "name": "data",
            "devices": [{"serial": disk} for disk in disks],
            "raid": {"level": raid},
            "volumes": [
                {"name": "datasets", "size": share, "mount": "/srv/mlops/datasets"},
                {"name": "models", "size": "rest", "filesystem": "ext4", "mount": "/srv/mlops/models"},
            ],
        },
        {
            "name": "scratch",
            "devices": [{"select": {"kind": "virtual", "model": "NVMe", "count": 2}}],
            "volumes": [{"name": "all", "size": "100%", "layout": "striped", "mount": "/srv/mlops/scratch"}],
        },
    ]


def plays(wanted: list[dict[str, Any]], **variables: Any) -> list[dict[str, Any]]:
    role = {
        "role": "mlops.onprem.storage",
        "storage_pools": wanted,
        "storage_directories": [{"path": "/srv/mlops/datasets/imagenet", "quota": "100 MiB", "mode": "0777"}],
        "storage_watch": False,
        **variables,
    }
    return [{"hosts": "store", "gather_facts": False, "roles": [role]}]


def good(play: Play) -> Play:
    assert play.returncode == 0, play.output
    return play


def hashes(machine: Machine, *serials: str) -> dict[str, str]:
    return {serial: machine.disk_hash(serial) for serial in serials or [disk.serial for disk in machine.disks]}


def missing(count: int) -> str:
    """A command that succeeds while the pool's array lacks so many disks; there is another, degraded one of somebody else."""
    return f"grep -qx {count} /sys/block/$(basename $(readlink -f /dev/md/data))/md/degraded"


def size(machine: Machine, mount: str) -> int:
    return int(machine.ok(f"findmnt --bytes --noheadings --output SIZE {mount}"))


def test_check_mode_shows_the_plan_and_writes_nothing(rack: Rack, machine: Machine) -> None:
    before = hashes(machine)
    play = good(rack.play(plays(pools("FIRST", "SECOND")), "--check", "--diff"))
    assert re.search(r"array data +raid1 of 2 disks +nothing +make", play.output), play.output
    assert re.search(r"file system /srv/mlops/datasets +xfs, \d+ MiB +nothing +make", play.output), play.output
    machine.ok("sync")
    assert hashes(machine) == before
    assert machine.run("test -e /srv/mlops").returncode != 0


def test_makes_what_the_list_describes(rack: Rack, machine: Machine) -> None:
    good(rack.play(plays(pools("FIRST", "SECOND"))))
    assert machine.ok("findmnt -no FSTYPE /srv/mlops/datasets") == "xfs"
    assert machine.ok("findmnt -no FSTYPE /srv/mlops/models") == "ext4"
    assert machine.ok("lvs --noheadings -o stripes scratch/all").strip() == "2"
    options = machine.ok("findmnt -no OPTIONS /srv/mlops/datasets").split(",")
    assert {"noatime", "prjquota"} <= set(options)
    assert machine.ok("tune2fs -l /dev/data/models | sed -n 's/^Reserved block count: *//p'") == "0"
    lines = machine.ok("grep /srv/mlops /etc/fstab").splitlines()
    assert len(lines) == 3 and all(line.startswith("UUID=") for line in lines), lines
    assert machine.run("test -e /var/lib/mlops-onprem/storage/journal.json").returncode != 0


def test_a_quota_ends_what_a_directory_takes(machine: Machine) -> None:
    written = machine.run("dd if=/dev/zero of=/srv/mlops/datasets/imagenet/big bs=1M count=120 conv=fsync")
    assert written.returncode != 0 and "No space left" in written.stderr + written.stdout, written
    machine.ok("rm /srv/mlops/datasets/imagenet/big")


def test_refuses_what_would_destroy_data(rack: Rack, machine: Machine) -> None:
    """Each disk of somebody else, all at once: every reason is told, and every disk is bit-identical afterwards."""
    for serial, command in FOREIGN.items():
        machine.ok(command.format(path=f"/dev/disk/by-id/virtio-{serial}"))
    # The array's superblock is written again when it becomes clean.
    machine.ok("udevadm settle; sync; mdadm --wait-clean --scan; sync")
    wanted = pools("FIRST", "SECOND")
    wanted += [
        {"name": serial.lower(), "devices": [{"serial": serial}], "mount": f"/srv/{serial.lower()}"}
        for serial in FOREIGN
    ]
    wanted.append({"name": "system", "devices": ["/dev/disk/by-id/virtio-root"], "mount": "/srv/system"})
    wanted.append({"name": "twice", "devices": [{"serial": "FIRST"}], "mount": "/srv/twice"})
    # The pool's own disks are in use, and their file systems write when they like.
    before = hashes(machine, *FOREIGN)
    play = rack.play(plays(wanted))
    assert play.returncode != 0
    text = " ".join(play.output.split())
    for reason in (
        "(serial EXTFS) is not empty: ext4 signature",
        "(serial TABLE) is not empty: partition vd",
        "(serial GROUP) is not empty: part of group theirs",
        "(serial ARRAY) is not empty: part of md",
        "its file system is mounted at /busy, and mount is /srv/busy",
        "which the system runs on (/)",
        "which pool data has already",
        "Nothing was changed",
    ):
        assert reason in text, f"{reason}\n{play.output}"
    # The switch frees what a person named and nobody uses: here, that is not asked for the two that are in use.
    play = rack.play(plays(wanted[-4:-2], storage_allow_destroy=True))
    assert play.returncode != 0, play.output
    machine.ok("sync")
    assert hashes(machine, *FOREIGN) == before


def test_after_a_reboot_all_is_mounted_and_a_second_run_changes_nothing(rack: Rack, machine: Machine) -> None:
    machine.ok(
        "head -c 20M /dev/urandom > /srv/mlops/datasets/kept && sync && sha256sum /srv/mlops/datasets/kept > /root/kept"
    )
    machine.reboot()
    # nofail: the boot goes on without them, and SSH may be there first.
    for mount in ("datasets", "models", "scratch"):
        machine.wait_for(f"mountpoint -q /srv/mlops/{mount}", 180)
    machine.ok("sha256sum --check --quiet /root/kept")
    play = good(rack.play(plays(pools("FIRST", "SECOND"))))
    assert play.changed("store") == 0, play.output


def test_a_failed_disk_is_told_and_replaced(rack: Rack, machine: Machine) -> None:
    machine.fail_disk("SECOND")
    machine.ok("echo more > /srv/mlops/datasets/more && sync /srv/mlops/datasets/more")
    machine.wait_for(missing(1), 60)
    play = good(rack.play(plays(pools("FIRST", "SECOND"))))
    assert "array data" in play.output and "is degraded" in play.output, play.output
    machine.pull_disk("SECOND")
    # A degraded array is started late, 30 s after the boot, and what lies on it is mounted all the same.
    machine.reboot()
    machine.wait_for("mountpoint -q /srv/mlops/datasets && mountpoint -q /srv/mlops/models", 180)
    machine.add_disk(THIRD)
    play = good(rack.play(plays(pools("FIRST", "THIRD"))))
    machine.wait_for(missing(0), 180)
    machine.ok("sha256sum --check --quiet /root/kept")
    assert good(rack.play(plays(pools("FIRST", "THIRD")))).changed("store") == 0


def test_grows_online_from_the_disks_up(rack: Rack, machine: Machine) -> None:
    before = size(machine, "/srv/mlops/datasets"), size(machine, "/srv/mlops/models")
    machine.grow_disk("FIRST", 2 * GIB)
    machine.wait_for(f"test $(blockdev --getsize64 {FIRST.by_id}) = {2 * GIB}", 30)
    good(rack.play(plays(pools("FIRST", "THIRD"))))
    after = size(machine, "/srv/mlops/datasets"), size(machine, "/srv/mlops/models")
    assert after[0] > 1.8 * before[0] and after[1] > 1.8 * before[1], (before, after)
    machine.ok("sha256sum --check --quiet /root/kept")
    play = rack.play(plays(pools("FIRST", "THIRD", share="10%")))
    assert play.returncode != 0 and "never made smaller" in " ".join(play.output.split()), play.output


@pytest.mark.parametrize(("number", "cut_at"), [(0, "Make array late"), (1, "Make xfs for /srv/late")])
def test_a_power_cut_in_the_middle_is_completed_by_the_next_run(
    rack: Rack, machine: Machine, number: int, cut_at: str
) -> None:
    """The role is cut off right after it began a step; files that were synced under write load are there again."""
    disks = [f"LATE{number}A", f"LATE{number}B"]
    for serial in disks:
        machine.add_disk(Disk(serial, GIB))
    late = {
        "name": f"late{number}",
        "devices": [{"serial": serial} for serial in disks],
        "raid": {"level": 1},
        "volumes": [{"name": "all", "size": "100%", "mount": f"/srv/late{number}"}],
    }
    wanted = [*pools("FIRST", "THIRD"), late]
    machine.ok("mkdir -p /srv/mlops/models/load")
    machine.ok(
        "nohup sh -c 'for i in $(seq 1000); do head -c 200k /dev/urandom > /srv/mlops/models/load/$i.new;"
        " sync /srv/mlops/models/load/$i.new; mv /srv/mlops/models/load/$i.new /srv/mlops/models/load/$i;"
        " sync /srv/mlops/models/load; (cd /srv/mlops/models/load; sha256sum $i) >> /srv/mlops/datasets/sums;"
        " sync /srv/mlops/datasets/sums; done' > /dev/null 2>&1 &"
    )
    with rack.playing(plays(wanted)) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("TASK") and f"{cut_at}{number}" in line:
                break
        else:
            pytest.fail("the play ended before it was cut off")
        # The task's name is printed when it is sent: what it does begins within the next seconds.
        time.sleep(4)
        machine.power_cut()
        process.kill()
    machine.start()
    machine.wait_for("mountpoint -q /srv/mlops/models && mountpoint -q /srv/mlops/datasets", 180)
    machine.ok("sha256sum --check --quiet /root/kept")
    machine.ok(
        "cd /srv/mlops/models/load && test $(wc -l < ../../datasets/sums) -gt 1 && head -n -1 ../../datasets/sums | sha256sum --check --quiet"
    )
    machine.ok("rm -r /srv/mlops/models/load /srv/mlops/datasets/sums")
    good(rack.play(plays(wanted)))
    machine.ok(f"mountpoint -q /srv/late{number}")
    assert good(rack.play(plays(wanted))).changed("store") == 0
    assert machine.run("test -e /var/lib/mlops-onprem/storage/journal.json").returncode != 0


def test_takes_back_what_it_made(rack: Rack, machine: Machine) -> None:
    good(rack.play(plays(pools("FIRST", "THIRD"), storage_state="absent")))
    assert machine.run("findmnt /srv/mlops/datasets || grep /srv/mlops /etc/fstab").returncode != 0
    machine.ok("mount /dev/data/datasets /mnt && cd /mnt && test -s kept && cd / && umount /mnt")
    good(
        rack.play(
            plays(pools("FIRST", "THIRD"), storage_state="absent", storage_remove_data=True, storage_allow_destroy=True)
        )
    )
    assert machine.ok("wipefs --noheadings /dev/disk/by-id/virtio-FIRST /dev/disk/by-id/virtio-THIRD") == ""
