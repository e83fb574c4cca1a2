# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tables state and nobody here could look up in a vendor's repository.

A package, repository or rule that rests on such a fact carries its key. A selection lists those that it used, and the
page docs/gpu.md all of them. Each can be overridden by the options of the filter.
"""

from __future__ import annotations

UNVERIFIED = {
    "first-branches": "Ada Lovelace and Hopper need branch 535 of the known ones, Blackwell 570, Blackwell Ultra (B300, GB300) 580.",
    "debian-headless": "On Debian, the kernel module with nvidia-smi, libcuda1 and nvidia-persistenced is all that a node without X needs.",
    "ubuntu-server-branches": "Ubuntu's -server packages are there for 535, 570, 580, 595 and 615; on 22.04 and 24.04, 595 and 615 in part from multiverse.",
    "ubuntu-full": "Ubuntu's own driver with X is nvidia-driver-<branch>-server, with -open at its end for the open modules.",
    "ubuntu-open-userland": (
        "Ubuntu's nvidia-headless-no-dkms-<branch>-server-open is the user space of the open modules; NVIDIA's driver container takes the "
        "name without -open."
    ),
    "ubuntu-parts": "Fabric Manager, NSCQ, NVSDM, IMEX and nvlsm can be had beside Ubuntu's own driver, at its version.",
    "ubuntu-plain-closed": "From 590 on, the vendor's proprietary modules for Ubuntu are nvidia-dkms.",
    "ubuntu-utilities": "In the vendor's Ubuntu repository, nvidia-utils (before 590 with -<branch>) has nvidia-smi.",
    "ubuntu-closed-compute": "Up to 580, the vendor's proprietary modules for Ubuntu are nvidia-dkms-<branch>.",
    "ubuntu-suffixed-open": "Before 580, the vendor's whole open driver for Ubuntu is nvidia-open-<branch>.",
    "closed-full": "The vendor's whole proprietary driver is cuda-drivers, for Ubuntu up to 580 with -<branch>.",
    "before-580": "The vendor's repository of the distribution has branches before 580, and for apt the pinning packages for them.",
    "vendor-persistence": (
        "The persistence daemon of the vendor's repository is nvidia-persistenced; for Ubuntu before 590 it is in "
        "nvidia-compute-utils-<branch>."
    ),
    "keyring-files": "An earlier install by cuda-keyring left cuda-<distribution>-<architecture>.list in /etc/apt/sources.list.d.",
    "debian13-arm": "The vendor's repository has the folder debian13/sbsa; in February 2026 it had not, later guides of others use it.",
    "el-key": "The fingerprint of D42D0685.pub, the vendor's key for RHEL and its relatives, is that which other projects hold it to.",
    "toolkit-key": (
        "The fingerprint of the container toolkit's key is that which other projects hold it to; its RPMs are in a folder for each "
        "architecture."
    ),
    "amd-key": "The fingerprint of AMD's key for amdgpu and ROCm up to 7.2.4 is that which other projects hold it to.",
    "amdrocm-key": "The fingerprint of AMD's key for ROCm since 7.13 is not known: give it by keys.",
    "el10": "The vendor's repository for RHEL 10 is rhel10, and needs the same headers as that of 9.",
    "el-precompiled": (
        "Streams of precompiled modules for RHEL bring kmod-nvidia and the dnf plugin by themselves; they are signed with NVIDIA's key, "
        "which has to be enrolled for Secure Boot."
    ),
    "el-fabric-manager": "From 580 on, the RPM nvidia-fabricmanager still provides nvidia-fabric-manager.",
    "almalinux": "AlmaLinux takes the packages for RHEL.",
    "fabric-by-model": "B200 and B300 (by PCI id) need Fabric Manager and nvlsm, GB200 and GB300 need IMEX.",
    "dcgm-debian13": "DCGM has packages for Debian 13.",
    "dcgm-cuda11": "Branch 470 goes with DCGM for CUDA 11.",
    "toolkit-version": "The container toolkit's packages are of one version, and a wildcard after it meets the revision.",
    "toolkit-debian": "The container toolkit works on Debian 12 and 13; its tested list ends at Debian 11.",
    "mig-parted-file": (
        "Releases of mig-parted hold nvidia-mig-manager_<version>-1_<architecture>.deb and "
        "nvidia-mig-manager-<version>-1.<architecture>.rpm, as those of 0.5 to 0.9 did."
    ),
    "amd-older": "MI25, MI50 and MI100 are not named in the list of ROCm's packages by chip; whether ROCm 7 serves them is not known.",
    "amd-debian13": "ROCm on Debian 13 works with the amdgpu module of Debian's kernel, for which AMD names no package.",
    "amd-distribution": "The distribution's rocminfo and rocm-smi work with the amdgpu module of its kernel.",
    "amd-packages": "amdrocm<version>-<chip> is what runs programs, and amdrocm-core-sdk<version> what builds them.",
    "amd-conflicts": "Packages of ROCm 7.2.4 and earlier that have to go first are rocm, rocm-core and rocm-hip-runtime.",
    "amd-el-key": "AMD's repositories for RHEL are signed with the same keys as those for Debian.",
}
