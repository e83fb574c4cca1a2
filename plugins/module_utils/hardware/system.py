# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine itself: maker, firmware, kernel, and whether it is virtual."""

from __future__ import annotations

import os
import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.cpu import (
    CPUINFO,
    CPUINFO_HEAD_BYTES,
    parse_cpuinfo,
)
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.lists import chosen
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

DMI = "/sys/class/dmi/id"
FIRMWARE = "/sys/firmware"
# The GUID is EFI_GLOBAL_VARIABLE of the UEFI specification.
SECURE_BOOT = FIRMWARE + "/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
LOCKDOWN = "/sys/kernel/security/lockdown"
IOMMU = "/sys/class/iommu"
IOMMU_GROUPS = "/sys/kernel/iommu_groups"
CMDLINE = "/proc/cmdline"
# The second one is the distribution's own; the first is the host's to change.
OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
SOURCES = {
    "vendor": DMI + "/sys_vendor",
    "product": DMI + "/product_name",
    "bios_version": DMI + "/bios_version",
    "bios_date": DMI + "/bios_date",
    "architecture": CPUINFO,
    "kernel": "/proc/version",
    "virtualization": DMI,
    "container": "/run/systemd/container",
    "firmware": FIRMWARE,
    "secure_boot": SECURE_BOOT,
    "lockdown": LOCKDOWN,
    "iommu": IOMMU_GROUPS,
    "os": OS_RELEASE[0],
}

# What boards say whose maker filled in nothing.
_JUNK = re.compile(
    r"(to be filled by o\.?e\.?m\.?|default string|system (manufacturer|product name|version)|not (specified|available)"
    r"|none|n/?a|o\.?e\.?m\.?|123456789|0+|x+)",
    re.I,
)
_HYPERVISORS = (
    (r"\bKVM\b|OpenStack|RHEV|oVirt|Proxmox", "kvm"),
    (r"QEMU|Bochs", "qemu"),
    (r"VMware", "vmware"),
    (r"VirtualBox|innotek", "virtualbox"),
    (r"\bXen\b", "xen"),
    (r"Amazon EC2|DigitalOcean|Google Compute|Scaleway|Hetzner vServer|Alibaba", "kvm"),
    (r"Parallels", "parallels"),
    (r"Apple Virtualization", "apple"),
)


def plain(text: str | None) -> str | None:
    """A DMI string with single spaces; None when the maker left it unfilled."""
    text = " ".join((text or "").split())
    return None if not text or _JUNK.fullmatch(text) else text


def kernel_of(version: str | None, release: str | None) -> str | None:
    """The release out of `/proc/version`, or as the kernel states it."""
    if release:
        return release
    match = re.match(r"Linux version (\S{1,128})", version or "")
    return match.group(1) if match else None


def architecture_of(fields: dict[str, str], version: str = "") -> str | None:
    """A recorded machine's architecture by what only its kind of CPU prints."""
    if "flags" in fields:
        return "x86_64" if "lm" in fields["flags"].split() else "i686"
    if "CPU implementer" in fields:
        return "aarch64" if fields.get("CPU architecture") == "8" else "armv7l"
    # POWER runs in either byte order; only its kernel's own words tell, where they were recorded.
    return "ppc64le" if "ppc64le" in version else None


def virtualization_of(fields: dict[str, str], names: str, xen: str | None) -> str:
    """none, a hypervisor's short name, or `other` when the CPU says that there is one.

    `names`: the DMI maker, product, board and BIOS strings in one text.
    """
    if xen:
        return "xen"
    hypervisor = "hypervisor" in fields.get("flags", "").split()
    for pattern, name in _HYPERVISORS:
        if re.search(pattern, names):
            return name
    if re.search(r"Microsoft", names) and ("Virtual Machine" in names or hypervisor):
        return "hyperv"
    return "other" if hypervisor else "none"


def container(tree: Tree) -> str | None:
    """none, or what kind of container this is (docker, podman, lxc, systemd-nspawn …)."""
    stated = tree.text("/run/systemd/container") or tree.text("/run/host/container-manager")
    if stated:
        return stated[:64]
    if tree.exists("/.dockerenv"):
        return "docker"
    if tree.exists("/run/.containerenv"):
        return "podman"
    # Readable by root only, and only the variable of that name matters.
    variable = re.search(rb"(?:^|\0)container=([\w.-]{1,64})", tree.data("/proc/1/environ") or b"")
    if variable:
        return variable.group(1).decode("ascii", "replace")
    groups = tree.text("/proc/1/cgroup") or ""
    match = re.search(r"/(docker|lxc|kubepods|libpod|machine\.slice/systemd-nspawn)", groups)
    return match.group(1) if match else "none"


def firmware(tree: Tree, architecture: str | None) -> str | None:
    """uefi or bios; None where the view is masked (a container) or a machine has neither."""
    if tree.exists(FIRMWARE + "/efi"):
        return "uefi"
    if architecture in ("x86_64", "i686") and tree.names(FIRMWARE):
        return "bios"
    return None


def secure_boot(tree: Tree, kind: str | None) -> bool | None:
    """Whether Secure Boot is on: the variable's fifth byte, after four of attributes."""
    if kind == "bios":
        return False
    value = tree.data(SECURE_BOOT, 16)
    return bool(value[4]) if value and len(value) >= 5 else None


def parse_os_release(text: str | None) -> dict[str, str | None]:
    """id, version_id and name out of os-release (freedesktop.org's format: shell assignments, quotes optional)."""
    values: dict[str, str] = {}
    for name, value in re.findall(r"^([A-Z_]{1,32})=(.{0,256})$", text or "", re.M):
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        values[name] = value
    return {
        "id": values.get("ID") or None,
        # A rolling distribution has no version.
        "version_id": values.get("VERSION_ID") or None,
        "name": values.get("PRETTY_NAME") or values.get("NAME") or None,
    }


def operating_system(tree: Tree) -> dict[str, str | None]:
    """The `system.os` facts from the first of the two places that says anything."""
    for path in OS_RELEASE:
        found = parse_os_release(tree.text(path))
        if found["id"]:
            return found
    return parse_os_release(None)


def iommu(tree: Tree) -> dict[str, Any]:
    """Whether an IOMMU translates device addresses, the number of its groups, and if it lets the host's own pass.

    `passthrough` is the kernel's default for a device that no guest has: True costs nothing and is what GPUs that talk
    to each other need; from the type of the first group, which kernels before 4.15 do not tell.
    """
    groups = tree.names(IOMMU_GROUPS)
    units = tree.names(IOMMU)
    enabled: bool | None = bool(groups or units)
    if not enabled and not (tree.exists(IOMMU_GROUPS) or tree.exists(IOMMU)):
        off = re.search(r"(?:^|\s)(?:intel_|amd_)?iommu=off(?:\s|$)", tree.text(CMDLINE) or "")
        enabled = False if off else None
    kind = tree.text(f"{IOMMU_GROUPS}/{groups[0]}/type") if groups else None
    return {
        "enabled": enabled,
        "groups": len(groups) if groups or enabled is False else None,
        "passthrough": kind == "identity" if kind else (False if enabled is False else None),
    }


def read(tree: Tree) -> dict[str, Any]:
    """The `system` facts."""
    fields = parse_cpuinfo(tree.text(CPUINFO, CPUINFO_HEAD_BYTES))
    raw = {
        name: tree.text(f"{DMI}/{name}")
        for name in ("sys_vendor", "product_name", "board_vendor", "bios_vendor", "bios_version", "bios_date")
    }
    version, release = tree.text("/proc/version"), tree.text("/proc/sys/kernel/osrelease")
    machine = os.uname().machine if tree.live else architecture_of(fields, version or "")
    kind = firmware(tree, machine)
    names = " ".join(value for value in raw.values() if value)
    known = bool(fields or names)
    return {
        "vendor": plain(raw["sys_vendor"]),
        "product": plain(raw["product_name"]),
        "bios_version": plain(raw["bios_version"]),
        "bios_date": plain(raw["bios_date"]),
        "architecture": machine,
        "kernel": kernel_of(version, release),
        "virtualization": virtualization_of(fields, names, tree.text("/sys/hypervisor/type")) if known else None,
        "container": container(tree),
        "firmware": kind,
        "secure_boot": secure_boot(tree, kind),
        "lockdown": chosen(tree.text(LOCKDOWN)),
        "iommu": iommu(tree),
        "os": operating_system(tree),
    }
