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


def cpu_files(cpu: int, package: int, siblings: str) -> dict[str, str]:
    """The topology of one logical CPU."""
    place = f"/sys/devices/system/cpu/cpu{cpu}/topology"
    return {f"{place}/physical_package_id": str(package), f"{place}/core_cpus_list": siblings}


def pci_files(address: str, code: str, vendor: str, device: str, **more: str) -> dict[str, str]:
    """One PCI function."""
    place = f"/sys/bus/pci/devices/{address}"
    return {
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
        numa_node="0",
        current_link_speed="2.5 GT/s PCIe",
        max_link_speed="32.0 GT/s PCIe",
        current_link_width="16",
        max_link_width="16",
    ),
    **pci_files("0000:02:00.0", "0x120000", "1002", "74a1", numa_node="-1", mem_info_vram_total="206141652992"),
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
    "/sys/module/nouveau/initstate": "live",
    **pci_files("0000:06:00.0", "0x020000", "15b3", "1021", numa_node="0"),
    "/sys/class/net/eth0/device": "-> ../../../bus/pci/devices/0000:06:00.0",
    "/sys/class/net/eth0/speed": "-1",
    "/sys/class/net/eth0/operstate": "down",
    "/sys/class/net/eth0/mtu": "1500",
    "/sys/class/net/veth0/speed": "10000",
}
