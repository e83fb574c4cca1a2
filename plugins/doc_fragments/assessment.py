# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the modules which judge hosts share."""

from __future__ import annotations


class ModuleDocFragment:
    """By what hosts are judged, and what blocks."""

    DOCUMENTATION = r"""
options:
  requirements:
    description: The requirements. The README of the role C(preflight) describes their keys.
    type: list
    elements: dict
    required: true
  overrides:
    description:
      - Requirements laid over O(requirements). One with the same C(id) replaces the other; with C(state=absent) it removes it.
    type: list
    elements: dict
    default: []
  waivers:
    description: Decisions that a shortfall shall not block, each with C(check), C(host), C(reason) and C(until) (a date).
    type: list
    elements: dict
    default: []
  workloads:
    description:
      - What shall run on the hosts, as the filter P(mlops.onprem.workload_requirements#filter) takes it. Each workload gets a row of the
        host V((fleet)), which says whether the GPUs of all hosts do, and what to buy where they do not.
    type: list
    elements: dict
    default: []
  fleet_hosts:
    description:
      - Hosts whose GPUs O(workloads) may use. Where the judged hosts lack one of them, the run is limited, and a workload that the other hosts
        do not hold is V(skipped) instead of V(fail).
    type: list
    elements: str
    default: []
  fleet_requirements:
    description:
      - Demands of all hosts together, each with C(id), C(hosts) (how many) and C(like) (conditions that each of them meets, with the
        keys of a requirement's), and if wanted C(severity), C(title), C(why) and C(remedy).
    type: list
    elements: dict
    default: []
  known_hosts:
    description: Further host names that a waiver may use, for runs that are limited to some hosts.
    type: list
    elements: str
    default: []
  gate:
    description:
      - With V(normal), a failed requirement blocks, and so does a host that could not be read.
      - With V(strict), so does a single fact that could not be read, if its requirement's severity is C(fail).
      - With V(report_only), nothing blocks.
    type: str
    choices: [strict, normal, report_only]
    default: normal
  today:
    description: The date by which waivers expire, as C(2026-12-31). The controller's date by default.
    type: str
"""
