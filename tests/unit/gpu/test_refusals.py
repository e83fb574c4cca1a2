"""What is refused, what is nothing, and what is an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.filter.gpu_driver_packages import FilterModule
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import BASES, OPTIONS, OVERRIDABLE, PARTS

from .hosts import AMD, card, choose, facts

ROOT = Path(__file__).resolve().parents[3]
MI300X = AMD["Instinct MI300X"]


def refused(host, **options):
    result = choose(host, **options)
    assert result["refused"] is not None, result["install"]
    assert result["install"] == []
    return result["refused"]


@pytest.mark.parametrize("branch", ["581", "latest", 5800, "-1"])
def test_an_unknown_branch_lists_the_known_ones(branch):
    told = refused(facts("debian12", "Hopper"), branch=branch)
    assert str(branch) in told["reason"]
    assert all(str(number) in told["remedy"] for number in BRANCHES)


def test_a_version_of_another_branch():
    assert "is not of branch" in refused(facts("debian12", "Hopper"), branch=580, version="595.91.07")["reason"]


def test_proprietary_with_620():
    told = refused(facts("debian12", "Ampere"), branch=620, flavour="proprietary")
    assert told["reason"] == "Branch 620 has no proprietary kernel modules, only open ones."


def test_pre_turing_above_580():
    told = refused(facts("debian12", "Volta"), branch=590)
    assert told == {
        "reason": "Branch 590 has no support of Volta, which ended with 580.",
        "remedy": "Set branch to 580 or older.",
    }


@pytest.mark.parametrize("name", ["Blackwell", "Grace Hopper"])
def test_blackwell_and_grace_with_proprietary(name):
    told = refused(facts("debian12", name, machine="aarch64"), flavour="proprietary")
    assert told["reason"] == f"GPUs of {name} need open kernel modules."


def test_old_and_new_gpus_in_one_box():
    """Pascal beside Hopper works with proprietary modules, beside Blackwell not at all."""
    assert choose(facts("debian12", "Pascal", "Hopper"))["flavour"] == "proprietary"
    assert "Pascal" in refused(facts("debian12", "Pascal", "Hopper"), flavour="open")["reason"]
    told = refused(facts("debian12", "Pascal", "Blackwell"))
    assert "Pascal" in told["reason"]
    assert "Blackwell" in told["reason"]


def test_old_gpus_for_a_guest_are_no_hindrance():
    host = facts("debian12", "Blackwell")
    host["accelerators"].append(card("10de:15f8", 5, driver="vfio-pci"))
    result = choose(host)
    assert (result["flavour"], result["generations"]) == ("open", ["Blackwell"])


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        ({"os": {"id": "debian", "version_id": "11"}}, "no driver table for debian 11"),
        ({"os": {"id": "ubuntu", "version_id": "20.04"}}, "no driver table for ubuntu 20.04"),
        ({"os": {"id": "fedora", "version_id": "42"}}, "no driver table for fedora 42"),
        ({"os": {"id": "arch", "version_id": None}}, "do not say which operating system"),
        ({"os": None}, "do not say which operating system"),
        ({"architecture": "ppc64le"}, "architecture ppc64le"),
        ({"architecture": None}, "architecture None"),
    ],
)
def test_an_unsupported_system(system, reason):
    told = refused(facts("debian12", "Hopper", system=system))
    assert reason in told["reason"]
    assert told["remedy"]


def test_no_gpu_is_nothing_also_on_an_unsupported_system():
    for host in (facts("debian12"), facts("debian12", system={"os": {"id": "fedora", "version_id": "42"}})):
        result = choose(host)
        assert result["refused"] is None
        assert result["nothing"] == "Nothing to install: the host has no GPU."
        assert result["install"] == result["repositories"] == result["hold"] == result["remove"] == []


def test_intels_cards_and_graphics_inside_amds_cpus_are_nothing():
    host = facts("debian12")
    host["accelerators"] = [card("8086:56c0"), card("1002:164e", 1)]
    assert "1002:164e, 8086:56c0" in choose(host)["nothing"]
    host["accelerators"].append(card("10de:2330", 2))
    assert choose(host)["vendor"] == "nvidia"


def test_all_gpus_of_guests_are_nothing():
    host = facts("debian12")
    host["accelerators"] = [card("10de:2330", driver="vfio-pci")]
    assert "vfio-pci" in choose(host)["nothing"]


def test_unknown_gpus_are_not_no_gpus():
    host = facts("debian12", accelerators=None)
    assert "do not say which GPUs" in refused(host)["reason"]
    assert choose(host, force_vendor="nvidia")["refused"] is None


def test_an_image_is_made_without_a_gpu():
    host = facts("debian12")
    result = choose(host, force_vendor="nvidia")
    assert (result["vendor"], result["flavour"], result["generations"]) == ("nvidia", "open", [])
    assert choose(host, force_vendor="nvidia", source="distribution")["flavour"] == "proprietary"
    old = choose(host, force_vendor="nvidia", generations=["Volta", "Ampere"])
    assert (old["flavour"], old["generations"]) == ("proprietary", ["Volta", "Ampere"])
    assert choose(host, force_vendor="amd")["install"][-1] == "amdrocm7.14"
    assert "'Hoper'" in refused(host, force_vendor="nvidia", generations=["Hoper"])["reason"]


def test_gpus_of_both_vendors():
    host = facts("debian12", "Hopper", MI300X)
    assert "force_vendor" in refused(host)["remedy"]
    assert choose(host, force_vendor="amd")["vendor"] == "amd"
    assert choose(host, force_vendor="nvidia")["generations"] == ["Hopper"]


def test_a_gpu_of_unknown_generation_has_to_be_named():
    host = facts("debian12", "10de:4000")
    told = refused(host)
    assert "10de:4000" in told["reason"]
    assert "0000:01:00.0" in told["reason"]
    assert choose(host, architectures={"10de:4000": "Blackwell"})["generations"] == ["Blackwell"]
    assert choose(host, flavour="open")["refused"] is None
    assert "'Rubin'" in refused(host, architectures={"10de:4000": "Rubin"})["reason"]


def test_rhel_has_no_driver_of_its_own():
    assert "of its own" in refused(facts("rocky9", "Hopper"), source="distribution")["reason"]
    assert "of its own" in refused(facts("rocky9", "Hopper"), source="distribution", branch=580)["reason"]


def test_debian_has_no_precompiled_modules_and_the_vendor_none_for_ubuntu():
    assert "precompiled" in refused(facts("debian12", "Hopper"), module="precompiled")["reason"]
    assert "precompiled" in refused(facts("ubuntu24", "Hopper"), module="precompiled")["reason"]


def test_a_mirror_that_nobody_named():
    assert "no mirror" in refused(facts("debian12", "Hopper"), source="mirror")["reason"]


def test_no_kernel_to_build_for():
    host = facts("debian12", "Hopper", system={"kernel": None})
    assert "kernel_releases" in refused(host)["remedy"]
    assert choose(host, module="none")["headers"] == []


HAVE = {
    **dict.fromkeys(("nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced"), "580.178.04-1"),
    **dict.fromkeys(("nvidia-driver-pinning-580", "datacenter-gpu-manager-4-cuda13"), "1"),
    **dict.fromkeys(("nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnuma1"), "1"),
    **dict.fromkeys(("libnvidia-container-tools", "libnvidia-container1", "linux-headers-6.1.0-40-amd64"), "1"),
}


def test_what_the_source_has_is_taken_and_gives_the_version():
    result = choose(facts("debian12", "Hopper"), available=HAVE)
    assert result["version"] == "580.178.04"
    assert result["notes"] == []


@pytest.mark.parametrize("name", sorted(HAVE))
def test_a_package_that_the_source_does_not_have(name):
    for have in ({**HAVE, name: None}, {key: value for key, value in HAVE.items() if key != name}):
        result = choose(facts("debian12", "Hopper"), available=have)
        if name == "nvidia-persistenced":
            # Its name is unverified, and the driver works without it.
            assert name not in result["install"]
            assert name in result["notes"][0]
        else:
            assert name in result["refused"]["reason"]


def test_headers_of_the_running_kernel_are_missing():
    told = refused(facts("debian12", "Hopper"), available={**HAVE, "linux-headers-6.1.0-40-amd64": None})
    assert "no headers of the kernel: linux-headers-6.1.0-40-amd64" in told["reason"]
    assert "reboot" in told["remedy"]


def test_candidates_of_another_branch_or_version():
    have = {**HAVE, **dict.fromkeys(("nvidia-kernel-open-dkms", "nvidia-driver-cuda"), "620.10.01-1")}
    assert "620.10.01, and branch 580" in refused(facts("debian12", "Hopper"), available=have)["reason"]
    exact = {**HAVE, "nvidia-driver-pinning-580.95.05": "1"}
    assert "580.95.05 is wanted" in refused(facts("debian12", "Hopper"), available=exact, version="580.95.05")["reason"]


def test_versions_of_rpms_have_an_epoch():
    kernel = facts("rhel9")["system"]["kernel"]
    have = dict.fromkeys(choose(facts("rhel9", "Hopper"))["hold"], "1")
    have.update(dict.fromkeys(("kmod-nvidia-open-dkms", "nvidia-driver-cuda"), "3:580.178.04-1.el9"))
    have.update(dict.fromkeys(("python3-dnf-plugin-versionlock", "numactl-libs"), "1"))
    have.update({f"{kind}-{kernel}": "1" for kind in ("kernel-devel", "kernel-headers", "kernel-devel-matched")})
    assert choose(facts("rhel9", "Hopper"), available=have)["version"] == "580.178.04"


def container(*cards, **more):
    return facts("debian12", *cards, system={"container": "docker"}, **more)


def test_a_container_gets_the_user_space_of_its_hosts_module():
    host = container("Hopper", drivers=[{"name": "nvidia", "version": "595.91.07"}])
    result = choose(host)
    assert (result["branch"], result["module"], result["headers"]) == (595, "none", [])
    assert result["install"] == ["nvidia-driver-cuda"]
    have = {"nvidia-driver-pinning-595": "1", "nvidia-driver-cuda": "595.45.04-1"}
    told = refused(host, available=have)
    assert "loaded kernel module is of version 595.91.07" in told["reason"]
    assert choose(host, available={**have, "nvidia-driver-cuda": "595.91.07-1"})["refused"] is None


def test_a_container_that_names_kernels_gets_the_kernels_side():
    result = choose(container("Hopper"), kernel_releases=["6.1.0-1-amd64"], source="distribution")
    assert result["install"][:2] == ["linux-headers-6.1.0-1-amd64", "nvidia-kernel-dkms"]


def test_overrides():
    host = facts("debian12", "Hopper")
    result = choose(host, packages_override={"dcgm": [], "driver": ["mine"], "headers": ["linux-headers-mine"]})
    assert "mine" in result["install"]
    assert "mine" in result["hold"]
    assert result["install"][0] == "linux-headers-mine"
    assert not [name for name in result["install"] if name.startswith(("datacenter", "nvidia-driver-cuda"))]
    assert choose(host, packages_extra=["nvtop"])["install"][-1] == "nvtop"
    assert choose(host, packages_override={"pinning": ["own-pin"]})["install_first"] == ["own-pin"]
    assert choose(host, add_repositories=False)["repositories"] == []
    keys = {"nvidia-cuda": {"url": "file:///k", "fingerprint": "AB"}}
    row = choose(host, keys=keys)["repositories"][0]
    assert (row["key_url"], row["key_fingerprint"]) == ("file:///k", "AB")
    for name, base in (("cuda", 0), ("container_toolkit", 1)):
        url = choose(host, base_urls={name: "https://own.example/x/"})["repositories"][base]["url"]
        assert url.startswith("https://own.example/x/")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"branch_": 580}, "did you mean 'branch'?"),
        ({"branch": [580]}, "branch: [580]"),
        ({"branch": True}, "branch: True"),
        ({"flavour": 1}, "flavour: 1"),
        ({"kernel_releases": "6.1"}, "kernel_releases"),
        ({"kernel_releases": [6.1]}, "kernel_releases"),
        ({"parts": {"dgcm": True}}, "did you mean 'dcgm'?"),
        ({"parts": {"dcgm": 1}}, "parts.dcgm"),
        ({"packages_override": {"driver": "x"}}, "packages_override.driver"),
        ({"base_urls": {"cude": "x"}}, "did you mean 'cuda'?"),
        ({"available": {"x": 1}}, "available.x"),
        ({"add_repositories": "no"}, "add_repositories"),
        ([], "options: []"),
    ],
)
def test_unknown_names_and_wrong_types_are_errors(options, word):
    filter_ = FilterModule().filters()["gpu_driver_packages"]
    with pytest.raises(AnsibleFilterError, match=re.escape(word)):
        filter_(facts("debian12", "Hopper"), options)


def test_facts_that_are_no_dictionary_are_an_error():
    with pytest.raises(AnsibleFilterError, match="list"):
        FilterModule().filters()["gpu_driver_packages"]([])


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.choices])
def test_a_word_that_is_not_known_is_refused_and_lists_the_known(name):
    told = refused(facts("debian12", "Hopper"), **{name: "nonsense"})
    assert name in told["reason"]
    assert str(OPTIONS[name].choices[0]) in told["remedy"]


def test_an_empty_text_and_none_are_not_given():
    host = facts("debian12", "Hopper")
    empty = dict.fromkeys(OPTIONS)
    empty.update({name: "" for name, option in OPTIONS.items() if option.kind is str})
    assert choose(host, **empty) == choose(host)


def test_facts_without_most_keys_raise_nothing():
    for host in ({}, {"accelerators": []}, {"accelerators": [{}]}, {"accelerators": [{"vendor": "nvidia"}]}):
        result = choose(host)
        assert result["refused"] or result["nothing"]
        assert choose({**facts("debian12"), **host}, force_vendor="nvidia", flavour="open")["refused"] is None


def test_every_option_is_documented_as_it_is():
    page = yaml.safe_load((ROOT / "plugins/filter/gpu_driver_packages.yml").read_text())["DOCUMENTATION"]["options"]
    documented = page["options"]["suboptions"]
    assert set(documented) == set(OPTIONS)
    for name, option in OPTIONS.items():
        said = documented[name]
        assert said["type"] == option.kind.__name__
        assert said.get("default") == option.default
        assert tuple(said.get("choices", ())) == option.choices
    texts = {name: str(documented[name]["description"]) for name in ("parts", "packages_override", "base_urls")}
    assert all(f"C({part})" in texts["parts"] for part in PARTS)
    assert all(f"C({part})" in texts["packages_override"] for part in set(OVERRIDABLE) - set(PARTS))
    assert all(f"C({name})" in texts["base_urls"] for name in BASES)
