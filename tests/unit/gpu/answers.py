"""What nvidia-smi, modinfo and dcgmi write, as small as the proof needs it, for cards that do not exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

H100 = "2330"


def write(root: Path, files: dict[str, str]) -> None:
    """Write `files` (path on the machine, content) below `root`."""
    for path, content in files.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content + "\n")


def address(number: int) -> str:
    return f"0000:{number + 0x10:02x}:00.0"


def gpu_xml(number: int, **other: Any) -> str:
    """One healthy card in nvidia-smi's words; `other` changes what it says."""
    told = {
        "name": "NVIDIA H100 80GB HBM3",
        "device": H100,
        "memory": "81559 MiB",
        "width": "16x",
        "max_width": "16x",
        "ecc": "Enabled",
        "ecc_pending": "Enabled",
        "volatile": 0,
        "aggregate": 0,
        "pending": "No",
        "failure": "No",
        "recovery": "None",
        "fabric": "N/A",
        "power_brake": "Not Active",
        "mig": "Disabled",
        "virtualization": "None",
        "uuid": f"GPU-00000000-0000-0000-0000-{number:012d}",
        **other,
    }
    return f"""
  <gpu id="0000{address(number).upper()}">
    <product_name>{told["name"]}</product_name>
    <product_architecture>Hopper</product_architecture>
    <mig_mode><current_mig>{told["mig"]}</current_mig></mig_mode>
    <uuid>{told["uuid"]}</uuid>
    <gpu_virtualization_mode><virtualization_mode>{told["virtualization"]}</virtualization_mode></gpu_virtualization_mode>
    <gpu_recovery_action>{told["recovery"]}</gpu_recovery_action>
    <pci>
      <pci_device_id>{told["device"]}10DE</pci_device_id>
      <pci_gpu_link_info><link_widths>
        <max_link_width>{told["max_width"]}</max_link_width><current_link_width>{told["width"]}</current_link_width>
      </link_widths></pci_gpu_link_info>
    </pci>
    <clocks_event_reasons>
      <clocks_event_reason_hw_power_brake_slowdown>{told["power_brake"]}</clocks_event_reason_hw_power_brake_slowdown>
    </clocks_event_reasons>
    <fb_memory_usage><total>{told["memory"]}</total></fb_memory_usage>
    <ecc_mode><current_ecc>{told["ecc"]}</current_ecc><pending_ecc>{told["ecc_pending"]}</pending_ecc></ecc_mode>
    <ecc_errors>
      <volatile><dram_uncorrectable>{told["volatile"]}</dram_uncorrectable></volatile>
      <aggregate><dram_uncorrectable>{told["aggregate"]}</dram_uncorrectable></aggregate>
    </ecc_errors>
    <remapped_rows>
      <remapped_row_pending>{told["pending"]}</remapped_row_pending>
      <remapped_row_failure>{told["failure"]}</remapped_row_failure>
    </remapped_rows>
    <fabric><state>{told["fabric"]}</state></fabric>
  </gpu>"""


def smi_xml(*gpus: str, version: str = "580.178.04") -> bytes:
    text = f"""<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <driver_version>{version}</driver_version>
  <cuda_version>13.0</cuda_version>
  <attached_gpus>{len(gpus)}</attached_gpus>{"".join(gpus)}
</nvidia_smi_log>
"""
    return text.encode()


def p2p_text(count: int, word: str = "OK") -> bytes:
    """The matrix of `nvidia-smi topo -p2p r`, headings underlined as on a terminal."""
    heading = "\t".join(f"\x1b[4mGPU{number}\x1b[0m" for number in range(count))
    rows = [
        "\t".join([f" GPU{one}", *("X" if one == two else word for two in range(count))]) + "\t" for one in range(count)
    ]
    return ("\n".join([f" \t{heading}\t", *rows, "", "Legend:", "", "  X    = Self", "  OK   = Status Ok"])).encode()


def on_disk(version: str = "580.178.04", license_name: str = "Dual MIT/GPL") -> dict[str, str]:
    """What is known of a kernel module of NVIDIA on the disk."""
    kind = "proprietary" if license_name == "NVIDIA" else "open"
    return {"name": "nvidia", "version": version, "license": license_name, "flavour": kind}


def diagnosis(*, status: str = "Pass", gpus: int = 2, warning: str = "", root: str = "DCGM Diagnostic") -> str:
    """dcgmi's answer; all cards but the last pass."""
    results: list[dict[str, Any]] = [
        {"entity_group": "GPU", "entity_id": number, "status": "Pass"} for number in range(gpus)
    ]
    results[-1]["status"] = status
    if warning:
        results[-1]["warnings"] = [{"error_id": 17, "error_severity": 2, "warning": warning}]
    tests = [{"name": "targeted_stress", "results": results, "test_summary": {"status": status}}]
    return json.dumps({root: {"test_categories": [{"category": "Stress", "tests": tests}]}})
