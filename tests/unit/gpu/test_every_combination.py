"""What holds for every system, source, branch, flavour, profile and generation, without a network."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import GENERATIONS
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import BASES
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.unverified import UNVERIFIED

from .hosts import MIRROR, choose, every_nvidia, facts

PRE_TURING = ("Maxwell", "Pascal", "Volta")
OPEN_ONLY = ("Grace Hopper", "Blackwell", "Blackwell Ultra")


@pytest.fixture(scope="module")
def combinations():
    return every_nvidia()


@pytest.fixture(scope="module")
def selections(combinations):
    found = [(options, result) for options, result in combinations if result["refused"] is None]
    # Neither side may be empty, or the rest proves nothing.
    assert len(combinations) / 4 < len(found) < len(combinations) * 3 / 4
    return found


def named(result, part):
    return [package["name"] for package in result["packages"] if package["part"] == part]


def test_every_refusal_says_why_and_how_to_mend_it(combinations):
    for options, result in combinations:
        if result["refused"] is not None:
            assert set(result["refused"]) == {"reason", "remedy"}, options
            assert all(text.endswith(".") and len(text) > 20 for text in result["refused"].values()), options
            assert result["install"] == result["install_first"] == result["repositories"] == result["remove"] == []


def test_all_results_have_the_same_keys_and_are_plain_data(combinations):
    keys = set(combinations[0][1])
    for _options, result in combinations:
        assert set(result) == keys
    for _options, result in combinations[::97]:
        assert json.loads(json.dumps(result)) == result


def test_a_selection_is_what_was_asked_for(selections):
    for options, result in selections:
        assert options["branch"] in ("auto", result["branch"])
        assert options["flavour"] in ("auto", result["flavour"])
        assert (result["source"], result["profile"]) == (options["source"], options["profile"])
        assert result["generations"] == [options["generation"]]


def test_proprietary_modules_never_come_with_620(selections):
    assert {r["flavour"] for _o, r in selections if r["branch"] >= 620} == {"open"}


def test_open_modules_for_what_requires_them_and_never_for_what_cannot(selections):
    assert {r["flavour"] for o, r in selections if o["generation"] in OPEN_ONLY} == {"open"}
    assert {r["flavour"] for o, r in selections if o["generation"] in PRE_TURING} == {"proprietary"}


def test_a_generation_is_never_on_a_branch_that_does_not_know_it(selections):
    for options, result in selections:
        row = GENERATIONS[options["generation"]]
        assert row.first <= result["branch"] <= (row.last or 999)


def test_the_other_flavour_is_removed_and_never_installed(selections):
    for options, result in selections:
        assert not set(result["remove"]) & {package["name"] for package in result["packages"]}, options
        modules = named(result, "kernel_module")
        assert modules or options["profile"] == "full", options
        if result["module"] == "dkms" and "dkms" in modules[0]:
            open_name = "open" in modules[0]
            assert open_name is (result["flavour"] == "open"), modules
            assert result["remove"], options


def test_module_and_user_space_are_of_one_version(selections):
    """All packages of the driver are marked, so that their candidates are compared, and held."""
    for _options, result in selections:
        for package in result["packages"]:
            if package["part"] in ("driver", "utilities") or (
                package["part"] == "kernel_module" and result["module"] == "dkms"
            ):
                assert package["same_version"]
                assert package["name"] in result["hold"]


def test_no_part_of_ubuntus_names_has_a_branch_from_590_on(selections):
    for options, result in selections:
        if options["system"].startswith("ubuntu") and options["source"] != "distribution" and result["branch"] >= 590:
            assert not [p["name"] for p in result["packages"] if str(result["branch"]) in p["name"]]
            assert result["install_first"] == [f"nvidia-driver-pinning-{result['branch']}"]


def test_a_branch_is_always_fixed(selections):
    """By its packages' names, a pinning package, a module stream or a version lock."""
    for options, result in selections:
        branch, fixed = str(result["branch"]), [*result["install_first"], *result["version_locks"]]
        fixed.append((result["module_stream"] or {}).get("stream", ""))
        if options["source"] != "distribution":
            assert any(branch in word for word in fixed), options


def test_headers_are_those_of_the_running_kernel(selections):
    for options, result in selections:
        kernel = facts(options["system"])["system"]["kernel"]
        assert bool(result["headers"]) is (result["module"] == "dkms")
        assert all(kernel in package["name"] for package in result["headers"])


def test_every_url_is_below_the_mirror(selections):
    mirrored = [result for options, result in selections if options["source"] == "mirror"]
    assert mirrored
    for result in mirrored:
        assert result["repositories"]
        for repository in result["repositories"]:
            assert repository["url"].startswith(MIRROR + "/")
            assert repository["key_url"].startswith(MIRROR + "/")


def test_the_vendors_repository_is_the_one_of_the_system(selections):
    for options, result in selections:
        if options["source"] == "vendor":
            (cuda,) = [row for row in result["repositories"] if row["name"] == "nvidia-cuda"]
            machine = "sbsa" if options["machine"] == "aarch64" else "x86_64"
            folder = options["system"].replace("ubuntu22", "ubuntu2204").replace("ubuntu24", "ubuntu2404")
            assert cuda["url"].rstrip("/") == f"{BASES['cuda']}/{folder.replace('rocky', 'rhel')}/{machine}"


def test_the_distribution_gets_no_foreign_repository(selections):
    assert not [r for o, r in selections if o["source"] == "distribution" and r["repositories"]]


def test_what_is_unverified_is_told(selections):
    used = set()
    for _options, result in selections:
        told = {row["fact"] for row in result["unverified"]}
        used |= told
        marked = {row["unverified"] for row in [*result["packages"], *result["first"], *result["repositories"]]}
        assert marked - {None} <= told
        assert told <= set(UNVERIFIED)
        assert all(row["verified"] is (row["unverified"] is None) for row in result["packages"])
    assert len(used) > 10


def test_the_default_serves_every_generation_on_every_supported_system(combinations):
    """580, the branch with long-term support, is the only one that does."""
    refused = {
        (options["system"], options["generation"]): result["refused"]["reason"]
        for options, result in combinations
        if options["source"] == "vendor" and (options["branch"], options["flavour"]) == ("auto", "auto")
        if result["refused"]
    }
    assert refused == {}


@pytest.mark.parametrize("generation", OPEN_ONLY)
@pytest.mark.parametrize("old", PRE_TURING)
@pytest.mark.parametrize("branch", ["auto", *BRANCHES])
def test_no_branch_serves_a_box_that_needs_both_flavours(generation, old, branch):
    for flavour in ("auto", "open", "proprietary"):
        refused = choose(facts("debian12", old, generation), branch=branch, flavour=flavour)["refused"]
        assert "need proprietary kernel modules, and of" in refused["reason"]
