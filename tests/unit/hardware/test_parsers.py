"""Single parsers, with the notations that real machines use."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import (
    accelerator_table,
    accelerators,
    cpu,
    disks,
    dmi,
    lists,
    mounts,
    numa,
    nvidia_smi,
    pci,
    rocm_smi,
    system,
)
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Broken, Tree

from .trees import write

GPU = b"""<?xml version="1.0" ?><!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log><driver_version>570.1</driver_version><attached_gpus>1</attached_gpus>
<gpu id="00000000:01:00.0"><product_name>NVIDIA H100 80GB HBM3</product_name><uuid>GPU-1</uuid>
<mig_mode><current_mig>Enabled</current_mig></mig_mode>
<mig_devices><mig_device><fb_memory_usage><total>9856 MiB</total></fb_memory_usage></mig_device></mig_devices>
<ecc_mode><current_ecc>Enabled</current_ecc></ecc_mode>
<ecc_errors><aggregate><dram_uncorrectable>2</dram_uncorrectable><sram_uncorrectable>N/A</sram_uncorrectable></aggregate></ecc_errors>
<pci><pci_device_id>233010DE</pci_device_id></pci>
<fb_memory_usage><total>81559 MiB</total></fb_memory_usage></gpu></nvidia_smi_log>"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0-3,8", [0, 1, 2, 3, 8]), ("", []), (None, None), ("3-1", None), ("0-99999999", None), ("x", None), ("5", [5])],
)
def test_cpu_list(text, expected):
    assert lists.cpu_list(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("0000000f", [0, 1, 2, 3]), ("1,00000001", [0, 32]), ("zz", None)])
def test_cpu_mask(text, expected):
    assert lists.cpu_mask(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("16.0 GT/s PCIe", 4), ("8 GT/s", 3), ("Unknown", None), (None, None), ("2.5 GT/s", 1), ("64.0 GT/s PCIe", 6)],
)
def test_link_generation(text, expected):
    assert pci.generation(text) == expected


@pytest.mark.parametrize(
    ("code", "identity", "address", "expected"),
    [
        (0x030200, "10de:2330", "0000:01:00.0", True),
        (0x030000, "10de:2684", "0000:01:00.0", True),
        (0x038000, "1002:738c", "0000:01:00.0", True),
        (0x120000, "1da3:1020", "0000:01:00.0", True),
        (0x030000, "8086:56a0", "0000:03:00.0", True),
        (0x0B4000, "8086:225c", "0000:03:00.0", True),
        (0x030000, "8086:a780", "0000:00:02.0", False),  # inside the CPU
        (0x0B4000, "8086:4940", "0000:6b:00.0", False),  # encryption
        (0x030000, "1a03:2000", "0000:02:00.0", False),  # server management
        (0x030000, "1002:515e", "0000:02:00.0", False),
        (0x030000, "1234:1111", "0000:00:02.0", False),  # a hypervisor's console
        (0x068000, "10de:22a3", "0000:85:00.0", False),
        (0x040300, "10de:22ba", "0000:01:00.1", False),
    ],
)
def test_what_is_an_accelerator(code, identity, address, expected):
    assert accelerators.is_accelerator(code, identity, address) is expected


@pytest.mark.parametrize(
    ("mib", "expected"),
    [
        (81559, 80),
        (40960, 40),
        (15360, 16),
        (23028, 24),
        (46068, 48),
        (32510, 32),
        (143771, 141),
        (24564, 24),
        (196592, 192),
    ],
)
def test_memory_class(mib, expected):
    assert accelerator_table.memory_class(mib * 2**20) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("GA100 [A100 PCIe 40GB]", 40), ("GH100 [GH200 120GB / 480GB]", None), ("TU104", None), (None, None)],
)
def test_memory_by_name(name, expected):
    assert accelerators.named_gb(name) == expected


def test_names_from_the_hosts_database(tmp_path):
    data = b"# x\n10de  NVIDIA\n\t1234  Chip [Card 48GB]\n\t\t10de 1234  Other 12GB\n1002  AMD\n\t1234  None\n"
    files = {"/usr/share/misc/pci.ids": data, "/sys/bus/pci/devices/0000:01:00.0/class": "0x030200"}
    files.update(
        {
            f"/sys/bus/pci/devices/0000:01:00.0/{name}": text
            for name, text in {"vendor": "0x10de", "device": "0x1234"}.items()
        }
    )
    tree = Tree(str(write(tmp_path, files)))
    (card,) = accelerators.finish(tree, accelerators.from_pci(tree, pci.classes(tree)))
    assert (card["name"], card["memory_class_gb"], card["memory_source"]) == ("Chip [Card 48GB]", 48, "name")


def test_nvidia_gpu():
    parsed = nvidia_smi.parse(GPU)
    (gpu,) = parsed["gpus"]
    assert parsed["driver_version"] == "570.1"
    assert gpu["pci_address"] == "0000:01:00.0"
    assert gpu["pci_id"] == "10de:2330"
    assert gpu["memory_bytes"] == 81559 * 2**20
    assert gpu["mig"] == {"enabled": True, "instances": [{"profile": None, "memory_bytes": 9856 * 2**20, "uuid": None}]}
    assert gpu["health"]["ecc"] == {"enabled": True, "uncorrectable": 2}


BOMB = b'<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;">]><nvidia_smi_log><gpu>&z;</gpu></nvidia_smi_log>'
OUTSIDE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><nvidia_smi_log><gpu>&x;</gpu></nvidia_smi_log>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\xff",
        b"<a/>",
        GPU[: len(GPU) // 2],
        BOMB,
        OUTSIDE,
        b"<a>" * 100000,
        b"<?xml version='1.0' encoding='x'?><a/>",
    ],
    ids=["empty", "binary", "other", "cut", "bomb", "outside", "deep", "encoding"],
)
def test_bad_xml_is_broken(data):
    with pytest.raises(Broken):
        nvidia_smi.parse(data)


@pytest.mark.parametrize("text", ["N/A", "[N/A]", "[REDACTED]", "Not Supported", "0 MiB", "12 apples", ""])
def test_no_size(text):
    data = f"<nvidia_smi_log><gpu><fb_memory_usage><total>{text}</total></fb_memory_usage></gpu></nvidia_smi_log>"
    assert nvidia_smi.parse(data.encode())["gpus"][0]["memory_bytes"] is None


def test_a_hung_nvidia_smi_is_given_up(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(30)\n")
    program.chmod(0o755)
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen
    monkeypatch.setattr(nvidia_smi, "PROGRAMS", (str(program),))
    monkeypatch.setattr(
        nvidia_smi.subprocess, "Popen", lambda *args, **more: started.append(popen(*args, **more)) or started[0]
    )
    with pytest.raises(Broken, match="no answer in 1 seconds"):
        nvidia_smi.ask(timeout=1)
    assert started[0].wait(5) != 0


def test_amd_smi_in_both_forms():
    card = b'{"asic":{"market_name":"MI300X","device_id":"0x74a1"},"bus":{"bdf":"0000:1B:00.0"},"vram":{"size":{"value":196592,"unit":"MB"}}}'
    for data in (b"[" + card + b"]", b'{"gpu_data":[' + card + b"]}"):
        (found,) = rocm_smi.parse(data)
        assert found["memory_bytes"] == 196592 * 2**20
        assert found["pci_address"] == "0000:1b:00.0"
        assert found["pci_id"] == "1002:74a1"


def structure(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body) + 4, 0, 0]) + body + b"\0\0"


def memory_device(size: int, extended: int = 0) -> bytes:
    return structure(17, b"\0\0" + b"\0" * 6 + size.to_bytes(2, "little") + b"\0" * 14 + extended.to_bytes(4, "little"))


def test_memory_slots():
    table = (
        structure(16, bytes([3, 3, 6]) + b"\0" * 8)
        + memory_device(0x7FFF, 65536)
        + memory_device(16384)
        + memory_device(0)
    )
    assert dmi.parse_table(table) == {
        "ecc": True,
        "dimm_slots": 3,
        "dimms_populated": 2,
        "dimm_sizes_bytes": [16 * 2**30, 64 * 2**30],
    }


def test_memory_slots_by_udev():
    text = (
        "E:MEMORY_ARRAY_EC_TYPE=Multi-bit ECC\nE:MEMORY_DEVICE_0_SIZE=34359738368\nE:MEMORY_DEVICE_1_PRESENT=0\n"
        "E:MEMORY_ARRAY_NUM_DEVICES=2"
    )
    assert dmi.parse_udev(text) == {
        "ecc": True,
        "dimm_slots": 2,
        "dimms_populated": 1,
        "dimm_sizes_bytes": [34359738368],
    }


def test_a_cpuless_node_is_the_gpus_only_where_one_says_so(tmp_path):
    files = {
        "/sys/devices/system/node/node0/cpulist": "0-1",
        "/sys/devices/system/node/node0/meminfo": "Node 0 MemTotal: 8 kB",
        "/sys/devices/system/node/node2/cpulist": "",
        "/sys/devices/system/node/node2/meminfo": "Node 2 MemTotal: 4 kB",
    }
    tree = Tree(str(write(tmp_path, files)))
    assert [node["kind"] for node in numa.read(tree)] == ["host", "host"]
    assert [node["kind"] for node in numa.read(tree, coherent_gpu=True)] == ["host", "gpu"]
    write(tmp_path, {"/proc/driver/nvidia/gpus/0009:01:00.0/numa_status": "Node:  2\nStatus: online"})
    assert [node["kind"] for node in numa.read(tree)] == ["host", "gpu"]


def test_cpuinfo_of_arm_and_power():
    arm = cpu.parse_cpuinfo("processor : 0\nFeatures : fp asimd sve i8mm\nCPU implementer : 0x41\nCPU part : 0xd4f")
    assert (cpu.vendor_of(arm), cpu.model_of(arm), cpu.ml_flags_of(arm)) == (
        "ARM",
        "part 0xd4f",
        ["asimd", "i8mm", "sve"],
    )
    power = cpu.parse_cpuinfo("processor : 0\ncpu : POWER9, altivec supported")
    assert (cpu.vendor_of(power), cpu.ml_flags_of(power)) == ("IBM", None)


def test_offline_and_hybrid_cpus(tmp_path):
    files = {"/sys/devices/system/cpu/online": "1-4"}
    for number, siblings in {1: "1-2", 2: "1-2", 3: "3", 4: "4"}.items():
        files[f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"] = siblings
        files[f"/sys/devices/system/cpu/cpu{number}/topology/physical_package_id"] = "0"
    facts = cpu.read(Tree(str(write(tmp_path, files))))
    assert (facts["sockets"], facts["cores"], facts["threads"], facts["threads_per_core"]) == (1, 3, 4, 2)


@pytest.mark.parametrize(
    ("flags", "names", "expected"),
    [
        ("fpu hypervisor", "QEMU Standard PC", "qemu"),
        ("fpu hypervisor", "Red Hat KVM", "kvm"),
        ("fpu hypervisor", "Microsoft Corporation Virtual Machine", "hyperv"),
        ("fpu", "Microsoft Corporation Surface", "none"),
        ("fpu hypervisor", "", "other"),
        ("fpu", "Dell Inc. PowerEdge", "none"),
        ("fpu hypervisor", "VMware, Inc.", "vmware"),
    ],
)
def test_virtualization(flags, names, expected):
    assert system.virtualization_of({"flags": flags}, names, None) == expected


@pytest.mark.parametrize(
    ("name", "model", "rotational", "expected"),
    [
        ("nvme0n1", "X", 0, "nvme"),
        ("nvme0n1", "Amazon Elastic Block Store", 0, "virtual"),
        ("sda", "QEMU HARDDISK", 1, "virtual"),
        ("vda", None, 1, "virtual"),
        ("sda", "ST4000", 1, "hdd"),
        ("sda", "SSD", 0, "ssd"),
        ("sda", None, None, None),
    ],
)
def test_kind_of_disk(name, model, rotational, expected):
    assert disks.kind_of(name, model, rotational, None) == expected


def test_mount_table_with_spaces():
    (mount,) = mounts.parse_mountinfo(
        "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw\nbroken line"
    )
    assert mount == mounts.Mount("98:0", "/mnt 2", "ext3", "/dev/root")


def test_nvidia_driver_version():
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build"
    assert accelerators.nvidia_driver_version(text) == "570.86.15"
