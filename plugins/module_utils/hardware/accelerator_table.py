# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an accelerator's PCI id says before any driver is there.

Each row: name, architecture, memory class in GB as sold (None where one id is sold with several sizes). Ids and names
agree with the public PCI id database; sizes are the makers' data sheets. A class of 80 means 80 x 2^30 bytes of memory
chips, of which a driver reports up to 7 % less.
"""

from __future__ import annotations

from typing import NamedTuple, Optional


class Model(NamedTuple):
    """One row of the table."""

    name: str
    architecture: str
    memory_class_gb: Optional[int]  # noqa: UP045 (evaluated at run time on Python 3.9)


MODELS = {
    # NVIDIA
    "10de:15f8": Model("Tesla P100 PCIe 16GB", "Pascal", 16),
    "10de:15f9": Model("Tesla P100 SXM2 16GB", "Pascal", 16),
    "10de:1b38": Model("Tesla P40", "Pascal", 24),
    "10de:1bb3": Model("Tesla P4", "Pascal", 8),
    "10de:1db1": Model("Tesla V100 SXM2 16GB", "Volta", 16),
    "10de:1db4": Model("Tesla V100 PCIe 16GB", "Volta", 16),
    "10de:1db5": Model("Tesla V100 SXM2 32GB", "Volta", 32),
    "10de:1db6": Model("Tesla V100 PCIe 32GB", "Volta", 32),
    "10de:1db8": Model("Tesla V100 SXM3 32GB", "Volta", 32),
    "10de:1df6": Model("Tesla V100S PCIe 32GB", "Volta", 32),
    "10de:1eb8": Model("Tesla T4", "Turing", 16),
    "10de:1e30": Model("Quadro RTX 6000/8000", "Turing", None),
    "10de:20b0": Model("A100 SXM4 40GB", "Ampere", 40),
    "10de:20b2": Model("A100 SXM4 80GB", "Ampere", 80),
    "10de:20b5": Model("A100 PCIe 80GB", "Ampere", 80),
    "10de:20b7": Model("A30 PCIe", "Ampere", 24),
    "10de:20f1": Model("A100 PCIe 40GB", "Ampere", 40),
    "10de:2204": Model("GeForce RTX 3090", "Ampere", 24),
    "10de:2230": Model("RTX A6000", "Ampere", 48),
    "10de:2231": Model("RTX A5000", "Ampere", 24),
    "10de:2235": Model("A40", "Ampere", 48),
    "10de:2236": Model("A10", "Ampere", 24),
    "10de:2237": Model("A10G", "Ampere", 24),
    "10de:25b6": Model("A2 / A16", "Ampere", 16),
    "10de:2321": Model("H100 NVL", "Hopper", 94),
    "10de:2330": Model("H100 SXM5 80GB", "Hopper", 80),
    "10de:2331": Model("H100 PCIe", "Hopper", 80),
    "10de:2335": Model("H200 SXM 141GB", "Hopper", 141),
    "10de:233b": Model("H200 NVL", "Hopper", 141),
    "10de:2342": Model("GH200", "Hopper", None),
    "10de:2684": Model("GeForce RTX 4090", "Ada Lovelace", 24),
    "10de:26b1": Model("RTX 6000 Ada Generation", "Ada Lovelace", 48),
    "10de:26b5": Model("L40", "Ada Lovelace", 48),
    "10de:26b9": Model("L40S", "Ada Lovelace", 48),
    "10de:27b8": Model("L4", "Ada Lovelace", 24),
    "10de:2901": Model("B200", "Blackwell", 192),
    "10de:2941": Model("GB200", "Blackwell", None),
    "10de:2b85": Model("GeForce RTX 5090", "Blackwell", 32),
    "10de:2bb5": Model("RTX PRO 6000 Blackwell Server Edition", "Blackwell", 96),
    "10de:2e12": Model("GB10", "Blackwell", None),
    "10de:3182": Model("B300", "Blackwell", 288),
    # AMD
    "1002:66a1": Model("Instinct MI50 / MI60", "CDNA", None),
    "1002:6860": Model("Instinct MI25", "GCN 5", 16),
    "1002:738c": Model("Instinct MI100", "CDNA", 32),
    "1002:7408": Model("Instinct MI250X", "CDNA 2", 64),
    "1002:740c": Model("Instinct MI250X / MI250", "CDNA 2", 64),
    "1002:740f": Model("Instinct MI210", "CDNA 2", 64),
    "1002:74a1": Model("Instinct MI300X", "CDNA 3", 192),
    "1002:74a5": Model("Instinct MI325X", "CDNA 3", 256),
    "1002:74b5": Model("Instinct MI300X VF", "CDNA 3", 192),
    "1002:75a0": Model("Instinct MI350X", "CDNA 4", 288),
    "1002:75a3": Model("Instinct MI355X", "CDNA 4", 288),
    # Intel
    "8086:0bd5": Model("Data Center GPU Max 1550", "Xe-HPC", 128),
    "8086:0bda": Model("Data Center GPU Max 1100", "Xe-HPC", 48),
    "8086:56c0": Model("Data Center GPU Flex 170", "Xe-HPG", 16),
    "8086:56c1": Model("Data Center GPU Flex 140", "Xe-HPG", 6),
}

# GPUs without memory of their own: they use the host's.
UNIFIED = frozenset({"10de:2e12"})
# GPUs whose memory the kernel may show as a NUMA node without CPUs (NVLink to the CPU).
COHERENT = frozenset({"10de:2342", "10de:2941", "10de:1db1", "10de:1db5"})
# Bridges that connect GPUs and carry NVIDIA's vendor id: Volta, Ampere, Hopper.
NVSWITCHES = frozenset({"10de:1ac2", "10de:1af1", "10de:22a3"})

VENDORS = {
    "10de": "nvidia",
    "1002": "amd",
    "8086": "intel",
    "1da3": "habana",
    "1bcf": "nec",
    "1e52": "tenstorrent",
    "17cb": "qualcomm",
    "1ae0": "google",
    "10ee": "xilinx",
}

# Sizes that memory is sold in, GB.
CLASSES_GB = (
    *(1, 2, 3, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 128),
    *(141, 144, 192, 256, 288),
)


def memory_class(memory_bytes: int, sold_as: int | None = None) -> int:
    """The size in GB that a GPU with `memory_bytes` is sold as.

    Drivers report 0 to 7 % less than the class (ECC and firmware take a part: T4 15360 MiB of 16, H100 81559 of 80 x
    1024), measured on the cards that the tests hold. `sold_as`, from the PCI id, decides where it fits.
    """
    gib = memory_bytes / 2**30
    if sold_as is not None and 0.92 * sold_as <= gib <= 1.02 * sold_as:
        return sold_as
    for size in CLASSES_GB:
        if 0.93 * size <= gib <= 1.01 * size:
            return size
    return round(gib)
