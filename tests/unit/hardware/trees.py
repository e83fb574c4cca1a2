"""Small machines made of files."""

from __future__ import annotations

from pathlib import Path


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write `files` (path on the machine, content) below `root`; a content of `-> x` makes a link to x."""
    for path, content in files.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("-> "):
            place.symlink_to(content[3:])
        elif isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_text(content + "\n")
    return root


# What becomes of a file, beside other bytes in it: nothing, something else, or a link.
DAMAGES = ["gone", "directory", "loop", "/", "..", "/etc/passwd"]


def damage(root: Path, changes: dict[str, str | bytes]) -> None:
    """Put other bytes, or one of DAMAGES, in the place of files that `write` made."""
    for path, change in changes.items():
        place = root / path.lstrip("/")
        place.unlink()
        if isinstance(change, bytes):
            place.write_bytes(change)
        elif change == "directory":
            place.mkdir()
        elif change == "loop":
            place.symlink_to(place.name)
        elif change != "gone":
            place.symlink_to(change)


def cpu_files(cpu: int, package: int, siblings: str) -> dict[str, str]:
    """The topology of one logical CPU."""
    place = f"/sys/devices/system/cpu/cpu{cpu}/topology"
    return {f"{place}/physical_package_id": str(package), f"{place}/core_cpus_list": siblings}


def pci_files(address: str, code: str, vendor: str, device: str, place: str = "", **more: str) -> dict[str, str]:
    """One PCI function; with `place`, its directory stands there and the bus links to it, as in the kernel's tree."""
    link = f"/sys/bus/pci/devices/{address}"
    links = {link: f"-> {place}"} if place else {}
    place = place or link
    return {
        **links,
        f"{place}/class": code,
        f"{place}/vendor": "0x" + vendor,
        f"{place}/device": "0x" + device,
        **{f"{place}/{name}": value for name, value in more.items()},
    }


# One socket with two cores of two threads, one node, two cards of which one has no driver, a console and a disk.
SERVER: dict[str, str | bytes] = {
    "/proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon  9\nflags\t\t: lm avx2 amx_tile sse2",
    "/proc/meminfo": "MemTotal:        1048576 kB\nMemFree: 1 kB",
    "/proc/version": "Linux version 6.1.0-28-amd64 (someone)",
    "/proc/self/mountinfo": (
        "22 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n23 22 0:5 / /proc rw - proc proc rw\n"
        "24 22 0:9 / /srv/a\\040b rw shared:1 - xfs /dev/nvme0n1p2 rw"
    ),
    "/proc/cmdline": "root=/dev/sda1 intel_iommu=on iommu=pt",
    "/proc/self/cgroup": "0::/system.slice/job",
    "/proc/self/status": "Name:\tx\nCpus_allowed_list:\t0-1",
    "/sys/fs/cgroup/cgroup.controllers": "cpu memory",
    "/sys/fs/cgroup/system.slice/memory.max": "536870912",
    "/sys/fs/cgroup/system.slice/cpu.max": "max 100000",
    "/sys/fs/cgroup/system.slice/job/memory.max": "max",
    "/sys/fs/cgroup/system.slice/job/cpu.max": "150000 100000",
    "/etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian \\"twelve\\""',
    "/sys/kernel/security/lockdown": "none [integrity] confidentiality",
    "/sys/kernel/iommu_groups/0/type": "identity",
    "/sys/kernel/iommu_groups/1/type": "DMA",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "/sys/devices/system/cpu/present": "0-5",
    "/sys/devices/system/cpu/smt/active": "1",
    "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "performance",
    "/sys/devices/system/cpu/cpufreq/policy1/scaling_governor": "powersave",
    "/sys/devices/system/cpu/online": "0-3",
    **cpu_files(0, 0, "0,2"),
    **cpu_files(1, 0, "1,3"),
    "/sys/devices/system/node/node0/cpulist": "0-3",
    "/sys/devices/system/node/node0/meminfo": "Node 0 MemTotal:        1048576 kB",
    "/sys/devices/system/memory/block_size_bytes": "8000000",
    **{f"/sys/devices/system/memory/memory{number}/state": "online" for number in range(9)},
    "/sys/devices/system/memory/memory9/state": "offline",
    **pci_files(
        "0000:01:00.0",
        "0x030200",
        "10de",
        "2330",
        place="/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0",
        numa_node="0",
        current_link_speed="2.5 GT/s PCIe",
        max_link_speed="32.0 GT/s PCIe",
        current_link_width="16",
        max_link_width="16",
    ),
    # The slot is one generation older than the card, and half as wide.
    **pci_files(
        "0000:00:01.0",
        "0x060400",
        "8086",
        "352a",
        place="/sys/devices/pci0000:00/0000:00:01.0",
        max_link_speed="16.0 GT/s PCIe",
        max_link_width="8",
    ),
    **pci_files("0000:02:00.0", "0x120000", "1002", "74a1", numa_node="-1", mem_info_vram_total="206141652992"),
    "/sys/bus/pci/devices/0000:02:00.0/hwmon/hwmon7/power1_cap": "750000000",
    "/sys/bus/pci/devices/0000:02:00.0/hwmon/hwmon7/power1_cap_max": "750000000",
    **pci_files("0000:03:00.0", "0x030000", "1a03", "2000"),
    **pci_files("0000:04:00.0", "0x068000", "10de", "22a3"),
    **pci_files("0000:05:00.0", "0x040300", "10de", "22ba"),
    "/sys/class/dmi/id/sys_vendor": "Some Maker",
    "/sys/class/dmi/id/product_name": "To Be Filled By O.E.M.",
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": b"\x06\0\0\0\x01",
    "/sys/block/nvme0n1/size": "2048",
    "/sys/block/nvme0n1/dev": "259:0",
    "/sys/block/nvme0n1/device/model": "FAST  DISK",
    "/sys/block/nvme0n1/nvme0n1p1/partition": "1",
    "/sys/block/nvme0n1/nvme0n1p1/dev": "259:1",
    "/sys/block/nvme1n1/size": "2048",
    "/sys/block/nvme1n1/dev": "259:3",
    "/run/udev/data/b259:3": "S:disk/by-id/nvme-FAST_1\nS:disk/by-id/nvme-eui.0123\nE:ID_SERIAL_SHORT=S1",
    "/sys/block/loop0/size": "2048",
    # The path of an NVMe disk with several paths, and an array that lost a member.
    "/sys/block/nvme1c0n1/size": "2048",
    "/sys/block/md0/size": "2048",
    "/sys/block/md0/md/level": "raid1",
    "/sys/block/md0/md/array_state": "clean",
    "/sys/block/md0/md/degraded": "1",
    "/sys/block/md0/slaves/sda1/size": "2048",
    "/sys/module/nouveau/initstate": "live",
    **pci_files("0000:06:00.0", "0x020000", "15b3", "1021", numa_node="0"),
    "/sys/class/net/eth0/device": "-> ../../../bus/pci/devices/0000:06:00.0",
    "/sys/class/net/eth0/speed": "-1",
    "/sys/class/net/eth0/operstate": "down",
    "/sys/class/net/eth0/mtu": "1500",
    "/sys/class/net/eth0/carrier": "0",
    "/sys/class/net/veth0/speed": "10000",
}
