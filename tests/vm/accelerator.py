"""Which accelerator QEMU runs a machine with."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Under software emulation a processor with AVX costs more than it gains: the boot and Python's imports take a fifth more
# processor time with `max`, and more still with Haswell. Nehalem is x86-64-v2.
ARGUMENTS = {
    "kvm": ["-accel", "kvm", "-cpu", "host"],
    "tcg": ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem"],
}


def choose(cpuinfo: str, kvm_opens: bool, wanted: str = "") -> str:
    """`kvm` or `tcg`.

    wanted is the value of MLOPS_VM_ACCEL and decides if it is not empty; ValueError for another word. Else KVM needs the
    processor's own flag besides a /dev/kvm that opens: without it, what is behind that device is not hardware
    virtualisation, and an ordinary kernel may hang in it.
    """
    if wanted:
        if wanted not in ARGUMENTS:
            raise ValueError(f"MLOPS_VM_ACCEL={wanted}: there are {' and '.join(sorted(ARGUMENTS))}")
        return wanted
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, flags=re.MULTILINE)
    has_flag = flags is not None and bool({"vmx", "svm"} & set(flags[1].split()))
    return "kvm" if has_flag and kvm_opens else "tcg"


def here() -> str:
    """The choice on this computer."""
    return choose(
        Path("/proc/cpuinfo").read_text(),
        os.access("/dev/kvm", os.R_OK | os.W_OK),
        os.environ.get("MLOPS_VM_ACCEL", ""),
    )
