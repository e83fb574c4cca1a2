"""Pairs of a module and a kernel that are known not to compile."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import host_builds

OPEN = {"nvidia-open-kernel-dkms": "535.261.03-1"}


@pytest.mark.parametrize("release", ["6.1.0-53-amd64", "6.1.0-57-amd64", "6.1.0-100-cloud-amd64"])
def test_debian_12s_open_module_and_its_newer_kernels(release: str) -> None:
    (sentence,) = host_builds.refused(OPEN, ["6.1.0-52-amd64", release])
    assert f"nvidia-open-kernel-dkms 535.261.03-1 does not compile for the kernel {release}." in sentence
    assert "gpu_driver_flavour to proprietary" in sentence


@pytest.mark.parametrize(("revision", "count"), [("-2", 1), ("-2+site1", 0), ("-3", 0)])
def test_debian_13s_open_module_until_it_is_patched(revision: str, count: int) -> None:
    versions = {"nvidia-open-kernel-dkms": f"550.163.01{revision}"}
    assert len(host_builds.refused(versions, ["6.12.118+deb13-amd64"])) == count
    assert host_builds.refused(versions, ["6.12.57+deb13-amd64"]) == []


@pytest.mark.parametrize(
    ("versions", "release"),
    [
        (OPEN, "6.1.0-52-amd64"),
        (OPEN, "6.12.118+deb13-amd64"),
        ({"nvidia-open-kernel-dkms": "535.309.01-1"}, "6.1.0-57-amd64"),
        ({"nvidia-open-kernel-dkms": None}, "6.1.0-57-amd64"),
        ({"nvidia-kernel-dkms": "535.261.03-1"}, "6.1.0-57-amd64"),
        ({}, "6.1.0-57-amd64"),
    ],
)
def test_all_else_is_left_to_the_compiler(versions: dict, release: str) -> None:
    assert host_builds.refused(versions, [release]) == []
