# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drop-ins for the vendor's units.

Each asks the PCI bus before it starts: an image that is made for many hosts has them all enabled, and a host without the
device skips them. The bus answers before the driver is loaded, which a device file would not.
"""

from __future__ import annotations

HEAD = "# Written by Ansible (mlops.onprem.gpu_driver). Changes are overwritten.\n"
NAME = "mlops-onprem.conf"
_GPU = "grep -qsx 0x10de /sys/bus/pci/devices/*/vendor"
# NVSwitches are bridges (class 0680) on the bus; those of NVLink 5 are behind InfiniBand devices that say SW_MNG.
_SWITCH = (
    "for d in /sys/bus/pci/devices/*; do read v < $d/vendor; read c < $d/class; "
    "case $v$c in 0x10de0x0680*) exit 0;; esac; done; "
    "grep -qs SW_MNG /sys/class/infiniband/*/device/vpd"
)

PERSISTENCE = "nvidia-persistenced.service"
FABRIC_MANAGER = "nvidia-fabricmanager.service"
IMEX = "nvidia-imex.service"
DCGM = "nvidia-dcgm.service"
MIG = "nvidia-mig-manager.service"
CDI = "nvidia-cdi-refresh.service"
CDI_PATH = "nvidia-cdi-refresh.path"


def folder(unit: str) -> str:
    return f"/etc/systemd/system/{unit}.d"


def shell(text: str) -> str:
    """A word for ExecCondition= and its like: systemd would put variables and specifiers in."""
    return "/bin/sh -c '" + text.replace("%", "%%").replace("$", "$$") + "'"


def _service(*lines: str) -> str:
    return HEAD + "[Service]\n" + "".join(f"{line}\n" for line in lines)


def persistence() -> str:
    """Persistence mode on, also where the package starts the daemon with --no-persistence-mode, as Ubuntu's does.

    The driver may be loaded a moment after the daemon starts.
    """
    return _service(
        f"ExecCondition={shell(_GPU)}",
        "ExecStartPost=-/usr/bin/nvidia-smi --persistence-mode=1",
        "Restart=on-failure",
        "RestartSec=10",
    )


def fabric_manager(modules: list[str]) -> str:
    """`modules`: kernel modules that have to be loaded before it looks for its switches."""
    load = [f"ExecStartPre=-/sbin/modprobe --all {' '.join(modules)}"] if modules else []
    return _service(f"ExecCondition={shell(_SWITCH)}", *load)


def gpu() -> str:
    return _service(f"ExecCondition={shell(_GPU)}")


def cdi(feature_flag: str) -> str:
    """The unit's own file of variables is a configuration file of the package, and goes before this."""
    return _service(f"Environment=NVIDIA_CTK_CDI_GENERATE_FEATURE_FLAGS={feature_flag}")


def mig(file: str, layout: str) -> str:
    return _service(
        f'Environment="MIG_PARTED_CONFIG_FILE={file}"',
        f'Environment="MIG_PARTED_SELECTED_CONFIG={layout}"',
    )
