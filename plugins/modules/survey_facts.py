#!/usr/bin/python

# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: survey_facts
short_description: Gather what runs on a host already, and what it can reach
version_added: 0.1.0
description:
  - Reads what is in the way of a new platform, or at its service - container engines, packages, taken ports, the clock, DNS, proxies,
    package sources, firewalls, limits - and connects to the servers that the host will need.
  - No root access is needed; what needs it is V(null) and is listed in C(unreadable). Home directories and files with credentials
    are not read, and no URL is returned with its password.
  - The one program that is run is C(rpm -qa), with a time limit, and only on hosts that have rpm's database.
  - A connection is closed as soon as it is open. Nothing is sent, nothing is downloaded.
extends_documentation_fragment:
  - mlops.onprem.attributes
  - mlops.onprem.attributes.info
  - mlops.onprem.attributes.facts
options:
  root:
    description:
      - Directory that holds the C(etc), C(proc), C(run), C(sys), C(usr) and C(var) of the machine to describe.
      - With another value than V(/) a recorded machine is read. No program is run and no network is asked.
    type: path
    default: /
  names:
    description:
      - Host names to look up.
    type: list
    elements: str
    default: []
  targets:
    description:
      - Servers to connect to. A flow, as C(docs/survey.md) describes it, can be given as it is.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The server's name, as the answer is to name it.
        type: str
        required: true
        aliases: [to]
      address:
        description: Name or address to connect to, where it is another than O(targets[].host).
        type: str
      port:
        description: Port, 1 to 65535.
        type: int
        required: true
      protocol:
        description: Protocol.
        type: str
        choices: [tcp]
        default: tcp
      why:
        description: What the connection is for, in words.
        type: str
        default: ""
      from:
        description: The hosts that need it; not looked at here.
        type: list
        elements: str
      required:
        description: Whether the platform cannot do without it; not looked at here.
        type: bool
  timeout:
    description:
      - Seconds that one lookup, or one lookup and connection, may take; up to 64 of them run at a time.
    type: float
    default: 3
  probe:
    description:
      - Whether to look names up and to connect to O(targets) and to the package sources of the host. V(false) asks no network.
    type: bool
    default: true
  probe_sources:
    description: Whether package sources are connected to, where O(probe) is V(true).
    type: bool
    default: true
seealso:
  - module: mlops.onprem.hardware_facts
author:
  - The mlops.onprem authors (@mlops-onprem)
"""

EXAMPLES = r"""
- name: Survey the host
  mlops.onprem.survey_facts:

- name: Survey the host, and ask whether it reaches what it will need
  mlops.onprem.survey_facts:
    names: [registry.example.org]
    targets:
      - host: registry.example.org
        port: 443
        why: model registry
      - host: db1
        address: 10.0.0.12
        port: 5432
        why: database of the model registry

- name: Read files only
  mlops.onprem.survey_facts:
    probe: false
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to C(ansible_facts).
  returned: always
  type: dict
  contains:
    mlops_survey:
      description: Software and surroundings of the host. What could not be read is V(null).
      returned: always
      type: dict
      contains:
        schema: {description: Version of this structure., type: int, returned: always, sample: 1}
        containers:
          description: Container engines and schedulers that the host serves.
          type: dict
          returned: always
          contains:
            engines:
              description: Engines of which a program, a socket or a process is there.
              type: list
              elements: dict
              returned: always
              contains:
                name: {description: "V(docker), V(podman), V(containerd) or V(cri-o).", type: str, returned: always, sample: docker}
                binary: {description: Path of the program; empty where there is none., type: str, returned: always, sample: /usr/bin/dockerd}
                version: {description: Version of its package., type: str, returned: always, sample: 5:27.3.1-1~debian.12~bookworm}
                socket: {description: Path of its socket; empty where there is none., type: str, returned: always, sample: /run/docker.sock}
                listening: {description: Whether a program waits at the socket., type: bool, returned: always, sample: true}
                running: {description: Whether its process runs., type: bool, returned: always, sample: true}
            kubernetes_node: {description: "Whether kubelet, k3s or rke2 is there.", type: bool, returned: always, sample: false}
            slurm_node: {description: Whether slurmd is there., type: bool, returned: always, sample: false}
        packages:
          description: Installed packages.
          type: dict
          returned: always
          contains:
            manager: {description: V(dpkg) or V(rpm)., type: str, returned: always, sample: dpkg}
            versions: {description: Versions by name of the packages that matter to the platform., type: dict, returned: always, sample: {nginx: 1.22.1-9}}
            held: {description: Packages that are kept at their version., type: list, elements: str, returned: always, sample: [nvidia-driver]}
            broken:
              description: Packages that are installed in part, which stops dpkg.
              type: list
              elements: dict
              returned: always
              contains:
                name: {description: Name., type: str, returned: always, sample: nvidia-dkms}
                state: {description: dpkg's word for the state., type: str, returned: always, sample: half-configured}
            nvidia_installer:
              description: Files that only NVIDIA's own installer leaves.
              type: list
              elements: str
              returned: always
              sample: [/usr/bin/nvidia-uninstall]
        listeners:
          description: Listening TCP sockets and bound UDP sockets, by port.
          type: list
          elements: dict
          returned: always
          contains:
            protocol: {description: V(tcp) or V(udp)., type: str, returned: always, sample: tcp}
            address: {description: Address., type: str, returned: always, sample: 0.0.0.0}
            port: {description: Port., type: int, returned: always, sample: 443}
            program: {description: Name of the process., type: str, returned: always, sample: nginx}
            pid: {description: Number of the process., type: int, returned: always, sample: 812}
            uid: {description: User who made the socket., type: int, returned: always, sample: 0}
        time:
          description: The clock.
          type: dict
          returned: always
          contains:
            synchronized: {description: Whether the kernel holds its clock for synchronised., type: bool, returned: always, sample: true}
            services: {description: Time services that run., type: list, elements: str, returned: always, sample: [chrony]}
            timezone: {description: Time zone., type: str, returned: always, sample: Europe/Berlin}
            clock_utc: {description: "The clock when the survey began, in seconds since 1970.", type: float, returned: always, sample: 1795608571.9}
            clock_utc_end: {description: "The clock when the survey ended, in seconds since 1970.", type: float, returned: always, sample: 1795608572.1}
            offset_seconds:
              description: The host's clock less the controller's. V(null) where the survey is one of C(facts_modules), which has no task of its own.
              type: float
              returned: always
              sample: -0.012
            offset_error_seconds: {description: How far the true offset is away at most., type: float, returned: always, sample: 0.181}
        dns:
          description: How the host finds names.
          type: dict
          returned: always
          contains:
            nameservers: {description: Servers in C(/etc/resolv.conf)., type: list, elements: str, returned: always, sample: [127.0.0.53]}
            search: {description: Domains that are tried., type: list, elements: str, returned: always, sample: [example.org]}
            upstreams: {description: Servers that systemd-resolved asks., type: list, elements: str, returned: always, sample: [10.0.0.2]}
            hostname: {description: The host's name., type: str, returned: always, sample: gpu1}
            fqdn: {description: The host's name with its domain., type: str, returned: always, sample: gpu1.example.org}
            own_addresses:
              description: Addresses of the host's name; empty where it has none.
              type: list
              elements: str
              returned: always
              sample: [10.0.0.11]
            own_name_loopback_only:
              description: "Whether the host's name leads to nothing but itself, as with 127.0.1.1."
              type: bool
              returned: always
              sample: false
            names:
              description: The names that were asked for.
              type: list
              elements: dict
              returned: always
              contains:
                name: {description: Name., type: str, returned: always, sample: registry.example.org}
                addresses: {description: Its addresses., type: list, elements: str, returned: always, sample: [10.0.0.20]}
                reason: {description: Why there are none., type: str, returned: always, sample: Name or service not known}
                asked: {description: Whether the name was looked up., type: bool, returned: always, sample: true}
        proxy:
          description: Proxies as they are configured.
          type: list
          elements: dict
          returned: always
          contains:
            where: {description: File or V(environment)., type: str, returned: always, sample: /etc/apt/apt.conf.d/80proxy}
            name: {description: Name of the setting or variable., type: str, returned: always, sample: "acquire::http::proxy"}
            value: {description: Its value without credentials., type: str, returned: always, sample: "http://***@proxy.example.org:3128/"}
        sources:
          description: Sources of packages.
          type: list
          elements: dict
          returned: always
          contains:
            type: {description: "V(apt), V(dnf) or V(pip).", type: str, returned: always, sample: apt}
            name: {description: "Suites, repository or setting.", type: str, returned: always, sample: bookworm bookworm-updates}
            where: {description: File or V(environment)., type: str, returned: always, sample: /etc/apt/sources.list}
            url: {description: "URL without credentials, query and tokens.", type: str, returned: always, sample: "http://mirror.example.org/debian"}
            enabled: {description: Whether it is used., type: bool, returned: always, sample: true}
            via: {description: "V(direct), V(local), V(unknown) or the proxy.", type: str, returned: always, sample: direct}
            answer:
              description: What the first server on the way answered, as RV(ansible_facts.mlops_survey.reach[].answer).
              type: str
              returned: always
              sample: open
            reason: {description: More about an answer that is not V(open)., type: str, returned: always, sample: ""}
            milliseconds: {description: Time until the answer., type: float, returned: always, sample: 1.4}
        reach:
          description: What came of each target, in their order.
          type: list
          elements: dict
          returned: always
          contains:
            host: {description: Name of the target., type: str, returned: always, sample: registry.example.org}
            address: {description: Name or address that was connected to., type: str, returned: always, sample: registry.example.org}
            port: {description: Port., type: int, returned: always, sample: 443}
            protocol: {description: Protocol., type: str, returned: always, sample: tcp}
            why: {description: What it is for., type: str, returned: always, sample: model registry}
            addresses: {description: Addresses that the name has., type: list, elements: str, returned: always, sample: [10.0.0.20]}
            answer:
              description:
                - V(open), connected. V(refused), the host answers and nothing listens there; the way is free.
                - V(timeout), nothing came back. V(unreachable), a router or the kernel refused. V(unresolved), the name is not known.
              type: str
              returned: always
              sample: refused
            reason: {description: More about an answer that is not V(open)., type: str, returned: always, sample: Connection refused}
            milliseconds: {description: Time until the answer., type: float, returned: always, sample: 0.7}
        firewall:
          description: What filters traffic and access.
          type: dict
          returned: always
          contains:
            tools:
              description: Firewalls that are installed or have rules in a file.
              type: list
              elements: dict
              returned: always
              contains:
                name: {description: "V(nftables), V(iptables), V(firewalld) or V(ufw).", type: str, returned: always, sample: nftables}
                binary: {description: Path of the program; empty where there is none., type: str, returned: always, sample: /usr/sbin/nft}
                config: {description: Path of its file; empty where there is none., type: str, returned: always, sample: /etc/nftables.conf}
                at_boot: {description: Whether it is set up at boot., type: bool, returned: always, sample: true}
            selinux: {description: "V(enforcing), V(permissive) or V(disabled).", type: str, returned: always, sample: disabled}
            apparmor: {description: Whether AppArmor is on., type: bool, returned: always, sample: true}
        limits:
          description: Limits, and what changes the host by itself.
          type: dict
          returned: always
          contains:
            open_files_system: {description: Most open files of the system., type: int, returned: always, sample: 9223372036854775807}
            open_files_process: {description: Highest limit that a process can be given., type: int, returned: always, sample: 1048576}
            user_namespaces:
              description: "Whether every user may make user namespaces, as rootless containers do."
              type: bool
              returned: always
              sample: true
            automatic_updates: {description: Services that install updates., type: list, elements: str, returned: always, sample: [unattended-upgrades]}
            reboot_required: {description: Whether a reboot is due; not known with rpm., type: bool, returned: always, sample: false}
            reboot_packages: {description: Packages that asked for it., type: list, elements: str, returned: always, sample: []}
        unreadable:
          description: Why each V(null) above is V(null).
          type: list
          elements: dict
          returned: always
          contains:
            fact:
              description: "The fact; with C([]) that field of all records that have V(null) there."
              type: str
              returned: always
              sample: "listeners[].program"
            path: {description: Where it was looked for., type: str, returned: always, sample: /proc/<pid>/fd}
            reason: {description: What was in the way., type: str, returned: always, sample: "permission denied: needs root"}
"""

import os
import time
from pathlib import Path

STARTED = time.time()

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.survey.facts import gather

TARGET = {
    "host": {"type": "str", "required": True, "aliases": ["to"]},
    "address": {"type": "str"},
    "port": {"type": "int", "required": True},
    "protocol": {"type": "str", "choices": ["tcp"], "default": "tcp"},
    "why": {"type": "str", "default": ""},
    "from": {"type": "list", "elements": "str"},
    "required": {"type": "bool"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/"},
            "names": {"type": "list", "elements": "str", "default": []},
            "targets": {"type": "list", "elements": "dict", "options": TARGET, "default": []},
            "timeout": {"type": "float", "default": 3},
            "probe": {"type": "bool", "default": True},
            "probe_sources": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    root, seconds, targets = module.params["root"], module.params["timeout"], module.params["targets"]
    if not Path(root).is_dir():
        module.fail_json(msg=f"root: {root} is no directory on the host; give one that holds etc, proc and var.")
    if not 0 < seconds <= 60:
        module.fail_json(msg=f"timeout: {seconds} is not between 0 and 60; give seconds that one answer may take.")
    for target in targets:
        if not 0 < target["port"] < 65536:
            module.fail_json(msg=f"targets: port {target['port']} of {target['host']} is not between 1 and 65535.")
    survey = gather(
        root,
        module.params["names"],
        targets,
        seconds,
        module.params["probe"],
        dict(os.environ),
        STARTED,
        module.params["probe_sources"],
    )
    module.exit_json(changed=False, ansible_facts={"mlops_survey": survey})


if __name__ == "__main__":
    main()
