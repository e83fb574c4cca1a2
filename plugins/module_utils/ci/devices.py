# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a slot's devices are told to whoever runs its jobs: GitLab's `gpus`, CDI names, variables, device files.

Sources: the documentation of `docker run --gpus` (several devices are one quoted field of a CSV line, and GitLab Runner takes the same
text), of the Container Device Interface and nvidia-ctk (names by UUID), of CUDA (`CUDA_VISIBLE_DEVICES` takes UUIDs of GPUs and of MIG
instances) and of ROCm (`ROCR_VISIBLE_DEVICES`, UUIDs as `GPU-` and 16 hexadecimal digits).
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci.slots import Slot

CDI_KINDS = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}
# What every program on a vendor's GPUs opens, beside the GPU's own file. MIG's rights are files of the class nvidia-caps.
_SHARED_NODES = {
    "nvidia": ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "char-nvidia-caps"),
    "amd": ("/dev/kfd",),
}


def visible(slot: Slot) -> list[str]:
    """Return the words by which CUDA, ROCm and CDI know the slot's devices."""
    words = []
    for device in slot.devices:
        if not device.uuid:
            words.append(str(device.index))
        elif device.vendor == "amd" and not device.uuid.startswith("GPU-"):
            words.append("GPU-" + device.uuid.lower().removeprefix("0x"))
        else:
            words.append(device.uuid)
    return words


def environment(slot: Slot) -> dict[str, str]:
    """Return the variables that show a process the slot's devices, and those of a slot without GPU none."""
    words = ",".join(visible(slot))
    vendors = {device.vendor for device in slot.devices}
    found = {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": words if "nvidia" in vendors else "",
        "NVIDIA_VISIBLE_DEVICES": words if "nvidia" in vendors else "void",
    }
    if "amd" in vendors:
        found["ROCR_VISIBLE_DEVICES"] = words
    return found


def gitlab_gpus(slot: Slot) -> str:
    """Return GitLab's `gpus`; empty without GPU. Several are quoted: a bare comma would end the field."""
    words = visible(slot)
    if not words:
        return ""
    text = "device=" + ",".join(words)
    return f'"{text}"' if len(words) > 1 else text


def container_options(slot: Slot, access: str) -> str:
    """Return the options of `docker create` that give a container the slot's devices.

    access: `cdi`, which survives a daemon-reload of the host, or `gpus`, for an engine without CDI.
    """
    if not slot.devices:
        return ""
    if access == "gpus":
        return f"--gpus '{gitlab_gpus(slot)}'"
    kind = CDI_KINDS.get(slot.devices[0].vendor, CDI_KINDS["nvidia"])
    return " ".join(f"--device {kind}={word}" for word in visible(slot))


def device_allow(slot: Slot) -> list[str]:
    """Return what a unit of systemd lets a job on the host itself open; everything else is closed to it."""
    shared = [node for device in slot.devices for node in _SHARED_NODES.get(device.vendor, ())]
    own = [node for device in slot.devices for node in device.nodes]
    return list(dict.fromkeys(f"{node} rw" for node in [*shared, *own]))


def describe(slot: Slot) -> list[dict[str, Any]]:
    """Return the slot's devices as plain data."""
    return [
        {"kind": one.kind, "index": one.index, "vendor": one.vendor, "uuid": one.uuid, "pci_address": one.pci_address}
        for one in slot.devices
    ]
