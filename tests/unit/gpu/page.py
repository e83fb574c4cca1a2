"""Make docs/gpu.md of the tables that the driver selection goes by.

python -m gpu.page --output FILE       (scripts/gpu_page.sh sets up what it needs)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.amd import CHIPS, ROCM
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES, flavours
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import GENERATIONS
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import BASES
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.unverified import UNVERIFIED

from .hosts import AMD, CARDS, choose, facts

PAGE = Path(__file__).resolve().parents[3] / "docs/gpu.md"
SYSTEMS = {
    "debian12": "Debian 12",
    "debian13": "Debian 13",
    "ubuntu22": "Ubuntu 22.04",
    "ubuntu24": "Ubuntu 24.04",
    "rhel9": "RHEL, Rocky, AlmaLinux 9",
    "rhel10": "RHEL, Rocky, AlmaLinux 10",
}
HEAD = """<!-- Made by `make gpu-page` from plugins/module_utils/gpu; a test compares the two. Do not edit. -->
# Drivers of GPUs

The filter `mlops.onprem.gpu_driver_packages` says from [hardware facts](facts.md) and a few options which driver a host gets:
repositories with their keys, packages, holds, conflicts, module streams; or why nothing fits, and how to mend it. It reads neither
the host nor the network. The role [gpu_driver](../roles/gpu_driver/README.md) installs what it says, with the same options as variables.

```yaml
- ansible.builtin.set_fact:
    chosen: "{{ ansible_facts['mlops_hardware'] | mlops.onprem.gpu_driver_packages({'source': 'vendor', 'branch': 580}) }}"
- ansible.builtin.assert:
    that: chosen.refused is none
    fail_msg: "{{ chosen.refused.reason }} {{ chosen.refused.remedy }}"
```
`ansible-doc -t filter mlops.onprem.gpu_driver_packages` has all options and what is returned.

"""
RULES = """## What is refused
- Proprietary kernel modules with branch 620 and later, which have none; a generation above its last branch or below its first.
- Proprietary modules for Grace Hopper and Blackwell, open ones for GPUs older than Turing. GPUs older than Turing beside newer ones
  get proprietary modules; beside Grace Hopper or Blackwell, no driver serves the host.
- A GPU whose generation is not known, until `architectures` names it or `flavour` decides.
- A branch that is not known or that the distribution does not have, Ubuntu's branches whose packages bring another one, a system or
  architecture without a table, a mirror without an address.
- NVSwitches with Debian's own driver, which lacks Fabric Manager: the GPUs behind them would run no program.
- With `available` (the candidates that the package manager has): a package that is not there, headers that are not there, a kernel
  module and a user space of different versions, candidates of another branch or version, and in a container a user space that is
  not of the loaded module's version.

Debian 12 is the case that this was made for: its security updates have brought the user space and the proprietary module to
535.309.01, while the open module stayed at 535.261.03, and apt installs neither together. So with Debian's own packages, GPUs that need
open modules are refused there until both are of one version; all others get the proprietary module. With `version: 535.261.03`,
`preferences` hold all of the driver at the older version, without the security updates.

Debian 13's open module (550.163.01-2) does not compile for Debian 13's kernels from 6.12.107 on, whose `pci_resize_resource()` has one
argument more. It is refused for them before anything is fetched; a later revision, or a patched one of the site's own, is tried.

## What was decided where nobody says
- The default is the vendor's repository and branch 580: long-term support, and the only branch that serves Maxwell to Blackwell.
- Where GPUs allow both flavours, NVIDIA's own rule holds: proprietary before branch 560, open from there on.
- Who asks for the distribution's packages gets no other repository: DCGM and the container toolkit come when `parts` asks for them,
  and DCGM not at all.
- Ubuntu's own modules are taken for each kernel release by name. The metapackage would bring the newest kernel.
- Recommended packages are left out: Debian's user space recommends the proprietary module also beside the open one.
- Packages of unverified names that a driver can do without are left out, with a note, where `available` does not have them.
- Graphics inside AMD's CPUs, and AMD's cards that are no accelerators, get no driver unless `force_vendor` says so. A host with
  accelerators of both vendors has to say whose driver it wants.
- AMD's kernel module comes by DKMS, on Debian 13 from the kernel itself.
- GPUs that are bound to `vfio-pci` are their guests' affair.

"""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _table(*titles: str) -> str:
    return _row(*titles) + _row(*("---" for title in titles))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _generations() -> str:
    text = "## Generations\n" + _table(
        "generation", "first branch", "last branch", "open modules", "proprietary modules"
    )
    for name, row in GENERATIONS.items():
        opened = "required" if row.open_required else _yes(row.open_possible)
        closed = _yes(not row.open_required)
        text += _row(name, str(row.first), str(row.last or "–"), opened, closed)
    return (
        text
        + "\nThe first branch is the first of those known here that serves the generation. Which generation a card is of comes "
        "from its driver, else from its PCI id.\n\n"
    )


def _branches() -> str:
    text = "## Branches\n" + _table("branch", "CUDA", "modules, preferred first", "support", "newest seen")
    for number, row in BRANCHES.items():
        support = f"long-term, to {row.end_of_life}" if row.long_term else "–"
        text += _row(str(number), str(row.cuda_major), ", ".join(flavours(number)), support, row.seen or "–")
    return text + "\nEnds of support that are not stated are not known here.\n\n"


def _cell(system: str, source: str, generation: str) -> str:
    machine = "aarch64" if generation == "Grace Hopper" else "x86_64"
    result = choose(facts(system, generation, machine=machine), source=source)
    return "no" if result["refused"] else f"{result['branch']} {result['flavour']}"


def _nvidia() -> str:
    text = (
        "## NVIDIA: which driver comes by default\n`branch` and `flavour` at `auto`, one kind of GPU in the host. With source `mirror`, as with "
        "`vendor`. Grace Hopper on aarch64, the rest on x86_64.\n\n"
    )
    text += _table("system", "source", "modules", *CARDS)
    for system, name in SYSTEMS.items():
        for source in ("distribution", "vendor"):
            result = choose(facts(system, "Ampere"), source=source)
            module = result["module"] or "–"
            text += _row(name, source, module, *(_cell(system, source, generation) for generation in CARDS))
    return text + (
        "\n`precompiled`: made and signed by Canonical, so nothing has to be enrolled for Secure Boot. `dkms`: built on the host, "
        "and signed with its own key.\n\n"
    )


def _amd() -> str:
    card = AMD["Instinct MI300X"]
    text = "## AMD: which driver comes by default\n" + _table(
        "system", "source", "kernel module", "user space of an MI300X"
    )
    for system, name in SYSTEMS.items():
        for source in ("distribution", "vendor"):
            result = choose(facts(system, card), source=source)
            packages = [row["name"] for row in result["packages"] if row["part"] != "kernel_module"]
            module = {"dkms": "amdgpu-dkms", "none": "the kernel's own", None: "–"}[result["module"]]
            text += _row(name, source, module, ", ".join(packages) or "no")
    chips = ", ".join(f"{name} is {chip}" for name, chip in CHIPS.items())
    known = ", ".join(f"{version} ({driver or 'to be named'})" for version, driver in ROCM.items())
    return text + f"\nOf the chips, {chips}. ROCm and the amdgpu that goes with it: {known}. x86_64 only.\n\n"


def _mirrors() -> str:
    text = "## Mirrors\n`mirror_url` redirects all of these at once, `base_urls` each of them.\n\n"
    text += _table("files of", "vendor's address", "below `mirror_url`")
    for name, url in BASES.items():
        text += _row(name, url, f"`{name.replace('_', '-')}/`")
    return text + "\nBelow each, the structure is the vendor's.\n\n"


def _unverified() -> str:
    text = (
        "## What is unverified\nThese come from memory, from other people's code or from hearsay, and nobody looked them up in a repository. A "
        "selection lists those that it rests on in `unverified`, and marks the packages with `verified: false`. "
        "`packages_override`, `keys`, `base_urls`, `parts`, `architectures` and `module` put something else in their place.\n\n"
    )
    text += _table("fact", "what is assumed")
    for name, sentence in UNVERIFIED.items():
        text += _row(f"`{name}`", sentence.replace("<", "&lt;").replace(">", "&gt;"))
    return text + (
        "\nDebian's own names and versions were looked up in its index of November 2026. All other names and fingerprints are those of "
        "vendors' documents and of other projects; no vendor's repository was asked.\n"
    )


def render() -> str:
    """Return the page."""
    return HEAD + _nvidia() + _amd() + RULES + _generations() + _branches() + _mirrors() + _unverified()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.parse_args().output.write_text(render())
