#!/usr/bin/python

# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hardware_facts
short_description: Gather the hardware facts that machine learning depends on
version_added: 0.1.0
description:
  - Reads CPU, memory, NUMA nodes, accelerators, interconnects, network cards, disks, filesystems and firmware of a Linux
    machine from C(/sys) and C(/proc). No package, no driver and no root access is needed on the host; what needs them is
    V(null) and is listed in C(unreadable).
  - The one program that is run is C(nvidia-smi), with a time limit, and only where the NVIDIA driver is loaded.
  - Accelerators are found by their PCI class, also without a driver. Their memory comes from the driver, else from a
    table of PCI ids, else from the name in the host's C(pci.ids); the size of the memory window only gives a range.
extends_documentation_fragment:
  - mlops.onprem.attributes
  - mlops.onprem.attributes.info
  - mlops.onprem.attributes.facts
options:
  root:
    description:
      - Directory that holds the C(proc), C(sys) and C(run) of the machine to describe.
      - With another value than V(/) a recorded machine is read. No link leads out of the directory, and no program is run.
    type: path
    default: /
  nvidia_smi_xml:
    description:
      - File with the output of C(nvidia-smi -q -x), read in place of running it.
    type: path
  rocm_smi_json:
    description:
      - File with the output of C(rocm-smi --json) or C(amd-smi static --json), read beside what the kernel tells.
    type: path
seealso:
  - module: ansible.builtin.setup
author:
  - The mlops.onprem authors (@mlops-onprem)
"""

EXAMPLES = r"""
- name: Gather the hardware facts
  mlops.onprem.hardware_facts:

- name: Show the accelerators
  ansible.builtin.debug:
    var: ansible_facts['mlops_hardware']['accelerators']

- name: Describe a machine from the files that were recorded on it
  mlops.onprem.hardware_facts:
    root: /srv/recorded/gpu7
    nvidia_smi_xml: /srv/recorded/gpu7/nvidia-smi.xml

# With ANSIBLE_FACTS_MODULES=ansible.builtin.setup,mlops.onprem.hardware_facts in the environment (or facts_modules in
# ansible.cfg) each play gathers them by itself.
- name: Train where there are GPUs
  hosts: all
  gather_facts: true
  tasks:
    - name: Count the GPUs
      ansible.builtin.debug:
        msg: "{{ ansible_facts['mlops_hardware']['accelerators'] | length }}"
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to C(ansible_facts).
  returned: always
  type: dict
  contains:
    mlops_hardware:
      description: The hardware of the machine. Sizes are in bytes; what could not be read is V(null).
      returned: always
      type: dict
      contains:
        schema:
          description: Version of this structure.
          type: int
          returned: always
          sample: 1
        system:
          description: Maker, firmware and kernel.
          type: dict
          returned: always
          contains:
            vendor: {description: Maker of the machine., type: str, returned: always, sample: Dell Inc.}
            product: {description: Product name., type: str, returned: always, sample: PowerEdge XE9680}
            bios_version: {description: Version of the firmware., type: str, returned: always, sample: 2.1.3}
            bios_date: {description: Date of the firmware as its maker wrote it., type: str, returned: always, sample: 03/22/2024}
            architecture: {description: Machine architecture., type: str, returned: always, sample: x86_64}
            kernel: {description: Kernel release., type: str, returned: always, sample: 6.1.0-28-amd64}
            virtualization: {description: V(none) or the hypervisor., type: str, returned: always, sample: kvm}
            container: {description: V(none) or the kind of container., type: str, returned: always, sample: none}
            firmware: {description: V(uefi) or V(bios)., type: str, returned: always, sample: uefi}
            secure_boot: {description: Whether Secure Boot is on., type: bool, returned: always, sample: false}
            lockdown:
              description: Kernel lockdown, V(none), V(integrity) or V(confidentiality). With the last two only signed modules load.
              type: str
              returned: always
              sample: none
            iommu:
              description: Translation of device addresses.
              type: dict
              returned: always
              contains:
                enabled: {description: Whether it is on., type: bool, returned: always, sample: true}
                groups: {description: Number of isolated groups of devices., type: int, returned: always, sample: 168}
                passthrough:
                  description: Whether the host's own devices pass without translation, as devices that talk to each other need.
                  type: bool
                  returned: always
                  sample: true
            os:
              description: Operating system, from C(os-release).
              type: dict
              returned: always
              contains:
                id: {description: Short name., type: str, returned: always, sample: debian}
                version_id: {description: "Version; V(null) on a rolling distribution.", type: str, returned: always, sample: "12"}
                name: {description: Name for people., type: str, returned: always, sample: Debian GNU/Linux 12 (bookworm)}
        cpu:
          description: Processors of the whole machine.
          type: dict
          returned: always
          contains:
            vendor: {description: Maker., type: str, returned: always, sample: GenuineIntel}
            model: {description: Model as the kernel prints it., type: str, returned: always, sample: Intel(R) Xeon(R) Platinum 8480C}
            sockets: {description: Number of processors., type: int, returned: always, sample: 2}
            cores: {description: Number of cores with an online CPU., type: int, returned: always, sample: 112}
            threads: {description: Number of online logical CPUs., type: int, returned: always, sample: 224}
            present: {description: Number of logical CPUs including those that are offline., type: int, returned: always, sample: 224}
            threads_per_core: {description: Most threads of one core., type: int, returned: always, sample: 2}
            smt_active: {description: Whether cores run several threads now., type: bool, returned: always, sample: true}
            hybrid: {description: Whether there are several kinds of cores., type: bool, returned: always, sample: false}
            governors:
              description: Frequency governors in use. V(null) where the kernel does not scale frequencies, as in most virtual machines.
              type: list
              elements: str
              returned: always
              sample: [performance]
            ml_flags:
              description: Instruction sets that machine learning libraries use.
              type: list
              elements: str
              returned: always
              sample: [amx_bf16, amx_int8, amx_tile, avx2, avx512f]
        memory:
          description: Memory of the host, without that of GPUs.
          type: dict
          returned: always
          contains:
            total_bytes: {description: Memory that the kernel manages., type: int, returned: always, sample: 2163956441088}
            installed_bytes: {description: Memory that is plugged in., type: int, returned: always, sample: 2199023255552}
            ecc: {description: Whether errors are corrected., type: bool, returned: always, sample: true}
            dimm_slots: {description: Number of memory slots., type: int, returned: always, sample: 32}
            dimms_populated: {description: Number of slots with a module., type: int, returned: always, sample: 32}
            dimm_sizes_bytes:
              description: Size of each module.
              type: list
              elements: int
              returned: always
              sample: [68719476736, 68719476736]
            hugepages:
              description: Reserved huge pages by page size.
              type: list
              elements: dict
              returned: always
              contains:
                page_bytes: {description: Size of one page., type: int, returned: always, sample: 2097152}
                pages: {description: Reserved pages., type: int, returned: always, sample: 0}
                free_pages: {description: Reserved pages that are not used., type: int, returned: always, sample: 0}
            transparent_hugepages: {description: "V(always), V(madvise) or V(never).", type: str, returned: always, sample: madvise}
        numa:
          description: NUMA nodes.
          type: list
          elements: dict
          returned: always
          contains:
            id: {description: Number of the node., type: int, returned: always, sample: 0}
            cpus: {description: Its online CPUs., type: list, elements: int, returned: always, sample: [0, 1]}
            memory_bytes: {description: Its memory., type: int, returned: always, sample: 1081978220544}
            kind: {description: V(host) or V(gpu) for the memory of a GPU., type: str, returned: always, sample: host}
        accelerators:
          description: GPUs and other accelerators; no switches, consoles, audio or encryption.
          type: list
          elements: dict
          returned: always
          contains:
            pci_address: {description: Address on the PCI bus., type: str, returned: always, sample: "0000:19:00.0"}
            vendor: {description: Maker., type: str, returned: always, sample: nvidia}
            pci_id: {description: PCI ids of maker and device., type: str, returned: always, sample: "10de:2330"}
            name: {description: Name., type: str, returned: always, sample: H100 SXM5 80GB}
            architecture: {description: Generation of the chip., type: str, returned: always, sample: Hopper}
            memory_bytes:
              description: Memory. Nominal where RV(ansible_facts.mlops_hardware.accelerators[].memory_source) is not V(driver).
              type: int
              returned: always
              sample: 85899345920
            memory_bracket_bytes:
              description: Range of the memory where only the size of the memory window is known, V(null) otherwise.
              type: dict
              returned: always
              contains:
                more_than: {description: Lower end., type: int, returned: always, sample: 68719476736}
                at_most: {description: Upper end., type: int, returned: always, sample: 137438953472}
            memory_source:
              description: V(driver), V(pci_id), V(name) or V(bar), in falling order of trust.
              type: str
              returned: always
              sample: pci_id
            memory_class_gb: {description: Size in GB as sold., type: int, returned: always, sample: 80}
            unified_memory: {description: Whether it uses the host's memory., type: bool, returned: always, sample: false}
            driver: {description: Kernel driver in charge., type: str, returned: always, sample: nvidia}
            driver_version: {description: Its version., type: str, returned: always, sample: 570.86.15}
            uuid: {description: Identity of the card., type: str, returned: always, sample: GPU-1d2e3f40-0000-1111-2222-333344445555}
            numa_node: {description: NUMA node that it is near to., type: int, returned: always, sample: 0}
            link:
              description: PCI Express link of the card. An idle card lowers its generation.
              type: dict
              returned: always
              contains:
                generation: {description: Generation now., type: int, returned: always, sample: 5}
                max_generation: {description: Highest generation., type: int, returned: always, sample: 5}
                width: {description: Lanes now., type: int, returned: always, sample: 16}
                max_width: {description: Most lanes., type: int, returned: always, sample: 16}
                path_generation:
                  description: Highest generation of the whole path to the processor. Less than the card's own is the slot's limit, no fault.
                  type: int
                  returned: always
                  sample: 5
                path_width: {description: Most lanes of the whole path to the processor., type: int, returned: always, sample: 16}
            virtual_functions:
              description: Number of its virtual functions on the bus, each for a virtual machine. They are not listed as cards.
              type: int
              returned: always
              sample: 0
            virtualization:
              description: What the NVIDIA driver says of virtual machines, V(none), V(pass-through), V(vgpu), V(host vgpu) and others.
              type: str
              returned: always
              sample: none
            power:
              description: Limits of power.
              type: dict
              returned: always
              contains:
                limit_watts: {description: Limit that is set now., type: float, returned: always, sample: 700.0}
                default_limit_watts: {description: Limit as delivered., type: float, returned: always, sample: 700.0}
                max_limit_watts: {description: Highest limit that can be set., type: float, returned: always, sample: 700.0}
            mig:
              description: Partitioning of NVIDIA cards.
              type: dict
              returned: always
              contains:
                enabled: {description: Whether it is on., type: bool, returned: always, sample: false}
                instances:
                  description: Slices.
                  type: list
                  elements: dict
                  returned: always
                  contains:
                    profile: {description: Profile of the slice., type: str, returned: always, sample: 1g.10gb}
                    memory_bytes: {description: Memory of the slice., type: int, returned: always, sample: 20937965568}
                    uuid: {description: Identity of the slice., type: str, returned: always, sample: MIG-00000000-1111-2222-3333-444455556666}
            health:
              description: Signs of wear and faults.
              type: dict
              returned: always
              contains:
                ecc:
                  description: Error correction.
                  type: dict
                  returned: always
                  contains:
                    enabled: {description: Whether it is on., type: bool, returned: always, sample: true}
                    uncorrectable: {description: Uncorrectable errors so far., type: int, returned: always, sample: 0}
                xid: {description: Driver errors in the kernel's log; not read yet., type: list, elements: int, returned: always, sample: []}
                remapped:
                  description: Memory rows that spare rows stand in for.
                  type: dict
                  returned: always
                  contains:
                    correctable: {description: After correctable errors., type: int, returned: always, sample: 0}
                    uncorrectable: {description: After uncorrectable errors., type: int, returned: always, sample: 0}
                    pending: {description: Whether a reset is needed., type: bool, returned: always, sample: false}
                    failure: {description: Whether spare rows ran out., type: bool, returned: always, sample: false}
                slowdowns:
                  description: What the board slows itself down for right now, V(hw_slowdown), V(hw_thermal_slowdown) or V(hw_power_brake_slowdown).
                  type: list
                  elements: str
                  returned: always
                  sample: []
                fabric:
                  description: State in the NVSwitch fabric, V(completed) when Fabric Manager took the card in. V(null) on cards without one.
                  type: str
                  returned: always
                  sample: completed
        fabric:
          description: What connects accelerators and hosts.
          type: dict
          returned: always
          contains:
            nvswitches: {description: Number of NVSwitch chips., type: int, returned: always, sample: 4}
            nvlink: {description: NVLink connections; V(null) on hosts with NVIDIA cards for now., type: list, elements: dict, returned: always, sample: []}
            xgmi:
              description: xGMI connections between AMD cards.
              type: list
              elements: dict
              returned: always
              contains:
                pci_address: {description: Address of the card., type: str, returned: always, sample: "0000:29:00.0"}
                peers: {description: Addresses of the cards it reaches., type: list, elements: str, returned: always, sample: ["0000:2c:00.0"]}
            infiniband:
              description: Ports of RDMA devices.
              type: list
              elements: dict
              returned: always
              contains:
                device: {description: Name of the device., type: str, returned: always, sample: mlx5_0}
                port: {description: Number of the port., type: int, returned: always, sample: 1}
                link_layer: {description: V(InfiniBand) or V(Ethernet)., type: str, returned: always, sample: InfiniBand}
                state: {description: State in small letters., type: str, returned: always, sample: active}
                rate_gbps: {description: Rate in Gbit/s., type: float, returned: always, sample: 400.0}
                type: {description: Type of the card., type: str, returned: always, sample: MT4129}
                firmware: {description: Version of its firmware., type: str, returned: always, sample: 28.39.2048}
                pci_address: {description: Address on the PCI bus., type: str, returned: always, sample: "0000:1a:00.0"}
                numa_node: {description: NUMA node that it is near to., type: int, returned: always, sample: 0}
            rdma: {description: Whether there is any RDMA device., type: bool, returned: always, sample: true}
        network:
          description: Network cards; no bridges or other virtual interfaces.
          type: list
          elements: dict
          returned: always
          contains:
            name: {description: Name of the interface., type: str, returned: always, sample: eno1}
            pci_address: {description: Address on the PCI bus., type: str, returned: always, sample: "0000:02:00.0"}
            pci_id: {description: PCI ids of maker and device., type: str, returned: always, sample: "15b3:1021"}
            virtual_function: {description: Whether it is a share of a card (SR-IOV)., type: bool, returned: always, sample: false}
            driver: {description: Kernel driver., type: str, returned: always, sample: mlx5_core}
            speed_mbps: {description: Negotiated speed in Mbit/s., type: int, returned: always, sample: 100000}
            state: {description: Operational state., type: str, returned: always, sample: up}
            carrier:
              description: Whether a cable with a partner is seen. V(null) for an interface that is switched off.
              type: bool
              returned: always
              sample: true
            mtu: {description: Largest packet in bytes., type: int, returned: always, sample: 9000}
            numa_node: {description: NUMA node that it is near to., type: int, returned: always, sample: 0}
        disks:
          description: Disks; no partitions, loop devices, RAID or logical volumes.
          type: list
          elements: dict
          returned: always
          contains:
            name: {description: Name of the kernel., type: str, returned: always, sample: nvme0n1}
            by_id: {description: Stable name below C(/dev/disk/by-id)., type: str, returned: always, sample: nvme-eui.0025385b71b00000}
            serial: {description: Serial number., type: str, returned: always, sample: S64HNE0T000000}
            model: {description: Model., type: str, returned: always, sample: SAMSUNG MZQL23T8HCLS-00A07}
            size_bytes: {description: Size., type: int, returned: always, sample: 3840755982336}
            kind: {description: "V(nvme), V(ssd), V(hdd) or V(virtual).", type: str, returned: always, sample: nvme}
            in_use:
              description: What it is used for. Empty for a free disk, V(null) when that could not be made sure.
              type: list
              elements: str
              returned: always
              sample: ["partitions: nvme0n1p1, nvme0n1p2", "mounted: /, /boot/efi"]
            numa_node: {description: NUMA node that it is near to., type: int, returned: always, sample: 0}
        raid:
          description: Software RAID (md).
          type: dict
          returned: always
          contains:
            arrays:
              description: The arrays.
              type: list
              elements: dict
              returned: always
              contains:
                name: {description: Name of the kernel., type: str, returned: always, sample: md0}
                level: {description: Level., type: str, returned: always, sample: raid1}
                state: {description: State as the kernel names it., type: str, returned: always, sample: clean}
                members: {description: Devices that it is made of., type: list, elements: str, returned: always, sample: [sda1, sdb1]}
                degraded: {description: Number of members that are missing., type: int, returned: always, sample: 0}
            degraded_arrays: {description: Number of arrays with members missing., type: int, returned: always, sample: 0}
        filesystems:
          description: Mounted filesystems that hold data.
          type: list
          elements: dict
          returned: always
          contains:
            mount: {description: Where it is mounted., type: str, returned: always, sample: /}
            device: {description: What is mounted., type: str, returned: always, sample: /dev/nvme0n1p2}
            type: {description: Type., type: str, returned: always, sample: ext4}
            size_bytes: {description: Size., type: int, returned: always, sample: 1888335572992}
            available_bytes: {description: Space that users may fill., type: int, returned: always, sample: 1732267474944}
        drivers:
          description: Loaded kernel modules that matter for accelerators and fast networks.
          type: list
          elements: dict
          returned: always
          contains:
            name: {description: Name of the module., type: str, returned: always, sample: nvidia}
            version: {description: Its version., type: str, returned: always, sample: 570.86.15}
        limits:
          description: What control groups leave to the session that gathers, in a container the container's share.
          type: dict
          returned: always
          contains:
            cgroup: {description: Version of control groups that limits it., type: int, returned: always, sample: 2}
            memory_bytes: {description: "Memory that may be used; all of the host's without a limit.", type: int, returned: always, sample: 2163956441088}
            cpus: {description: "CPUs that may be used; may be a fraction.", type: float, returned: always, sample: 224.0}
            cpuset: {description: Logical CPUs that may be used., type: list, elements: int, returned: always, sample: [0, 1]}
        unreadable:
          description: Why each V(null) above is V(null). A whole list is named here when it may lack an entry.
          type: list
          elements: dict
          returned: always
          contains:
            fact: {description: "The fact; records of a list are named in brackets.", type: str, returned: always, sample: memory.dimm_slots}
            path: {description: Where it was looked for., type: str, returned: always, sample: /sys/firmware/dmi/tables/DMI}
            reason: {description: What was in the way., type: str, returned: always, sample: "permission denied: needs root"}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB

# The readers refuse what is as large as this.
FILE_LIMIT_BYTES = 32 * MIB


def given_file(module: AnsibleModule, option: str) -> bytes | None:
    """The content of the file that the option names; a file that the user named must be there."""
    path = module.params[option]
    if path is None:
        return None
    try:
        # A pipe or a device could be read for ever.
        if not Path(path).is_file():
            raise OSError("not a regular file" if Path(path).exists() else "no such file")
        with Path(path).open("rb") as handle:
            return handle.read(FILE_LIMIT_BYTES)
    except OSError as error:
        module.fail_json(msg=f"{option}: {path} cannot be read on the host: {error.strerror or error}")
    return None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/"},
            "nvidia_smi_xml": {"type": "path"},
            "rocm_smi_json": {"type": "path"},
        },
        supports_check_mode=True,
    )
    root = module.params["root"]
    if not Path(root).is_dir():
        module.fail_json(msg=f"root: {root} is no directory on the host; give one that holds proc and sys.")
    hardware = gather(root, given_file(module, "nvidia_smi_xml"), given_file(module, "rocm_smi_json"))
    module.exit_json(changed=False, ansible_facts={"mlops_hardware": hardware})


if __name__ == "__main__":
    main()
