# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's runners shall be: one for each slot, with its devices, labels and names, and why it must not be begun."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci import devices, providers, tokens, versions
from ansible_collections.mlops.onprem.plugins.module_utils.ci.slots import Slot, expand, resolve

# Refused as a whole: a job that quietly runs without its GPU is found out after days.
_PODMAN_GITLAB = (
    "GitLab Runner ignores gpus under Podman (its documentation warns of it), so that the slots with GPUs ({slots}) would have none; "
    "use ci_runner_executor docker or shell, or slots without GPUs"
)


def plan(options: dict[str, Any], gpus: list[dict[str, Any]], found: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the plan of one host.

    options: `provider`, `url`, `scope`, `name` (what runners' names begin with), `slots` (a list, `per_gpu` or `per_mig`), `labels`,
    `run_untagged`, `executor`, `gpu_access`, `api_token`, `version`, `version_facts`, `limits`, `today` (as 2026-11-30), `offline` (Forgejo without API).
    gpus: the host's accelerators. found: what is on the host, `slots` (their names) and `driver` (whether GPUs can be used).

    Returns `refused` and `alarms` (sentences), `slots` (plain data), `leftover` (slots on the host that are wanted no more).
    """
    provider = options["provider"]
    refused = list(_options(options))
    if provider not in providers.NAMES:
        return {"refused": refused, "alarms": [], "slots": [], "leftover": []}
    rules = providers.rules(provider, options.get("limits") or {})
    wished, wrong = expand(options["slots"], gpus)
    resolved, more = resolve(wished, gpus, [str(label) for label in options.get("labels") or []])
    refused += wrong + more
    if not wished and not wrong:
        refused.append(
            "ci_runner_slots is empty; give per_gpu, per_mig, or at least one slot such as {name: cpu, gpus: []}"
        )
    refused += _devices(options, resolved)
    for slot in resolved:
        refused += _names(options, rules, slot)
    given = {slot.name for slot in resolved if slot.token}
    if not options.get("api_token") and not options.get("offline") and provider != "buildbot":
        missing = [slot.name for slot in resolved if slot.name not in given]
        if missing:
            refused.append(
                f"ci_runner_api_token is not given, and {rules['title']} is asked with it for the runners of {', '.join(missing)}"
            )
    bad, alarm = versions.judge(provider, options["version"], options.get("version_facts") or {}, options["today"])
    refused += [bad] if bad else []
    names = {slot.name for slot in resolved}
    return {
        "refused": list(dict.fromkeys(refused)),
        "alarms": [alarm] if alarm else [],
        "slots": [_plain(options, slot) for slot in resolved],
        "leftover": sorted(set((found or {}).get("slots") or []) - names),
    }


def _options(options: dict[str, Any]) -> Iterator[str]:
    provider = options["provider"]
    if provider not in providers.NAMES:
        yield f"ci_runner_provider is '{provider}'; use one of {', '.join(providers.NAMES)}"
        return
    rules = providers.RULES[provider]
    if not re.fullmatch(r"https?://[^\s/@]+(:[0-9]+)?(/[^\s@]*)?", options["url"]):
        yield f"ci_runner_url is '{options['url']}'; give the address of {rules['title']}, such as https://git.example.com"
    elif options["url"].startswith("http://") and not re.match(r"http://(127\.|localhost\b|\[::1\])", options["url"]):
        yield f"ci_runner_url is '{options['url']}': a token would go over the network in the clear; use https"
    if not re.fullmatch(rules["scopes"], options["scope"]):
        yield f"ci_runner_scope is '{options['scope']}'; with {rules['title']} it is {rules['scope_says']}"
    if options["executor"] not in rules["executors"]:
        yield f"ci_runner_executor is '{options['executor']}'; with {rules['title']} it is {' or '.join(rules['executors'])}"
    problem = tokens.api_problem(provider, str(options.get("api_token") or ""))
    if problem:
        yield problem


def _devices(options: dict[str, Any], slots: list[Slot]) -> Iterator[str]:
    with_gpu = [slot for slot in slots if slot.devices]
    if options["provider"] == "gitlab" and options["executor"] == "podman" and with_gpu:
        yield _PODMAN_GITLAB.format(slots=", ".join(slot.name for slot in with_gpu))
    for slot in with_gpu:
        if len({device.vendor for device in slot.devices}) > 1:
            yield f"the slot '{slot.name}' has GPUs of two vendors; no program can use both, so make two slots"
        for device in slot.devices:
            if device.vendor == "nvidia" and not device.uuid:
                yield (
                    f"the slot '{slot.name}': the driver does not tell the UUID of {device.place}, so that nothing could keep others off it; "
                    "see that nvidia-smi -L answers on the host (role gpu_driver), then run this again"
                )
            if device.vendor not in ("nvidia", "amd"):
                yield f"the slot '{slot.name}': nothing is known of how jobs are held to a GPU of {device.vendor}; leave {device.place} out"
        if sum(device.kind == "mig" for device in slot.devices) > 1:
            yield (
                f"the slot '{slot.name}' has several MIG instances, and a CUDA program sees one of them only; "
                "make a slot of each"
            )


def _names(options: dict[str, Any], rules: dict[str, Any], slot: Slot) -> Iterator[str]:
    where = f"the slot '{slot.name}'"
    name = runner_name(options["name"], slot.name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", options["name"]):
        yield f"ci_runner_name is '{options['name']}'; it is letters, digits, dots, dashes and underscores"
    if len(name) > rules["name_length"]:
        yield (
            f"{where}: its runner would be called {name}, which has {len(name)} characters; {rules['title']} takes {rules['name_length']}. "
            "Give a shorter ci_runner_name"
        )
    if not slot.labels and (
        options["provider"] in ("forgejo", "gitea")
        or (options["provider"] == "gitlab" and not options.get("run_untagged"))
    ):
        untagged = ", or ci_runner_run_untagged: true" if options["provider"] == "gitlab" else ""
        yield f"{where} has no labels, so that no job would ever find it; give ci_runner_labels, or labels of the slot{untagged}"
    for label in slot.labels:
        text = str(label)
        if not re.fullmatch(rules["label"], text):
            yield f"{where}: the label '{text}' cannot be used with {rules['title']}: {rules['says']}"
        elif len(text) > rules["label_length"]:
            yield f"{where}: the label {text[:40]}... has {len(text)} characters; {rules['title']} takes {rules['label_length']}"
    if slot.token:
        problem = tokens.runner_problem(options["provider"], where, slot.token)
        if problem:
            yield problem
    if options["provider"] == "github" and slot.concurrent != 1:
        yield f"{where}: concurrent is {slot.concurrent}, and a runner of GitHub runs one job at a time; make more slots instead"


def runner_name(prefix: str, slot: str) -> str:
    """Return the name that the forge knows a slot's runner by."""
    return f"{prefix}-{slot}"


def _plain(options: dict[str, Any], slot: Slot) -> dict[str, Any]:
    return {
        "name": slot.name,
        "runner": runner_name(options["name"], slot.name),
        "labels": slot.labels,
        "concurrent": slot.concurrent,
        "token": slot.token,
        "devices": devices.describe(slot),
        "visible": devices.visible(slot),
        "environment": devices.environment(slot),
        "gitlab_gpus": devices.gitlab_gpus(slot),
        "container_options": devices.container_options(slot, options.get("gpu_access") or "cdi"),
        "device_allow": devices.device_allow(slot),
    }
