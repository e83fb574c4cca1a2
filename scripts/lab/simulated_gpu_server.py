"""Write the simulated GPU server of the lab: a tree like /proc and /sys, and a stand-in for nvidia-smi.

    simulated_gpu_server.py FOLDER

FOLDER/root holds the tree with two GPUs of the 80 GB class (PCI id 10de:2331), FOLDER/nvidia-smi a script that replays
FOLDER/root/nvidia-smi.xml. Nothing here was read from a machine: names and numbers describe a server that does not exist,
and product, vendor and every GPU's name say "simulated".
"""

from __future__ import annotations

import sys
from pathlib import Path

GIB = 2**30
SOCKETS, CORES_PER_SOCKET, THREADS_PER_CORE = 2, 16, 2
MEMORY_BYTES = 512 * GIB
GPU_MEMORY_MIB = 81559  # what the driver reports for the nominal 80 GB

# address, class, vendor, device, driver, NUMA node, (current speed, width), extra files
PCI_FUNCTIONS = [
    ("0000:17:00.0", "0x030200", "0x10de", "0x2331", "nvidia", 0, ("16.0 GT/s PCIe", 16)),
    ("0000:ca:00.0", "0x030200", "0x10de", "0x2331", "nvidia", 1, ("16.0 GT/s PCIe", 16)),
    ("0000:03:00.0", "0x030000", "0x1a03", "0x2000", "ast", 0, ("2.5 GT/s PCIe", 1)),
    ("0000:31:00.0", "0x020000", "0x15b3", "0x101d", "mlx5_core", 0, ("16.0 GT/s PCIe", 16)),
    ("0000:31:00.1", "0x020000", "0x15b3", "0x101d", "mlx5_core", 0, ("16.0 GT/s PCIe", 16)),
    ("0000:65:00.0", "0x010802", "0x144d", "0xa80a", "nvme", 0, ("16.0 GT/s PCIe", 4)),
    ("0000:e3:00.0", "0x010802", "0x144d", "0xa80a", "nvme", 1, ("16.0 GT/s PCIe", 4)),
]
NETWORK = {"ens1f0np0": "0000:31:00.0", "ens1f1np1": "0000:31:00.1"}
DISKS = {"nvme0n1": "0000:65:00.0", "nvme1n1": "0000:e3:00.0"}
DISK_BYTES = 3_840_755_982_336


class Tree:
    """A folder that is filled with files and links by paths from its root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def link(self, path: str, target: str) -> None:
        """Link path to target; both from the root, written relative as sysfs does."""
        link = self.root / path
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        up = "../" * (len(Path(path).parts) - 1)
        link.symlink_to(up + target)


def cpus_of_node(node: int) -> str:
    """Linux's list format: the cores of a socket first, their second threads after all first ones."""
    first = node * CORES_PER_SOCKET
    second = SOCKETS * CORES_PER_SOCKET + first
    return f"{first}-{first + CORES_PER_SOCKET - 1},{second}-{second + CORES_PER_SOCKET - 1}"


def write_cpus(tree: Tree) -> None:
    cores = SOCKETS * CORES_PER_SOCKET
    threads = cores * THREADS_PER_CORE
    records = []
    for cpu in range(threads):
        core = cpu % cores
        base = f"sys/devices/system/cpu/cpu{cpu}/topology"
        tree.write(f"{base}/physical_package_id", core // CORES_PER_SOCKET)
        tree.write(f"{base}/core_id", core % CORES_PER_SOCKET)
        tree.write(f"{base}/core_cpus_list", f"{core},{core + cores}")
        tree.write(f"{base}/thread_siblings_list", f"{core},{core + cores}")
        records.append(
            f"processor\t: {cpu}\nvendor_id\t: GenuineIntel\nmodel name\t: Simulated CPU 32-core\n"
            f"physical id\t: {core // CORES_PER_SOCKET}\ncore id\t\t: {core % CORES_PER_SOCKET}\n"
            "flags\t\t: fpu lm sse sse2 avx avx2 avx512f avx512_vnni avx512_bf16 amx_tile amx_bf16 amx_int8\n"
        )
    tree.write("proc/cpuinfo", "\n".join(records))
    for name in ("present", "online", "possible"):
        tree.write(f"sys/devices/system/cpu/{name}", f"0-{threads - 1}")
    tree.write("sys/devices/system/cpu/smt/active", 1)


def write_memory(tree: Tree) -> None:
    total_kb = MEMORY_BYTES // 1024 * 98 // 100  # the kernel and the firmware keep about 2 %
    tree.write(
        "proc/meminfo", f"MemTotal:       {total_kb} kB\nMemFree:        {total_kb} kB\nMemAvailable:   {total_kb} kB"
    )
    block = 2 * GIB
    tree.write("sys/devices/system/memory/block_size_bytes", f"{block:x}")
    for index in range(MEMORY_BYTES // block):
        tree.write(f"sys/devices/system/memory/memory{index}/online", 1)
    nodes = range(SOCKETS)
    for name in ("online", "has_cpu", "has_memory"):
        tree.write(f"sys/devices/system/node/{name}", f"0-{SOCKETS - 1}")
    for node in nodes:
        base = f"sys/devices/system/node/node{node}"
        tree.write(f"{base}/cpulist", cpus_of_node(node))
        tree.write(f"{base}/meminfo", f"Node {node} MemTotal:       {total_kb // SOCKETS} kB")
        tree.write(f"{base}/distance", " ".join("10" if other == node else "21" for other in nodes))


def write_pci(tree: Tree) -> None:
    for address, class_, vendor, device, driver, node, (speed, width) in PCI_FUNCTIONS:
        path = f"sys/devices/pci0000:{address[5:7]}/{address}"
        for name, value in {
            "class": class_,
            "vendor": vendor,
            "device": device,
            "subsystem_vendor": vendor,
            "subsystem_device": "0x0001",
            "revision": "0x00",
            "numa_node": node,
            "local_cpulist": cpus_of_node(node),
            "current_link_speed": speed,
            "max_link_speed": speed,
            "current_link_width": width,
            "max_link_width": width,
        }.items():
            tree.write(f"{path}/{name}", value)
        tree.link(f"{path}/driver", f"sys/bus/pci/drivers/{driver}")
        (tree.root / "sys/bus/pci/drivers" / driver).mkdir(parents=True, exist_ok=True)
        tree.link(f"sys/bus/pci/devices/{address}", path)
    tree.write("sys/module/nvidia/version", "570.133.20")
    tree.write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.133.20  (simulated)")


def pci_path(address: str) -> str:
    return f"sys/devices/pci0000:{address[5:7]}/{address}"


def write_network(tree: Tree) -> None:
    for name, address in NETWORK.items():
        path = f"{pci_path(address)}/net/{name}"
        for key, value in {"speed": 100000, "operstate": "up", "carrier": 1, "mtu": 9000, "type": 1}.items():
            tree.write(f"{path}/{key}", value)
        tree.link(f"{path}/device", pci_path(address))
        tree.link(f"sys/class/net/{name}", path)


def write_disks(tree: Tree) -> None:
    for index, (name, address) in enumerate(DISKS.items()):
        controller = f"{pci_path(address)}/nvme/nvme{index}"
        path = f"{controller}/{name}"
        tree.write(f"{controller}/model", "Simulated NVMe 3.84TB")
        tree.write(f"{controller}/serial", f"SIMULATED{index}")
        tree.write(f"{controller}/transport", "pcie")
        tree.link(f"{controller}/device", pci_path(address))
        tree.link(f"sys/class/nvme/nvme{index}", controller)
        for key, value in {"size": DISK_BYTES // 512, "removable": 0, "ro": 0, "queue/rotational": 0}.items():
            tree.write(f"{path}/{key}", value)
        (tree.root / path / "holders").mkdir(exist_ok=True)
        tree.link(f"{path}/device", controller)
        tree.link(f"sys/block/{name}", path)


def write_platform(tree: Tree) -> None:
    for name, value in {
        "sys_vendor": "Simulated",
        "product_name": "Simulated GPU server",
        "bios_version": "1.0",
        "bios_date": "01/01/2026",
        "chassis_type": 23,
    }.items():
        tree.write(f"sys/class/dmi/id/{name}", value)
    (tree.root / "sys/firmware/efi").mkdir(parents=True, exist_ok=True)
    tree.write("proc/sys/kernel/osrelease", "6.1.0-simulated")
    tree.write("proc/version", "Linux version 6.1.0-simulated")
    tree.write(
        "proc/self/mountinfo",
        "22 1 259:2 / / rw,relatime - ext4 /dev/nvme0n1p2 rw\n23 22 259:9 / /srv rw,relatime - xfs /dev/nvme1n1 rw",
    )
    tree.write("etc/os-release", 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"')


def gpu_xml(index: int, address: str) -> str:
    bus_id = f"0000{address.upper()}"
    return f"""  <gpu id="{bus_id}">
    <product_name>NVIDIA H100 PCIe (simulated)</product_name>
    <product_architecture>Hopper</product_architecture>
    <mig_mode><current_mig>Disabled</current_mig><pending_mig>Disabled</pending_mig></mig_mode>
    <mig_devices>None</mig_devices>
    <uuid>GPU-00000000-0000-0000-0000-00000000000{index}</uuid>
    <minor_number>{index}</minor_number>
    <pci>
      <pci_bus_id>{bus_id}</pci_bus_id>
      <pci_device_id>233110DE</pci_device_id>
      <pci_gpu_link_info>
        <pcie_gen><max_link_gen>4</max_link_gen><current_link_gen>4</current_link_gen></pcie_gen>
        <link_widths><max_link_width>16x</max_link_width><current_link_width>16x</current_link_width></link_widths>
      </pci_gpu_link_info>
    </pci>
    <fb_memory_usage><total>{GPU_MEMORY_MIB} MiB</total><used>0 MiB</used><free>{GPU_MEMORY_MIB} MiB</free></fb_memory_usage>
    <ecc_mode><current_ecc>Enabled</current_ecc><pending_ecc>Enabled</pending_ecc></ecc_mode>
  </gpu>"""


def write_nvidia_smi(folder: Path, tree: Tree) -> None:
    gpus = [function[0] for function in PCI_FUNCTIONS if function[2] == "0x10de"]
    body = "\n".join(gpu_xml(index, address) for index, address in enumerate(gpus))
    tree.write(
        "nvidia-smi.xml",
        f"""<?xml version="1.0" ?>
<nvidia_smi_log>
  <driver_version>570.133.20</driver_version>
  <cuda_version>12.8</cuda_version>
  <attached_gpus>{len(gpus)}</attached_gpus>
{body}
</nvidia_smi_log>""",
    )
    script = folder / "nvidia-smi"
    script.write_text(
        "#!/bin/sh\n"
        "# Stand-in of the lab: there is no GPU here. It replays one simulated answer and refuses every other question.\n"
        'if [ "$*" = "-q -x" ]; then exec cat /srv/simulated/nvidia-smi.xml; fi\n'
        'echo "nvidia-smi (simulated): only -q -x is answered here" >&2\nexit 2\n'
    )
    script.chmod(0o755)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    tree = Tree(folder / "root")
    for part in (write_cpus, write_memory, write_pci, write_network, write_disks, write_platform):
        part(tree)
    write_nvidia_smi(folder, tree)


if __name__ == "__main__":
    main()
